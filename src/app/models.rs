//! Loads the models that the worker serves, and says which of them do not fit their pipelines.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Instant};

use anyhow::Context;

use crate::{
    admin::{ModelState, ModelStatus},
    backend::onnx::SessionOptions,
    codec::labels::Labels,
    config::{ModelConfig, PipelineConfig, Served, ServerConfig, Settings, VersionPolicy},
    metrics::{LoadMetrics, ModelMetrics},
    model::{
        batcher::{BatchOptions, Observer, Run},
        loader::{self, LoadOptions},
        manager::{Manager, State},
        policy::{self, Pins, aspired},
        servable::ServableId,
    },
    steps::predict::{ModelSelector, VersionSelector},
    store::local::{LocalStore, StoreError},
    tensor::Name,
    worker::Worker,
};

/// Loads every version that should be in service. A model that cannot be loaded stops nothing.
pub fn load(server: &ServerConfig, pipelines: &[PipelineConfig]) -> anyhow::Result<Arc<Manager>> {
    let store = LocalStore::open(&server.models.repository)?;
    let manager = Arc::new(Manager::default());
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
            let Some(folder) = store.version_folder(&name, version) else { continue };
            manager.set(&id, load_one(&id, &folder, server));
        }
    }
    Ok(manager)
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

fn load_one(id: &ServableId, folder: &Path, server: &ServerConfig) -> State {
    let (started, metrics) = (Instant::now(), LoadMetrics::new(&id.name));
    let loaded = ModelConfig::read(folder).and_then(|model| {
        let options = load_options(id, server, model);
        loader::load(id.clone(), folder, &options, observer(id)).map_err(|error| error.to_string())
    });
    match loaded {
        Ok(servable) => {
            metrics.loaded(started.elapsed());
            let batching = servable.batching.reason.as_str();
            tracing::info!(model = %id, digest = servable.digest, batching, took = ?started.elapsed(), "model loaded");
            State::Available(Arc::new(servable))
        }
        Err(error) => {
            metrics.failed();
            tracing::error!(model = %id, error, "this model version cannot be served; its requests are answered with MODEL_UNAVAILABLE");
            State::Failed(error.into())
        }
    }
}

fn load_options(id: &ServableId, server: &ServerConfig, model: ModelConfig) -> LoadOptions {
    let bounds = server.batching.bounds_of(&id.name);
    LoadOptions {
        sessions: server.inference.sessions.get(),
        session: SessionOptions { threads: server.inference.threads.get(), optimization: model.optimization },
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

fn named(
    pipelines: &[PipelineConfig],
    all: impl Fn() -> anyhow::Result<BTreeSet<Name>>,
) -> anyhow::Result<BTreeSet<Name>> {
    let mut names = BTreeSet::new();
    for selector in pipelines.iter().flat_map(PipelineConfig::predicts).map(|(_, predict)| predict.model()) {
        match selector {
            Ok(ModelSelector::Fixed(name)) => {
                names.insert(name);
            }
            // A pipeline whose requests choose may need any of them.
            Ok(ModelSelector::FromRequest) => names.extend(all()?),
            Err(problem) => anyhow::bail!(problem),
        }
    }
    Ok(names)
}

/// The versions that pipelines name by number or by label.
fn pins(pipelines: &[PipelineConfig], model: &Name) -> Pins {
    let mut pins = Pins::default();
    for (_, predict) in pipelines.iter().flat_map(PipelineConfig::predicts) {
        if let (Ok(ModelSelector::Fixed(name)), Ok(VersionSelector::Fixed(version))) =
            (predict.model(), predict.version())
            && name == *model
        {
            pins.add(&version);
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
                let names_it = matches!(segment.predict.model(), Ok(ModelSelector::Fixed(name)) if name == id.name);
                if names_it && let Err(error) = pipeline.bind(index, &servable) {
                    tracing::error!(pipeline = pipeline.name, model = %id, "{}", error.message());
                }
            }
        }
    }
}
