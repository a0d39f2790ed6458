//! What the worker says of itself: whether it lives, is assigned, and which models it serves.
//!
//! Setters are called by the worker where something changes, which is rarely; readers take a [`Snapshot`] without a lock,
//! so that neither side ever waits for the other.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{
    backend::Signature,
    metrics::{AssignmentMetrics, ModelStateMetrics},
    tensor::Name,
};

/// The state that a model version is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    /// It should be there, and its load has not begun.
    Aspired,
    /// It is being fetched, opened, checked and warmed up.
    Loading,
    /// It serves.
    Available,
    /// It is not in memory and is loaded when somebody asks for it.
    Unloaded,
    /// It finishes what it began and then goes.
    Retiring,
    /// It cannot be served; the reason says why.
    Failed,
}

impl ModelState {
    /// The metric label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aspired => "aspired",
            Self::Loading => "loading",
            Self::Available => "available",
            Self::Unloaded => "unloaded",
            Self::Retiring => "retiring",
            Self::Failed => "failed",
        }
    }
}

/// One version of one model.
#[derive(Clone, Debug)]
pub struct ModelStatus {
    /// The model's name in the repository.
    pub name: Name,
    /// Its version.
    pub version: u64,
    /// What it is doing.
    pub state: ModelState,
    /// Since when it is in that state.
    pub since: Option<SystemTime>,
    /// Why it is in that state, where that needs saying.
    pub reason: Option<String>,
    /// The digest of the model file, as answers carry it.
    pub digest: Option<String>,
    /// When it began to serve.
    pub loaded_at: Option<SystemTime>,
    /// Bytes that it takes in memory.
    pub memory: Option<u64>,
    /// What it takes and gives, once that is known.
    pub signature: Option<Arc<Signature>>,
    /// Who has used it, while it is in memory.
    pub usage: Option<ModelUsage>,
}

/// Who has used a version: asked for when somebody looks, since it changes all the time.
#[derive(Clone)]
pub struct ModelUsage(Arc<dyn Fn() -> (Duration, u64) + Send + Sync>);

impl ModelUsage {
    /// `read` says how long ago it was used last, and how many requests have used it.
    pub fn new(read: impl Fn() -> (Duration, u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// How long ago it was used last, and how many requests have used it.
    pub fn read(&self) -> (Duration, u64) {
        (self.0)()
    }
}

impl fmt::Debug for ModelUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModelUsage").field(&self.read()).finish()
    }
}

/// One pipeline of the worker.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// Where its requests come from.
    pub topics: Vec<String>,
    /// Where its answers go.
    pub output: String,
    /// The models without which it cannot answer; those that a request chooses are not among them.
    pub models: Vec<Name>,
}

/// Takes an operator's wishes about models.
pub trait ModelControl: Send + Sync {
    /// Brings a model into memory, also one that has just been put into the repository; does not wait for its load.
    ///
    /// # Errors
    /// A sentence if there is no such model.
    fn load(&self, model: &str) -> Result<(), String>;

    /// Takes a model out of memory until it is loaded again.
    ///
    /// # Errors
    /// A sentence if there is no such model.
    fn unload(&self, model: &str) -> Result<(), String>;
}

/// The worker's word on itself at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Parts that are gone, each as a sentence.
    pub dead: Vec<String>,
    /// Whether the worker takes no more requests and finishes what it has.
    pub stopping: bool,
    /// How many partitions the consumer group gave it, which may be none; `None` until the group has spoken.
    pub partitions: Option<usize>,
    /// Every version that there is, ascending, by model.
    pub models: BTreeMap<Name, Arc<[ModelStatus]>>,
    /// What it was started for.
    pub pipelines: Arc<[PipelineStatus]>,
}

impl Snapshot {
    /// Why the worker is not ready; empty if it is.
    pub fn reasons_against(&self) -> Vec<String> {
        let mut reasons = self.dead.clone();
        if self.stopping {
            reasons.push("the worker is stopping: it finishes what is in flight and takes no more".to_owned());
        }
        if self.partitions.is_none() {
            reasons.push("the consumer group has not assigned partitions to the worker yet".to_owned());
        }
        for pipeline in self.pipelines.iter() {
            for model in &pipeline.models {
                if let Some(why) = self.why_unavailable(model) {
                    reasons.push(format!("pipeline `{}`: {why}", pipeline.name));
                }
            }
        }
        reasons
    }

