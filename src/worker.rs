//! The journey of one chunk: decode → steps → predict → steps → encode → publish → acknowledge.
//!
//! A chunk is a task. Its groups go side by side, so that a slow model holds up no answer but its own; the task ends when the
//! broker has every answer. A request's fate is its own: whatever goes wrong with it is its answer. What goes wrong with
//! the worker ends the task with an error, and nothing of the chunk is acknowledged.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use futures_util::future::try_join_all;

use crate::{
    broker::{Answers, Chunk, kafka::producer::KafkaProducer},
    codec::{
        self, Decoded, Intakes, Refused,
        encode::{Caller, Encoder, Model, Outlet},
    },
    error::{ErrorCode, RequestError, WorkerError},
    metrics::{PipelineMetrics, Stage},
    model::{
        manager::{Lease, Manager},
        servable::Servable,
    },
    request::{Group, Ids, Request},
    steps::{
        Refusals, VersionFiles,
        program::{Bound, BoundStep, Segment, admit},
    },
};

mod replace;

/// A pipeline, ready to run.
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// One for each `predict`.
    pub segments: Vec<Segment>,
    /// Where its answers go.
    pub outlet: Outlet,
    metrics: PipelineMetrics,
    /// Segments bound to the versions that have served them so far: by segment and the version's serial number.
    bound: ArcSwap<HashMap<(usize, u64), Binding>>,
}

/// A segment and a version: either they fit, or the reason why not.
type Binding = Result<Arc<Bound>, RequestError>;

/// A group's way through a pipeline: for each segment the version that serves it, and its steps.
type Plan = Vec<(Arc<Servable>, Arc<Bound>)>;

impl Pipeline {
    /// A pipeline that has not seen any model yet.
    pub fn new(name: String, segments: Vec<Segment>, outlet: Outlet) -> Self {
        let metrics = PipelineMetrics::new(&name);
        Self { name, segments, outlet, metrics, bound: ArcSwap::default() }
    }

    /// The segment's steps beside this version; read from its files the first time.
    ///
    /// # Errors
    /// `MODEL_UNAVAILABLE` if the version does not fit the pipeline.
    pub fn bind(&self, segment: usize, servable: &Arc<Servable>) -> Result<Arc<Bound>, RequestError> {
        let key = (segment, servable.serial);
        if let Some(binding) = self.bound.load().get(&key) {
            return binding.clone();
        }
        let files = VersionFiles { folder: servable.folder.clone() };
        let binding = self.segments[segment].bind(&files, &servable.signature).map(Arc::new).map_err(|error| {
            let error = servable.id.without_folder(&servable.folder, &error.to_string());
            let why = format!("model `{}` does not fit pipeline `{}`: {error}", servable.id, self.name);
            RequestError::new(ErrorCode::ModelUnavailable, why)
        });
        self.bound.rcu(|bound| {
            let mut bound = HashMap::clone(bound);
            bound.insert(key, binding.clone());
            bound
        });
        binding
    }

    /// Forgets the version with this serial number, which has left. What still uses it keeps its steps.
    pub fn forget(&self, serial: u64) {
        self.bound.rcu(|bound| {
            let mut bound = HashMap::clone(bound);
            bound.retain(|(_, bound), _| *bound != serial);
            bound
        });
    }

    /// Counts what became of the requests of groups; `replaced` of their results were too large for the result topic.
    fn count(&self, groups: &[Group], replaced: usize) {
        let mut answered = 0;
        for group in groups {
            for request in &group.requests {
                match &request.failure {
                    None => answered += 1,
                    Some(error) => self.metrics.answered(Some(error.code()), 1),
                }
            }
            if !group.is_lost() {
                self.metrics.rows(group.rows() as u64);
            }
        }
        self.metrics.answered(None, answered - replaced as u64);
        self.metrics.answered(Some(ErrorCode::ResponseTooLarge), replaced as u64);
    }

    /// Leases the versions that serve a group, and waits for those that are on their way until nobody of the group can be
    /// answered in time.
    async fn plan(&self, group: &Group, models: &Manager) -> Result<Plan, RequestError> {
        let mut plan = Plan::with_capacity(group.route.models.len());
        for (segment, choice) in group.route.models.iter().enumerate() {
            let servable = match models.lease(choice)? {
                Lease::Ready(servable) => servable,
                Lease::Waiting(first) => models.wait(choice, first, patience(group)).await?,
            };
            servable.usage.note(group.requests.len());
            let bound = self.bind(segment, &servable)?;
            plan.push((servable, bound));
        }
        Ok(plan)
    }
}

