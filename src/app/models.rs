//! The models of a worker, set going: a store, an eye on it, a keeper, and loader threads.
//!
//! Everything is in place and the first look's models are loaded before the first request is taken; from then on it goes by
//! itself. What becomes of versions is told to the admin endpoint, to the metrics and the log.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, bail};
use parking_lot::Mutex;

use super::{
    checks,
    layout::Layout,
    notifications,
    opener::{self, Pipelines, WorkerOpener},
    shutdown::Shutdown,
    wanted::Chooser,
};
use crate::{
    admin::{ModelControl, ModelState, ModelStatus, ModelUsage, Status},
    broker::kafka::{announcer::Announcer, notifications::Notifications},
    codec::event::ModelEvent,
    config::{PipelineConfig, ServerConfig, Settings},
    metrics::RepositoryMetrics,
    model::{
        cache::{Cache, CacheOptions},
        keeper::{Keeper, MemoryOptions, Message, Observer, Reply, State, VersionStatus, Wanted},
        loading::{Files, LoaderThreads},
        manager::Manager,
        servable::{Servable, ServableId},
        source::{Repository, Source},
        watcher::{Poker, REST, Watcher},
    },
    store::{self, Store, StoreError},
    tensor::Name,
    worker::Worker,
};

/// How often a store that cannot be reached at the start is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a model that an operator wants loaded, and that is not known, may take to be seen in the repository.
const NEWS: Duration = Duration::from_secs(2);

/// How long an outage goes on before the log repeats it.
const REMINDER: Duration = Duration::from_secs(60);

/// The models, as long as this is held.
pub struct Models {
    /// Where groups lease versions.
    pub manager: Manager,
    pipelines: Pipelines,
    _keeper: KeeperThread,
    _notifications: Option<Notifications>,
}

impl Models {
    /// Sets everything going and waits until the models of the first look are loaded, or cannot be: that stops nothing.
    /// A store that cannot be reached is waited for, unless a stop is asked for.
    ///
    /// # Errors
    /// If there is no such repository, it refuses us, or the disk cache cannot be used.
    pub fn start(
        server: &ServerConfig,
        pipelines: &[PipelineConfig],
        layout: Layout,
        status: &Arc<Status>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let store = store::open(&server.models.repository, &server.models.s3)?;
        let chooser = Chooser::new(&server.models, pipelines)?;
        let (inbox, messages) = mpsc::channel();
        let manager = Manager::new(inbox);
        let (versions, bound) = (Arc::new(AtomicUsize::new(1)), Pipelines::default());
        let opener = WorkerOpener {
            server: server.clone(),
            places: checks::places(pipelines),
            layout,
            versions: Arc::clone(&versions),
            pipelines: Arc::clone(&bound),
        };
        let loader = LoaderThreads::start(files(server, &store)?, Box::new(opener), manager.clone())
            .context("threads to load models cannot be started")?;
        let follower = Follower {
            status: Arc::clone(status),
            pipelines: Arc::clone(&bound),
            announcer: announcer(server)?,
            worker: worker_name(),
        };
        let keeper = Keeper::new(memory(server), manager.clone(), Box::new(loader), Box::new(follower));
        let keeper = Builder::new().name("models".to_owned()).spawn(move || keeper.run(&messages))?;
        let keeper = KeeperThread { manager: manager.clone(), thread: Some(keeper) };
        let choose = Box::new(choose(chooser, versions));
        let mut watcher = Watcher::new(Arc::clone(&store), choose, Box::new(look_observer()), manager.clone());
        first_look(&mut watcher, &*store, shutdown)?;
        wait_until_settled(&manager, shutdown);
        let poker = watcher
            .start(server.models.poll_interval.into())
            .context("a thread to watch the repository cannot be started")?;
        let notifications = notifications::listen(server, poker.clone())?;
        status.set_control(Arc::new(Control { manager: manager.clone(), poker }));
        Ok(Self { manager, pipelines: bound, _keeper: keeper, _notifications: notifications })
    }

    /// Has the pipelines of `worker` ready for every version before it serves, from now on.
    pub fn attach(&self, worker: &Arc<Worker>) {
        // There is one worker.
        drop(self.pipelines.set(Arc::downgrade(worker)));
        self.manager.serving().iter().for_each(|servable| opener::bind(worker, servable));
    }
}

/// Passes an operator's wishes on.
struct Control {
    manager: Manager,
    poker: Poker,
}

impl Control {
    fn ask(&self, message: impl Fn(Name, Reply) -> Message, model: &str) -> Result<(), String> {
        let (reply, answer) = mpsc::channel();
        self.manager.tell(message(model.into(), reply));
        answer.recv().unwrap_or_else(|_| Err("the worker is stopping".to_owned()))
    }
}

