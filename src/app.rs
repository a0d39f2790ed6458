//! The composition root: the one place that builds every part of a worker, runs it, and takes it down again.
//!
//! Threads: one consumer (serves the group, takes chunks), one for delivery reports, one for each session of each model, one
//! for the admin endpoint, and the compute pool, on which every chunk is a task; [`layout`] says how many. Nothing that
//! computes for longer than a wake-up takes runs where it could delay the group, the admin endpoint or a model.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{runtime, sync::mpsc};

use crate::{
    admin::{AdminServer, Status},
    broker::{
        budget::Load,
        kafka::{
            Reach,
            beginning::Beginning,
            consumer::{ConsumerOptions, Drained, FAREWELL, KafkaConsumer},
            entrance::{self, Needs},
            settings::KafkaSettings,
            topics::Creation,
        },
    },
    codec::inflate::Room,
    config::{Delivery, OnStart, PipelineConfig, ServerConfig, Settings},
    error::WorkerError,
    metrics::Metrics,
    worker::Worker,
};
use events::Events;
use layout::Layout;
use models::Models;
use shutdown::Shutdown;
use tasks::Tasks;

pub mod checks;
mod choice;
mod delivery;
mod events;
mod journal;
mod layout;
mod models;
mod notifications;
pub mod online;
mod opener;
mod pipelines;
mod registry;
pub mod shutdown;
mod tasks;
mod wanted;

/// How long a worker that has failed waits for what is in flight: some of it may still be committed.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// A worker, built and not yet running.
pub struct App {
    server: ServerConfig,
    worker: Arc<Worker>,
    _models: Models,
    compute: runtime::Runtime,
    topics: Vec<String>,
    kafka: KafkaSettings,
    reach: Arc<Reach>,
    status: Arc<Status>,
    admin: AdminServer,
    started: Instant,
}

/// How a worker ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to stop, and did.
    Stopped(Drained),
    /// It could not go on.
    Failed(WorkerError),
}

impl App {
    /// Builds every part and loads the models; the admin endpoint answers from the start. Blocks until the broker answers,
    /// unless a stop is asked for. `metrics` must be installed, or nothing is counted.
    ///
    /// # Errors
    /// What keeps a worker from starting: a port in use, an unreadable repository, missing topics.
    pub fn build(settings: Settings, shutdown: &Shutdown, metrics: Metrics) -> anyhow::Result<Self> {
        let started = Instant::now();
        let Settings { server, pipelines } = settings;
        let kafka = kafka_settings(&server);
        if let Some(problem) = kafka.problem() {
            bail!(problem);
        }
        let layout = Layout::of(&server);
        let compute = runtime::Builder::new_multi_thread()
            .worker_threads(layout.compute)
            .thread_name("compute")
            .enable_all()
            .build()
            .context("the compute pool cannot be started")?;
        let status = Arc::new(Status::new(pipelines::statuses(&pipelines)));
        let admin = AdminServer::start(server.admin.listen, Arc::clone(&status), metrics)?;
        tracing::info!(address = %admin.local_addr(), "admin endpoint");
        let models = Models::start(&server, &pipelines, layout, &status, shutdown)?;
        layout.report(&models.manager.serving());
        let names = TopicNames::of(&pipelines);
        {
            let _runtime = compute.enter();
            let (timeout, is_stopping) = (server.startup_timeout.into(), || shutdown.is_requested());
            entrance::ensure(&kafka, &names.needs(&server), creation(&server), timeout, &is_stopping)?;
        }
        let reach = Arc::<Reach>::default();
        let outbox = delivery::outbox(&server, &pipelines, &kafka, &names, Arc::clone(&reach))?;
        let worker = Worker {
            intakes: pipelines::intakes(&pipelines, &names.requests)?,
            pipelines: pipelines::build(&pipelines, &names.outputs),
            models: models.manager.clone(),
            outbox,
            room: Room::new(server.limits.inflated_bytes.bytes()),
            registry: registry::open(&server, &pipelines, &compute)?,
        };
        let worker = Arc::new(worker);
        models.attach(&worker);
        registry::announce(&worker, &compute)?;
        Ok(Self {
            server,
            worker,
            _models: models,
            compute,
            topics: names.requests,
            kafka,
            reach,
            status,
            admin,
            started,
        })
    }