/// What every chunk needs.
pub struct Worker {
    /// What decoding must know.
    pub intakes: Intakes,
    /// The pipelines in the order of their routes.
    pub pipelines: Vec<Pipeline>,
    /// The models.
    pub models: Manager,
    /// Where answers go.
    pub producer: KafkaProducer,
}

impl Worker {
    /// Takes one chunk from messages to acknowledged answers.
    ///
    /// Guarantee: `Ok` only when every message of the chunk has exactly one answer that the broker has acknowledged.
    ///
    /// # Errors
    /// If an answer could not be published: the chunk must not be committed.
    pub async fn mill(&self, chunk: &Chunk) -> Result<(), WorkerError> {
        let Decoded { ids, groups, refused } = self.decode(chunk);
        let ids = &ids;
        let answered = groups.into_iter().map(|group| self.answer(chunk, ids, group));
        tokio::try_join!(self.answer_refused(chunk, ids, &refused), try_join_all(answered))?;
        Ok(())
    }

    fn decode(&self, chunk: &Chunk) -> Decoded {
        let started = Instant::now();
        let decoded = codec::decode(chunk, &self.intakes);
        // A chunk is mostly of one pipeline; the first message's stands for all.
        let pipeline = self.intakes.topics[chunk.message(0).topic].1;
        self.pipelines[pipeline].metrics.stage(Stage::Decode, started.elapsed());
        decoded
    }

    /// Takes one group through its pipeline and publishes its answers.
    async fn answer(&self, chunk: &Chunk, ids: &Ids, mut group: Group) -> Result<(), WorkerError> {
        let pipeline = &self.pipelines[group.route.pipeline];
        let plan = pipeline.plan(&group, &self.models).await.and_then(|plan| {
            let segments: Vec<_> = plan.iter().map(|(_, bound)| Arc::clone(bound)).collect();
            admit(&mut group, &segments).map_err(|why| RequestError::new(ErrorCode::InvalidInput, why))?;
            Ok(plan)
        });
        let (groups, plan) = match plan {
            Ok(plan) => (run(&plan, group, &pipeline.metrics).await, plan),
            Err(error) => {
                group.fail_all(&error);
                (vec![group], Vec::new())
            }
        };
        let started = Instant::now();
        let from = Origin { chunk, ids, pipeline };
        let mut encoder = self.encoder(&from, groups.iter().map(|group| group.requests.len()).sum());
        encoder = encoder.naming(plan.last().map(|(servable, _)| model_of(servable)));
        groups.iter().for_each(|group| encoder.group(group));
        pipeline.metrics.stage(Stage::Encode, started.elapsed());
        let requests = groups.iter().flat_map(|group| &group.requests);
        let callers = requests.map(|request| (Caller::from(request), request.failure.as_ref()));
        let replaced = self.publish(&from, encoder.finish(), callers).await?;
        pipeline.count(&groups, replaced);
        Ok(())
    }

    /// Answers what could not be decoded.
    async fn answer_refused(&self, chunk: &Chunk, ids: &Ids, refused: &[Refused]) -> Result<(), WorkerError> {
        for run in refused.chunk_by(|left, right| left.pipeline == right.pipeline) {
            let pipeline = &self.pipelines[run[0].pipeline];
            let from = Origin { chunk, ids, pipeline };
            let mut encoder = self.encoder(&from, run.len());
            run.iter().for_each(|refused| encoder.refused(refused));
            let answers = encoder.finish();
            pipeline.metrics.dead_letters((answers.entries.len() - run.len()) as u64);
            let callers = run.iter().map(|refused| (Caller::from(refused), Some(&refused.error)));
            self.publish(&from, answers, callers).await?;
            run.iter().for_each(|refused| pipeline.metrics.answered(Some(refused.error.code()), 1));
        }
        Ok(())
    }

    fn encoder<'a>(&'a self, from: &Origin<'a>, requests: usize) -> Encoder<'a> {
        Encoder::new(from.chunk, &self.intakes.topics, from.ids, &from.pipeline.outlet, requests)
    }