impl ModelControl for Control {
    fn load(&self, model: &str) -> Result<(), String> {
        // It may have been put there a moment ago; the look that finds it takes some time.
        self.poker.poke();
        let deadline = Instant::now() + NEWS;
        loop {
            match self.ask(Message::Load, model) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(REST / 5),
                answer => return answer,
            }
        }
    }

    fn unload(&self, model: &str) -> Result<(), String> {
        self.ask(Message::Unload, model)
    }
}

/// The keeper's thread, which ends with this.
struct KeeperThread {
    manager: Manager,
    thread: Option<JoinHandle<()>>,
}

impl Drop for KeeperThread {
    fn drop(&mut self) {
        self.manager.tell(Message::Stop);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn announcer(server: &ServerConfig) -> anyhow::Result<Option<Announcer>> {
    let Some(topic) = &server.models.events_topic else { return Ok(None) };
    let announcer = Announcer::new(&super::kafka_settings(server), topic);
    Ok(Some(announcer.context("the Kafka producer of model events cannot be created")?))
}

fn memory(server: &ServerConfig) -> MemoryOptions {
    let memory = &server.models.memory;
    MemoryOptions {
        budget: memory.budget.map(|budget| budget.bytes() as u64),
        idle_timeout: memory.idle_timeout.map(Duration::from),
    }
}

/// Chooses versions, counts them, and says of which models there are none.
fn choose(chooser: Chooser, versions: Arc<AtomicUsize>) -> impl Fn(&Repository) -> BTreeMap<Name, Wanted> {
    let reported = Mutex::new(Vec::new());
    move |repository| {
        let wanted = chooser.wanted(repository);
        versions.store(wanted.values().map(|wanted| wanted.contents.len()).sum(), Ordering::Relaxed);
        report(&chooser, repository, &mut reported.lock());
        wanted
    }
}

fn wait_until_settled(manager: &Manager, shutdown: &Shutdown) {
    let (reply, settled) = mpsc::channel();
    manager.tell(Message::Settled(reply));
    while !shutdown.is_requested() && settled.recv_timeout(AGAIN) == Err(mpsc::RecvTimeoutError::Timeout) {}
}

/// Where the files of versions are: in the repository's own folder, or in the disk cache.
fn files(server: &ServerConfig, store: &Arc<dyn Store>) -> anyhow::Result<Files> {
    if let Some(folder) = store.folder() {
        // A folder that is not there now is a mistake in the file; later on, it is an outage.
        if !folder.is_dir() {
            bail!("the model repository `{}` is no folder: create it, or set `models.repository`", folder.display());
        }
        return Ok(Files::InPlace(folder.to_owned()));
    }
    let cache = &server.models.cache;
    let options = CacheOptions {
        directory: cache.directory.clone(),
        max_size: cache.max_size.bytes() as u64,
        repository: server.models.repository.clone(),
    };
    Ok(Files::Cached(Cache::open(options)?, Arc::clone(store)))
}

/// Looks at the repository until that succeeds.
fn first_look(watcher: &mut Watcher, store: &dyn Store, shutdown: &Shutdown) -> anyhow::Result<()> {
    loop {
        match watcher.first_look() {
            Ok(()) => return Ok(()),
            Err(StoreError::Unreachable(_)) if store.folder().is_none() && !shutdown.is_requested() => {
                std::thread::sleep(AGAIN);
            }
            Err(error) => return Err(error).context("the models of the repository cannot be listed"),
        }
    }
}

/// What was seen at the look before, and whether it was reported.
type Reported = Vec<(String, bool)>;

/// Says once of each model that it has no version to serve; of one that may be only just coming, when it was so before.
fn report(chooser: &Chooser, repository: &Repository, reported: &mut Reported) {
    let seen = |(sentence, waits): (String, bool)| {
        let before = reported.iter().find(|(before, _)| *before == sentence).map(|(_, reported)| *reported);
        let is_due = before == Some(false) || (before.is_none() && !waits);
        if is_due {
            tracing::error!("{sentence}; its requests are answered with UNKNOWN_MODEL");
        }
        let is_reported = is_due || before == Some(true);
        (sentence, is_reported)
    };
    let now = chooser.absent(repository).into_iter().map(seen).collect();
    *reported = now;
}

/// Tells an outage of the store once, and then from time to time.
fn look_observer() -> impl FnMut(Result<Duration, &StoreError>) + Send {
    let (metrics, mut outage, mut has_seen) = (RepositoryMetrics::new(), None::<(Instant, Instant)>, false);
    move |look| {
        metrics.looked(look.as_ref().ok().copied());
        let now = Instant::now();
        has_seen |= look.is_ok();
        match (look, &mut outage) {
            // A worker that cannot start says that by itself.
            (Err(error), _) if !has_seen && !matches!(error, StoreError::Unreachable(_)) => {}
            (Ok(_), Some((since, _))) => {
                tracing::info!(outage = ?since.elapsed(), "the model repository answers again");
                outage = None;
            }
            (Ok(_), None) => {}
            (Err(error), Some((since, told))) => {
                if told.elapsed() >= REMINDER {
                    *told = now;
                    tracing::warn!(outage = ?since.elapsed(), %error, "the model repository still cannot be looked at");
                }
            }
            (Err(error), None) => {
                outage = Some((now, now));
                if has_seen {
                    tracing::warn!(%error, "the model repository cannot be looked at; what serves goes on");
                } else {
                    tracing::warn!(%error, "the model repository cannot be looked at; retrying until it answers");
                }
            }
        }
    }
}

/// The models that the worker should serve and the repository has no version of, one sentence each.
pub fn absent(settings: &Settings) -> Vec<String> {
    let Settings { server, pipelines } = settings;
    let looked = || -> anyhow::Result<Vec<String>> {
        let store = store::open(&server.models.repository, &server.models.s3)?;
        let mut source = Source::new(REST);
        let mut look = || source.look(store.list()?, &mut |object, most| store.read(&object.path, most));
        look()?;
        std::thread::sleep(REST);
        let absent = Chooser::new(&server.models, pipelines)?.absent(&look()?);
        Ok(absent.into_iter().map(|(sentence, _)| sentence).collect())
    };
    looked().unwrap_or_else(|error| vec![format!("{error:#}")])
}

/// Tells what becomes of versions.
struct Follower {
    status: Arc<Status>,
    pipelines: Pipelines,
    /// The topic of events, if there is one.
    announcer: Option<Announcer>,
    /// This worker's name in them.
    worker: String,
}

impl Follower {
    fn announce(&self, id: &ServableId, state: &str, status: Option<&VersionStatus>) {
        let Some(announcer) = &self.announcer else { return };
        let servable = status.and_then(|status| status.servable.as_deref());
        let event = ModelEvent {
            model: &id.name,
            version: id.version,
            state,
            reason: status.and_then(|status| status.reason.as_deref()),
            digest: servable.map(|servable| servable.digest.as_str()),
            memory_bytes: servable.map(|servable| servable.memory),
            worker: &self.worker,
            time: status.map_or_else(SystemTime::now, |status| status.since),
        };
        announcer.announce(&id.name, &event.to_json());
    }
}

/// This worker among others: its host and process.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), std::process::id())
}

impl Observer for Follower {
    fn retired(&self, servable: &Arc<Servable>) {
        if let Some(worker) = self.pipelines.get().and_then(std::sync::Weak::upgrade) {
            worker.pipelines.iter().for_each(|pipeline| pipeline.forget(servable.serial));
        }
    }

