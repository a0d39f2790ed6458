//! Opens a version as the server file, its `model.yaml` and the pipelines want it: how many sessions, which checks, what it
//! must fit; and has the pipelines ready for it before its first request.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{
    checks,
    layout::{self, Layout, Sessions},
};
use crate::{
    backend::onnx::SessionOptions,
    config::{ModelConfig, ServerConfig, SignatureRule},
    metrics::{LoadMetrics, ModelMetrics},
    model::{
        batcher::{BatchOptions, Observer, Run},
        checks::compatible,
        loader::{self, LoadOptions, Opened},
        loading::Opener,
        servable::{Servable, ServableId},
    },
    steps::{
        VersionFiles,
        fit::{Candidate, Places},
    },
    worker::Worker,
};

/// The pipelines, once they are there: models are loaded before.
pub type Pipelines = Arc<OnceLock<Weak<Worker>>>;

/// See the module.
pub struct WorkerOpener {
    /// The server file.
    pub server: ServerConfig,
    /// Where models run.
    pub places: Places,
    /// The threads.
    pub layout: Layout,
    /// How many versions share the cores.
    pub versions: Arc<AtomicUsize>,
    /// What binds versions to steps.
    pub pipelines: Pipelines,
}

impl Opener for WorkerOpener {
    fn open(&self, id: &ServableId, folder: &Path, known: Option<&Servable>) -> Result<Opened, String> {
        let (started, metrics) = (Instant::now(), LoadMetrics::new(&id.name));
        let opened = self.try_open(id, folder, known);
        match &opened {
            Ok((opened, options)) => {
                metrics.loaded(started.elapsed());
                let batching = opened.batching().reason.as_str();
                let (sessions, threads) = (options.sessions, options.session.threads);
                let (digest, took) = (opened.digest(), started.elapsed());
                tracing::info!(model = %id, digest, batching, sessions, threads, ?took, "model loaded");
            }
            Err(_) => metrics.failed(),
        }
        opened.map(|(opened, _)| opened).map_err(|error| id.without_folder(folder, &error))
    }

    fn observer(&self, id: &ServableId) -> Observer {
        let metrics = ModelMetrics::new(&id.name, id.version);
        Arc::new(move |run: Run| {
            metrics.ran(run.rows, run.time);
            metrics.queued(run.queued);
            metrics.waiting(run.waiting);
            metrics.learnt(run.row_cost, run.limit);
            if run.failed {
                metrics.failed();
            }
        })
    }

    fn ready(&self, servable: &Arc<Servable>) {
        if let Some(worker) = self.pipelines.get().and_then(Weak::upgrade) {
            bind(&worker, servable);
        }
    }
}

impl WorkerOpener {
    fn try_open(
        &self,
        id: &ServableId,
        folder: &Path,
        known: Option<&Servable>,
    ) -> Result<(Opened, LoadOptions), String> {
        let model = ModelConfig::read(folder)?;
        let sessions = self.layout.sessions(layout::bytes_in(folder), self.versions.load(Ordering::Relaxed));
        let options = self.options(id, model, sessions);
        let opened = loader::open(id.clone(), folder, &options).map_err(|error| error.to_string())?;
        self.must_fit(id, &opened, known)?;
        Ok((opened, options))
    }

    fn options(&self, id: &ServableId, model: ModelConfig, sessions: Sessions) -> LoadOptions {
        let bounds = self.server.batching.bounds_of(&id.name);
        LoadOptions {
            checks: checks::options(&model),
            sessions: sessions.count,
            session: SessionOptions { threads: sessions.threads, optimization: model.optimization },
            batching: model.batching,
            batch: BatchOptions {
                max_batch_size: bounds.max_batch_size.get(),
                target_run_time: bounds.target_run_time,
                max_queue_delay: bounds.max_queue_delay,
            },
        }
    }

    /// Holds a version against the pipelines, and against the version that clients know.
    fn must_fit(&self, id: &ServableId, opened: &Opened, known: Option<&Servable>) -> Result<(), String> {
        let rule = self.server.models.signature_of(&id.name);
        if let (Some(known), SignatureRule::Compatible) = (known, rule) {
            compatible(&known.signature, opened.signature())?;
        }
        let files = VersionFiles { folder: opened.folder().to_owned() };
        let theirs = known.map(|known| (&known.signature, VersionFiles { folder: known.folder.clone() }));
        let known = theirs.as_ref().map(|(signature, files)| Candidate { signature, files });
        self.places.check(&id.name, Candidate { signature: opened.signature(), files: &files }, known)
    }
}

/// Makes the steps of the pipelines that may run a version ready for it, and says where it does not fit.
pub fn bind(worker: &Worker, servable: &Arc<Servable>) {
    let name = &servable.id.name;
    for pipeline in &worker.pipelines {
        for (index, segment) in pipeline.segments.iter().enumerate() {
            let Some(selector) = segment.predict.selector().ok().filter(|selector| selector.may_run(name)) else {
                continue;
            };
            if let Err(error) = pipeline.bind(index, servable)
                && selector.needed() == Some(name)
            {
                tracing::error!(pipeline = pipeline.name, model = %servable.id, "{}", error.message());
            }
        }
    }
}