    /// Publishes the answers to `callers`, each with the error that it is told, if it is one. Returns how many results were
    /// too large for their topic, so that their callers were told that instead.
    async fn publish<'a>(
        &self,
        from: &Origin<'_>,
        answers: Answers,
        callers: impl Iterator<Item = (Caller, Option<&'a RequestError>)> + Clone,
    ) -> Result<usize, WorkerError> {
        let started = Instant::now();
        let too_large = self.producer.publish(from.chunk, answers).await?.too_large;
        let replaced = if too_large.is_empty() { 0 } else { self.replace(from, &too_large, callers.clone()).await? };
        from.pipeline.metrics.stage(Stage::Publish, started.elapsed());
        let timestamps = callers.map(|(caller, _)| from.chunk.message(caller.message).timestamp);
        from.pipeline.metrics.latencies(now(), timestamps);
        Ok(replaced)
    }
}

/// Where requests come from.
struct Origin<'a> {
    chunk: &'a Chunk,
    ids: &'a Ids,
    pipeline: &'a Pipeline,
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn model_of(servable: &Servable) -> Model<'_> {
    Model { name: &servable.id.name, version: &servable.version, digest: &servable.digest }
}

/// Runs a group through all segments. More groups than one may come back: failed requests part from their neighbours before
/// a model runs, and so do requests whose outputs differ in shape.
async fn run(plan: &Plan, group: Group, metrics: &PipelineMetrics) -> Vec<Group> {
    let mut groups = vec![group];
    for (servable, bound) in plan {
        let mut next = Vec::with_capacity(groups.len());
        for mut group in groups {
            let started = Instant::now();
            refuse_unknown_outputs(&mut group, plan);
            expire(&mut group);
            apply(&bound.before, &mut group, ErrorCode::PreprocessFailed);
            let prepared = Instant::now();
            let predicted = servable.predict(group).await;
            let ran = Instant::now();
            next.extend(predicted.groups);
            metrics.stage(Stage::Queue, predicted.waited);
            metrics.stage(Stage::Inference, (ran - prepared).saturating_sub(predicted.waited));
            metrics.stage(Stage::Steps, prepared - started);
        }
        if !bound.after.is_empty() {
            let started = Instant::now();
            next.iter_mut().for_each(|group| apply(&bound.after, group, ErrorCode::PostprocessFailed));
            metrics.stage(Stage::Steps, started.elapsed());
        }
        groups = next;
    }
    groups
}

/// How long the last of a group's requests can wait.
fn patience(group: &Group) -> Duration {
    let latest = group.requests.iter().map(|request| request.deadline).max().unwrap_or(Request::NO_DEADLINE);
    let millis = if latest == Request::NO_DEADLINE { i64::from(u32::MAX) } else { latest.saturating_sub(now()) };
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Fails the requests whose time is up, before anything is spent on them.
fn expire(group: &mut Group) {
    let Some(earliest) = group.requests.iter().map(|request| request.deadline).min() else { return };
    if earliest == Request::NO_DEADLINE {
        return;
    }
    let now = now();
    for request in group.requests.iter_mut().filter(|request| request.deadline <= now) {
        let why = "the request's time was up before the model could run";
        request.failure.get_or_insert_with(|| RequestError::new(ErrorCode::DeadlineExceeded, why));
    }
}

/// Fails the requests that ask for outputs which the pipeline does not give.
fn refuse_unknown_outputs(group: &mut Group, plan: &Plan) {
    let Some((_, last)) = plan.last() else { return };
    for request in &mut group.requests {
        let asked = request.options.as_ref().and_then(|options| options.outputs.as_ref());
        if let Some(unknown) = asked.and_then(|names| names.iter().find(|name| !last.answer.contains(name))) {
            let outputs: Vec<_> = last.answer.iter().map(|name| format!("`{name}`")).collect();
            let why = format!("there is no output `{unknown}`; the pipeline gives {}", outputs.join(", "));
            request.failure.get_or_insert_with(|| RequestError::new(ErrorCode::InvalidInput, why));
        }
    }
}

/// Applies steps to a group's columns; `code` is what a refused row is answered with. A step that panics is a fault of ours
/// that its group is answered with, not the end of the worker.
fn apply(steps: &[BoundStep], group: &mut Group, code: ErrorCode) {
    for BoundStep { name, step } in steps {
        if group.is_lost() {
            return;
        }
        let mut refusals = Refusals::default();
        let columns = &mut group.columns;
        let outcome = catch_unwind(AssertUnwindSafe(|| step.apply(columns, &mut refusals)));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => group.fail_all(&RequestError::new(code, format!("step `{name}`: {error}"))),
            Err(_) => group.fail_all(&RequestError::new(ErrorCode::Internal, format!("step `{name}` panicked"))),
        }
        for (row, why) in refusals.into_rows() {
            group.fail_row(row, RequestError::new(code, format!("step `{name}`: {why}")));
        }
    }
}
