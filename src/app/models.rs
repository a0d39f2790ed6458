//! Loads the models that the worker serves, and says which of them do not fit their pipelines.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Instant};

use anyhow::Context;

use super::{
    checks,
    layout::{self, Layout, Sessions},
};
use crate::{
    admin::{ModelState, ModelStatus},
    backend::onnx::SessionOptions,
    codec::labels::Labels,
    config::{ModelConfig, PipelineConfig, Served, ServerConfig, Settings, SignatureRule, VersionPolicy},
    metrics::{LoadMetrics, ModelMetrics},
    model::{
        batcher::{BatchOptions, Observer, Run},
        checks::compatible,
        loader::{self, LoadOptions},
        manager::{Manager, State},
        policy::{self, Pins, aspired},
        servable::{Servable, ServableId},
    },
    steps::{
        VersionFiles,
        fit::{Candidate, Places},
        predict::{ModelSelector, VersionSelector},
    },
    store::{LocalStore, StoreError},
    tensor::Name,
    worker::Worker,
};

/// Loads every version that should be in service, its sessions as `layout` has it. A model that cannot be loaded stops nothing.
pub fn load(server: &ServerConfig, pipelines: &[PipelineConfig], layout: &Layout) -> anyhow::Result<Arc<Manager>> {
    let store = LocalStore::open(&server.models.repository)?;
    let mut aspired = Vec::new();
    for name in served(server, pipelines, &store)? {
        let versions = versions(server, pipelines, &store, &name)?;
        if versions.is_empty() {
            tracing::error!(
                model = &*name,
                "no version of this model is in the repository; its requests are answered with UNKNOWN_MODEL"
            );
        }
        for version in versions {
            let id = ServableId { name: name.clone(), version };
            aspired.extend(store.version_folder(&name, version).map(|folder| (id, folder)));
        }
    }
    let (manager, mut threads) = (Arc::new(Manager::default()), Vec::new());
    let places = checks::places(pipelines);
    let mut serving: Option<Arc<Servable>> = None;
    // Versions of a model stand together and ascend: each is held against the one before, which clients know.
    for (id, folder) in &aspired {
        serving = serving.filter(|serving| serving.id.name == id.name);
        let sessions = layout.sessions(layout::bytes_in(folder), aspired.len());
        threads.push(sessions);
        let must_fit =
            MustFit { places: &places, rule: server.models.signature_of(&id.name), serving: serving.as_deref() };
        let state = load_one(id, folder, load_options(id, server, sessions), &must_fit);
        if let State::Available(servable) = &state {
            serving = Some(Arc::clone(servable));
        }
        manager.set(id, state);
    }
    report(layout, &threads);
    Ok(manager)
}

/// One line on all threads that compute.
fn report(layout: &Layout, models: &[Sessions]) {
    let sessions: usize = models.iter().map(|sessions| sessions.count).sum();
    let inference: usize = models.iter().map(|sessions| sessions.count * sessions.threads).sum();
    let Layout { cores, compute, .. } = *layout;
    tracing::info!(cores, compute, models = models.len(), sessions, inference, "threads");
}

/// The versions of a model that should be in service.
fn versions(
    server: &ServerConfig,
    pipelines: &[PipelineConfig],
    store: &LocalStore,
    name: &Name,
) -> Result<Vec<u64>, StoreError> {
    let policy = policy_of(server.models.versions_of(name));
    Ok(aspired(&policy, &store.versions(name)?, &Labels::new(), &pins(pipelines, name)))
}

/// The models that the worker should serve and the repository has no version of, one sentence each.
pub fn absent(settings: &Settings, store: &LocalStore) -> Vec<String> {
    let Settings { server, pipelines } = settings;
    let names = match served(server, pipelines, store) {
        Ok(names) => names,
        Err(error) => return vec![format!("{error:#}")],
    };
    let sentence = |name: Name| match versions(server, pipelines, store, &name) {
        Ok(versions) if versions.is_empty() => Some(format!(
            "model `{name}` has no version to serve in `{0}`; put one at {0}/{name}/1/model.onnx",
            server.models.repository
        )),
        Ok(_) => None,
        Err(error) => Some(format!("{:#}", anyhow::Error::from(error))),
    };
    names.into_iter().filter_map(sentence).collect()
}

/// What a version is held against besides itself.
struct MustFit<'a> {
    places: &'a Places,
    rule: SignatureRule,
    serving: Option<&'a Servable>,
}

impl MustFit<'_> {
    fn check(&self, servable: &Servable) -> Result<(), String> {
        if let (Some(serving), SignatureRule::Compatible) = (self.serving, self.rule) {
            compatible(&serving.signature, &servable.signature)?;
        }
        let files = VersionFiles { folder: servable.folder.clone() };
        let theirs = self.serving.map(|serving| (&serving.signature, VersionFiles { folder: serving.folder.clone() }));
        let serving = theirs.as_ref().map(|(signature, files)| Candidate { signature, files });
        self.places.check(&servable.id.name, Candidate { signature: &servable.signature, files: &files }, serving)
    }
}