    fn changed(&self, id: &ServableId, status: Option<&VersionStatus>) {
        let state = status.map_or("gone", |status| state_of(status.state).as_str());
        match status {
            Some(_) => tracing::debug!(model = %id, state, "model version"),
            None => tracing::info!(model = %id, "the version is not served any more"),
        }
        self.announce(id, state, status);
    }

    fn models(&self, models: Vec<(Name, Vec<VersionStatus>)>) {
        let models = models.into_iter();
        self.status.set_models(models.map(|(name, versions)| (name, versions.into_iter().map(status_of).collect())));
    }
}

fn state_of(state: State) -> ModelState {
    match state {
        State::Aspired => ModelState::Aspired,
        State::Loading => ModelState::Loading,
        State::Available => ModelState::Available,
        State::Unloaded => ModelState::Unloaded,
        State::Retiring => ModelState::Retiring,
        State::Failed => ModelState::Failed,
    }
}

/// Who has used a version, for whoever asks.
fn usage(servable: &Servable) -> ModelUsage {
    let usage = Arc::clone(&servable.usage);
    ModelUsage::new(move || (usage.idle(), usage.requests()))
}

fn status_of(status: VersionStatus) -> ModelStatus {
    let VersionStatus { id, state, since, reason, servable } = status;
    ModelStatus {
        name: id.name,
        version: id.version,
        state: state_of(state),
        since: Some(since),
        reason: reason.map(|reason| reason.to_string()),
        digest: servable.as_ref().map(|servable| servable.digest.clone()),
        loaded_at: servable.as_ref().map(|servable| servable.since),
        memory: servable.as_ref().map(|servable| servable.memory),
        signature: servable.as_ref().map(|servable| Arc::clone(&servable.signature)),
        usage: servable.map(|servable| usage(&servable)),
    }
}