    /// Every version of a model, the highest last.
    pub fn versions<'a>(&'a self, model: &'a str) -> impl DoubleEndedIterator<Item = &'a ModelStatus> {
        self.models.get(model).into_iter().flat_map(|versions| versions.iter())
    }

    fn why_unavailable(&self, model: &str) -> Option<String> {
        let is_there = |status: &ModelStatus| matches!(status.state, ModelState::Available | ModelState::Unloaded);
        if self.versions(model).any(is_there) {
            return None;
        }
        let Some(newest) = self.versions(model).next_back() else {
            return Some(format!("model `{model}` has no version to serve"));
        };
        let does = match newest.state {
            ModelState::Aspired => "waits to be loaded",
            ModelState::Loading => "is being loaded",
            ModelState::Available => "is in service",
            ModelState::Unloaded => "is not in memory",
            ModelState::Retiring => "is being retired",
            ModelState::Failed => "failed",
        };
        let because = newest.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("model `{model}` version {} {does}{because}", newest.version))
    }
}

/// What the worker says of itself, shared between it and the admin endpoint.
///
/// It also keeps the metrics in step that say the same; so it is to be made after [`crate::metrics::install`].
pub struct Status {
    current: ArcSwap<Snapshot>,
    assignment: AssignmentMetrics,
    states: ModelStateMetrics,
    control: OnceLock<Arc<dyn ModelControl>>,
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Status {
    /// A worker that has just begun, for these pipelines.
    pub fn new(pipelines: Vec<PipelineStatus>) -> Self {
        let snapshot = Snapshot { pipelines: pipelines.into(), ..Snapshot::default() };
        Self {
            current: ArcSwap::from_pointee(snapshot),
            assignment: AssignmentMetrics::new(),
            states: ModelStateMetrics::default(),
            control: OnceLock::new(),
        }
    }

    /// Takes operators' wishes from now on.
    pub fn set_control(&self, control: Arc<dyn ModelControl>) {
        // There is one.
        drop(self.control.set(control));
    }

    /// Who takes operators' wishes; nobody before models are there.
    pub fn control(&self) -> Option<Arc<dyn ModelControl>> {
        self.control.get().cloned()
    }

    /// What is so now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The consumer group gave the worker so many partitions; none is an assignment too.
    pub fn set_assigned(&self, partitions: usize) {
        self.assignment.partitions(partitions);
        self.change(|snapshot| snapshot.partitions = Some(partitions));
    }

    /// The worker is out of its consumer group, or not in it yet.
    pub fn set_unassigned(&self) {
        self.assignment.partitions(0);
        self.change(|snapshot| snapshot.partitions = None);
    }

    /// These are all the versions, ascending, of each of these models; without any, the model is gone.
    pub fn set_models(&self, models: impl IntoIterator<Item = (Name, Vec<ModelStatus>)>) {
        let models: Vec<(Name, Arc<[ModelStatus]>)> =
            models.into_iter().map(|(name, versions)| (name, versions.into())).collect();
        for (name, versions) in &models {
            self.states.show(name, versions.iter().map(|status| (status.version, status.state.as_str())));
        }
        self.change(|snapshot| {
            for (name, versions) in &models {
                if versions.is_empty() {
                    snapshot.models.remove(name);
                } else {
                    snapshot.models.insert(name.clone(), Arc::clone(versions));
                }
            }
        });
    }

    /// The worker takes no more requests.
    pub fn set_stopping(&self) {
        self.change(|snapshot| snapshot.stopping = true);
    }

    /// A part of the worker is gone for good, and the process with it: a supervisor should start a new one.
    pub fn set_dead(&self, part: &str, reason: &str) {
        self.change(|snapshot| snapshot.dead.push(format!("{part} is dead: {reason}")));
    }

    fn change(&self, change: impl Fn(&mut Snapshot)) {
        self.current.rcu(|snapshot| {
            let mut next = Snapshot::clone(snapshot);
            change(&mut next);
            next
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::metrics::Metrics;

    pub fn version(name: &str, version: u64, state: ModelState) -> ModelStatus {
        let name = name.into();
        ModelStatus {
            name,
            version,
            state,
            since: None,
            reason: None,
            digest: None,
            loaded_at: None,
            memory: None,
            signature: None,
            usage: None,
        }
    }

    /// These versions are all that there are of their models.
    pub fn set(status: &Status, versions: Vec<ModelStatus>) {
        let mut models = BTreeMap::<Name, Vec<ModelStatus>>::new();
        versions.into_iter().for_each(|version| models.entry(version.name.clone()).or_default().push(version));
        models.values_mut().for_each(|versions| versions.sort_by_key(|version| version.version));
        status.set_models(models);
    }

    pub fn pipeline(model: &str) -> PipelineStatus {
        PipelineStatus {
            name: "flowers".to_owned(),
            topics: vec!["flowers.requests".to_owned()],
            output: "flowers.results".to_owned(),
            models: vec![model.into()],
        }
    }

    #[test]
    fn a_worker_is_ready_once_it_is_assigned_and_serves_what_its_pipelines_name() {
        let status = Status::new(vec![pipeline("iris")]);
        assert_eq!(
            status.snapshot().reasons_against(),
            [
                "the consumer group has not assigned partitions to the worker yet",
                "pipeline `flowers`: model `iris` has no version to serve",
            ]
        );
        status.set_assigned(4);
        set(&status, vec![version("iris", 1, ModelState::Loading)]);
        assert_eq!(status.snapshot().reasons_against(), ["pipeline `flowers`: model `iris` version 1 is being loaded"]);
        set(&status, vec![version("iris", 1, ModelState::Available)]);
        assert!(status.snapshot().reasons_against().is_empty());
    }

    #[test]
    fn a_replica_that_got_no_partition_is_ready() {
        let status = Status::new(vec![]);
        status.set_assigned(0);
        assert!(status.snapshot().reasons_against().is_empty());
        status.set_unassigned();
        assert_eq!(status.snapshot().reasons_against().len(), 1);
    }

    #[test]
    fn a_new_version_that_fails_leaves_the_worker_ready_through_the_old_one() {
        let status = Status::new(vec![pipeline("iris")]);
        status.set_assigned(1);
        set(&status, vec![version("iris", 2, ModelState::Failed), version("iris", 1, ModelState::Available)]);
        assert!(status.snapshot().reasons_against().is_empty());
    }

    #[test]
    fn a_model_that_failed_says_why_and_one_that_no_pipeline_names_does_not_matter() {
        let status = Status::new(vec![pipeline("iris")]);
        status.set_assigned(1);
        let reason = Some("model.onnx is truncated".to_owned());
        let failed = ModelStatus { reason, ..version("iris", 10, ModelState::Failed) };
        set(&status, vec![failed, version("iris", 9, ModelState::Retiring), version("digits", 1, ModelState::Failed)]);
        assert_eq!(
            status.snapshot().reasons_against(),
            ["pipeline `flowers`: model `iris` version 10 failed: model.onnx is truncated"]
        );
    }

    #[test]
    fn a_stopping_worker_and_one_with_a_dead_part_are_not_ready() {
        let status = Status::new(vec![]);
        status.set_assigned(1);
        status.set_stopping();
        status.set_dead("the producer", "fenced");
        let reasons = status.snapshot().reasons_against();
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert_eq!(reasons[0], "the producer is dead: fenced");
    }

    #[test]
    fn the_metrics_say_the_same() {
        let metrics = Metrics::default();
        metrics.scope(|| {
            let status = Status::new(vec![]);
            status.set_assigned(3);
            set(&status, vec![version("iris", 1, ModelState::Available)]);
            let text = metrics.render();
            assert!(text.contains("modelmill_assigned_partitions 3\n"), "{text}");
            let state = r#"modelmill_model_version_state{model="iris",version="1",state="available"}"#;
            assert!(text.contains(&format!("{state} 1\n")), "{text}");
            status.set_models([("iris".into(), vec![])]);
            assert!(metrics.render().contains(&format!("{state} 0\n")));
        });
    }
}