fn load_one(
    id: &ServableId,
    folder: &Path,
    options: impl FnOnce(ModelConfig) -> LoadOptions,
    must_fit: &MustFit<'_>,
) -> State {
    let (started, metrics) = (Instant::now(), LoadMetrics::new(&id.name));
    let loaded = ModelConfig::read(folder).and_then(|model| {
        let options = options(model);
        let servable = loader::load(id.clone(), folder, &options, observer(id)).map_err(|error| error.to_string())?;
        must_fit.check(&servable)?;
        Ok((servable, options))
    });
    match loaded {
        Ok((servable, options)) => {
            metrics.loaded(started.elapsed());
            let batching = servable.batching.reason.as_str();
            let (sessions, threads) = (options.sessions, options.session.threads);
            let (digest, took) = (servable.digest.as_str(), started.elapsed());
            tracing::info!(model = %id, digest, batching, sessions, threads, ?took, "model loaded");
            State::Available(Arc::new(servable))
        }
        Err(error) => {
            metrics.failed();
            tracing::error!(model = %id, error, "this model version cannot be served; its requests are answered with MODEL_UNAVAILABLE");
            State::Failed(id.without_folder(folder, &error).into())
        }
    }
}

fn load_options(id: &ServableId, server: &ServerConfig, sessions: Sessions) -> impl FnOnce(ModelConfig) -> LoadOptions {
    let bounds = server.batching.bounds_of(&id.name);
    move |model| LoadOptions {
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

/// What the batcher's runs say to the metrics.
fn observer(id: &ServableId) -> Observer {
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

/// Every version as the admin endpoint shows it.
pub fn statuses(manager: &Manager) -> Vec<ModelStatus> {
    let status = |(id, state): (ServableId, State)| match state {
        State::Available(servable) => ModelStatus {
            name: id.name,
            version: id.version,
            state: ModelState::Available,
            reason: None,
            digest: Some(servable.digest.clone()),
            loaded_at: Some(servable.since),
            signature: Some(Arc::new(servable.signature.clone())),
        },
        State::Failed(reason) => ModelStatus {
            name: id.name,
            version: id.version,
            state: ModelState::Failed,
            reason: Some(reason.to_string()),
            digest: None,
            loaded_at: None,
            signature: None,
        },
    };
    manager.states().into_iter().map(status).collect()
}

/// The models that the server file names, else those that the pipelines name.
fn served(server: &ServerConfig, pipelines: &[PipelineConfig], store: &LocalStore) -> anyhow::Result<BTreeSet<Name>> {
    let all = || -> anyhow::Result<BTreeSet<Name>> {
        let names = store.models().context("the models of the repository cannot be listed")?;
        Ok(names.into_iter().map(Name::from).collect())
    };
    match server.models.served() {
        // A model that a pipeline names and the repository lacks is to be told before its first request.
        Served::All => Ok(all()?.union(&named(pipelines, all)?).cloned().collect()),
        Served::Only(names) => Ok(names.into_iter().collect()),
        Served::Named => named(pipelines, all),
    }
}

/// The models that pipelines name; of those whose requests choose, all of the repository that may come of it, and the one
/// that takes over for the others.
fn named(
    pipelines: &[PipelineConfig],
    all: impl Fn() -> anyhow::Result<BTreeSet<Name>>,
) -> anyhow::Result<BTreeSet<Name>> {
    let mut names = BTreeSet::new();
    for (_, predict) in pipelines.iter().flat_map(PipelineConfig::predicts) {
        let selector = predict.selector().map_err(|problems| anyhow::anyhow!(problems.join("; ")))?;
        names.extend(selector.needed().cloned());
        if let ModelSelector::Template(_) = selector.model {
            names.extend(all()?.into_iter().filter(|name| selector.may_run(name)));
        }
    }
    Ok(names)
}

/// The versions that pipelines name by number or by label.
fn pins(pipelines: &[PipelineConfig], model: &Name) -> Pins {
    let mut pins = Pins::default();
    for (_, predict) in pipelines.iter().flat_map(PipelineConfig::predicts) {
        let Some(selector) = predict.selector().ok().filter(|selector| selector.may_run(model)) else { continue };
        if let VersionSelector::Fixed(version) = &selector.version {
            pins.add(version);
        }
    }
    pins
}

fn policy_of(policy: &VersionPolicy) -> policy::VersionPolicy {
    match policy {
        VersionPolicy::Latest(count) => policy::VersionPolicy::Latest(count.get() as usize),
        VersionPolicy::All => policy::VersionPolicy::All,
        VersionPolicy::Specific(versions) => {
            policy::VersionPolicy::Specific(versions.iter().map(|version| version.get()).collect())
        }
        VersionPolicy::Labels(labels) => {
            policy::VersionPolicy::Labels(labels.iter().map(|label| label.as_str().into()).collect())
        }
    }
}

/// Binds every loaded version to the pipelines that name its model, so that a wrong column name or a missing file is known
/// before the first request.
pub fn report_misfits(worker: &Worker) {
    for (id, state) in worker.models.states() {
        let State::Available(servable) = state else { continue };
        for pipeline in &worker.pipelines {
            for (index, segment) in pipeline.segments.iter().enumerate() {
                let needed = segment.predict.selector().ok().and_then(|selector| selector.needed().cloned());
                let names_it = needed.is_some_and(|name| name == id.name);
                if names_it && let Err(error) = pipeline.bind(index, &servable) {
                    tracing::error!(pipeline = pipeline.name, model = %id, "{}", error.message());
                }
            }
        }
    }
}