    /// Where the admin endpoint listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Runs until a stop is asked for or the worker fails, and drains.
    ///
    /// # Errors
    /// If the consumer cannot be started.
    pub fn run(self, shutdown: &Shutdown) -> anyhow::Result<Ended> {
        let patience = Duration::from(self.server.shutdown_timeout).saturating_sub(FAREWELL).max(FAREWELL);
        let (failures, mut failed) = mpsc::unbounded_channel();
        let (worker, status) = (Arc::clone(&self.worker), Arc::clone(&self.status));
        let tasks = Tasks::new(self.compute.handle().clone(), self.topics.len());
        let watch = Watch(failures.clone());
        let events = Events::new(worker, tasks, failures, status, self.started);
        let options = consumer_options(&self.server, &self.topics, patience);
        let (ahead, max_wait) = (options.in_flight.bytes, self.server.kafka.max_wait.into());
        let memory = journal::open(&self.server, &self.kafka, &self.topics);
        let journal = memory.journal.clone();
        let config = self.kafka.consumer(ahead, max_wait);
        let consumer = KafkaConsumer::new(&config, options, Arc::new(events), memory, self.reach)
            .context("the Kafka consumer cannot be created")?;
        self.worker.outbox.speak_for(consumer.membership());
        let stopper = consumer.stopper();
        let failing = stopper.clone();
        let (ended, has_ended) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("consumer".to_owned())
            .spawn(move || {
                let _watch = watch;
                ended.send(consumer.run())
            })
            .context("the consumer's thread cannot be started")?;
        let outbox = &self.worker.outbox;
        let failure = self.compute.block_on(async move {
            tokio::select! {
                () = shutdown.requested() => None,
                Some(error) = failed.recv() => Some(error),
                error = failing.failed() => Some(error),
                error = outbox.failed() => Some(error),
            }
        });
        if failure.is_some() {
            // Why is said once, by the last line.
            tracing::warn!("the worker has failed: it commits what is answered, leaves its group and says why");
        }
        journal::end(journal.as_deref(), failure.as_ref());
        self.status.set_stopping();
        let patience = if failure.is_some() { LAST_PATIENCE } else { patience };
        stopper.stop(patience);
        let drained = has_ended.recv_timeout(patience + FAREWELL);
        self.compute.shutdown_background();
        self.admin.stop();
        match (failure, drained) {
            (_, Ok(Err(error))) => Err(error).context("the consumer could not subscribe"),
            (Some(error), _) => Ok(Ended::Failed(error)),
            (None, Ok(Ok(drained))) => Ok(Ended::Stopped(drained)),
            (None, Err(_)) => Ok(Ended::Stopped(Drained { complete: false })),
        }
    }
}

/// Tells that the consumer's thread is gone, whatever ended it; nobody listens any more if it was asked to stop.
struct Watch(mpsc::UnboundedSender<WorkerError>);

impl Drop for Watch {
    fn drop(&mut self) {
        let _stopping = self.0.send(WorkerError::PartEnded("the consumer"));
    }
}

fn consumer_options(server: &ServerConfig, topics: &[String], patience: Duration) -> ConsumerOptions {
    let limits = &server.limits;
    let commits = server.delivery == Delivery::AtLeastOnce;
    ConsumerOptions {
        topics: topics.to_vec(),
        chunk: Load { messages: limits.chunk_messages.get(), bytes: limits.chunk_bytes.bytes() },
        in_flight: Load { messages: server.in_flight_messages(), bytes: limits.in_flight_bytes.bytes() },
        commit_interval: commits.then(|| server.kafka.commit_interval.into()),
        drain_timeout: patience,
    }
}

/// The topics of all pipelines, each once, in the order in which messages and answers name them by index.
struct TopicNames {
    requests: Vec<String>,
    outputs: Vec<String>,
}

impl TopicNames {
    fn of(pipelines: &[PipelineConfig]) -> Self {
        let requests = pipelines.iter().flat_map(|pipeline| pipeline.input.topics.iter().cloned()).collect();
        let outputs: BTreeSet<String> = pipelines
            .iter()
            .flat_map(|pipeline| [Some(&pipeline.output.topic), pipeline.output.dead_letter_topic.as_ref()])
            .flatten()
            .cloned()
            .collect();
        Self { requests, outputs: outputs.into_iter().collect() }
    }

    fn needs(&self, server: &ServerConfig) -> Needs {
        let written = self.outputs.iter().chain(&server.models.events_topic).cloned().collect();
        let beginning = match server.kafka.on_start {
            OnStart::Earliest => Beginning::Earliest,
            OnStart::Latest => Beginning::Latest,
            OnStart::Committed => Beginning::Committed,
        };
        Needs { read: self.requests.iter().cloned().collect(), written, beginning }
    }
}

fn kafka_settings(server: &ServerConfig) -> KafkaSettings {
    let properties: BTreeMap<_, _> =
        server.kafka.properties.iter().map(|(name, value)| (name.clone(), value.as_str().to_owned())).collect();
    KafkaSettings { brokers: server.kafka.brokers.clone(), group: server.kafka.group.clone(), properties }
}

fn creation(server: &ServerConfig) -> Option<Creation> {
    let create = &server.kafka.create_topics;
    // -1 leaves the number to the broker.
    let or_default = |number: Option<std::num::NonZeroU16>| number.map_or(-1, |number| i32::from(number.get()));
    create
        .enabled
        .then(|| Creation { partitions: or_default(create.partitions), replication: or_default(create.replication) })
}
