//! A keeper whose loads are ended by the test: what requests see, step by step.

use std::{path::PathBuf, time::SystemTime};

use parking_lot::Mutex;

use super::*;
use crate::{
    backend::{BatchAxis, Batching, Signature, scripted::ScriptedSession},
    error::ErrorCode,
    model::{
        batcher::{BatchOptions, Batcher},
        manager::Lease,
    },
    request::{ModelChoice, VersionChoice},
    store::Object,
};

/// What was begun and ended, for the test to look at.
#[derive(Clone, Default)]
struct Script {
    jobs: Arc<Mutex<Vec<Job>>>,
    ended: Arc<Mutex<Vec<ServableId>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Loading for Script {
    fn slots(&self) -> usize {
        2
    }

    fn load(&self, job: Job) {
        self.jobs.lock().push(job);
    }

    fn end(&self, servable: Arc<Servable>) {
        assert_eq!(Arc::strong_count(&servable), 1, "{} is in use", servable.id);
        self.ended.lock().push(servable.id.clone());
    }
}

impl Observer for Script {
    fn retired(&self, _: &Arc<Servable>) {}

    fn changed(&self, id: &ServableId, status: Option<&VersionStatus>) {
        let state = status.map_or("gone".to_owned(), |status| format!("{:?}", status.state));
        self.told.lock().push(format!("{id} {state}"));
    }

    fn all(&self, _: Vec<VersionStatus>) {}
}

/// A worker's models, with the time in the test's hands.
struct Stage {
    keeper: Keeper,
    manager: Manager,
    script: Script,
    inbox: mpsc::Receiver<Message>,
    now: Instant,
}

fn stage(memory: MemoryOptions) -> Stage {
    let (sender, inbox) = mpsc::channel();
    let (manager, script) = (Manager::new(sender), Script::default());
    let keeper = Keeper::new(memory, manager.clone(), Box::new(script.clone()), Box::new(script.clone()));
    Stage { keeper, manager, script, inbox, now: Instant::now() }
}

fn servable(id: &ServableId, memory: u64) -> Arc<Servable> {
    let session = ScriptedSession::new(Signature::default(), Box::new(|_, _| Ok(Vec::new())));
    let batcher = Batcher::start(
        &id.name,
        vec![Box::new(session)],
        BatchAxis::Dynamic,
        BatchOptions::default(),
        Arc::new(|_| {}),
    );
    Arc::new(Servable {
        id: id.clone(),
        version: id.version.to_string(),
        digest: String::new(),
        signature: Signature::default(),
        batching: Batching { axis: BatchAxis::Dynamic, reason: String::new() },
        sessions: 1,
        threads: 1,
        folder: PathBuf::new(),
        since: SystemTime::UNIX_EPOCH,
        memory,
        serial: id.version,
        usage: Arc::default(),
        batcher: batcher.unwrap(),
        cached: None,
    })
}

/// A version of so many bytes, in its first upload or a later one.
fn content(name: &str, version: u64, size: u64, upload: &str) -> Arc<Content> {
    let file = Object { path: format!("{name}/{version}/model.onnx"), size, stamp: upload.to_owned() };
    let id = ServableId { name: name.into(), version };
    Arc::new(Content { id, files: vec![file], manifest: None, fingerprint: format!("{name}/{version} {upload}") })
}

/// The repository should serve these: `iris/3`, with 10 bytes each.
fn wanted(versions: &[&str]) -> BTreeMap<Name, Wanted> {
    let mut wanted: BTreeMap<Name, Wanted> = BTreeMap::new();
    for text in versions {
        let (name, rest) = text.split_once('/').unwrap();
        let (version, upload) = rest.split_once(' ').unwrap_or((rest, "first"));
        let content = content(name, version.parse().unwrap(), 10, upload);
        wanted.entry(name.into()).or_default().contents.push(content);
    }
    wanted
}

impl Stage {
    fn tell(&mut self, message: Message) {
        self.keeper.take(message, self.now);
        self.go_on();
    }

    /// Takes what requests have said meanwhile, and does what is due.
    fn go_on(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            self.keeper.take(message, self.now);
        }
        self.keeper.go_on(self.now);
    }

    fn look(&mut self, versions: &[&str]) {
        self.tell(Message::Looked(wanted(versions)));
    }

    /// The loads that are under way.
    fn loading(&self) -> Vec<String> {
        self.script.jobs.lock().iter().map(|job| job.content.fingerprint.replace(" first", "")).collect()
    }

    /// Ends the load that began first: with a model of so much memory, or a refusal.
    fn end(&mut self, outcome: Result<u64, &str>) {
        let job = self.script.jobs.lock().remove(0);
        let id = job.content.id.clone();
        let outcome = match outcome {
            Ok(memory) => Ok(servable(&id, memory)),
            Err(reason) => Err(Refusal { reason: reason.to_owned(), passing: false }),
        };
        drop(job.known);
        self.tell(Message::Loaded(Loaded { id, fingerprint: job.content.fingerprint.clone(), outcome }));
    }

    fn load_all(&mut self) {
        while !self.loading().is_empty() {
            self.end(Ok(10));
        }
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.go_on();
    }

    fn lease(&self, name: &str, version: &str) -> Result<Option<Arc<Servable>>, (ErrorCode, String)> {
        let version = VersionChoice::of(version).unwrap();
        match self.manager.lease(&ModelChoice { name: name.into(), version, fallback: None }) {
            Ok(Lease::Ready(servable)) => Ok(Some(servable)),
            Ok(Lease::Waiting(_)) => Ok(None),
            Err(error) => Err((error.code(), error.message().to_owned())),
        }
    }

    /// What a request gets: `iris/3`, `waits`, or the code of its error.
    fn gets(&self, name: &str, version: &str) -> String {
        match self.lease(name, version) {
            Ok(Some(servable)) => servable.id.to_string(),
            Ok(None) => "waits".to_owned(),
            Err((code, _)) => code.as_str().to_owned(),
        }
    }

    fn ended(&self) -> Vec<String> {
        self.script.ended.lock().drain(..).map(|id| id.to_string()).collect()
    }
}

#[test]
fn a_new_version_takes_over_when_it_has_passed_and_not_before() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    assert_eq!(stage.gets("iris", "latest"), "waits");
    stage.end(Ok(10));
    stage.look(&["iris/2"]);
    assert_eq!((stage.gets("iris", "latest"), stage.loading()), ("iris/1".to_owned(), vec!["iris/2".to_owned()]));
    stage.end(Ok(10));
    assert_eq!(
        (stage.gets("iris", "latest"), stage.gets("iris", "1")),
        ("iris/2".to_owned(), "UNKNOWN_MODEL".to_owned())
    );
    assert_eq!(stage.ended(), ["iris/1"]);
    let told = stage.script.told.lock().join(", ");
    assert_eq!(told, "iris/1 Loading, iris/1 Available, iris/2 Loading, iris/2 Available, iris/1 gone");
}

#[test]
fn a_version_in_use_ends_with_its_last_lease() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    stage.end(Ok(10));
    let lease = stage.lease("iris", "latest").unwrap();
    stage.look(&["iris/2"]);
    stage.end(Ok(10));
    stage.later(Duration::from_secs(60));
    assert_eq!(stage.ended(), [""; 0]);
    drop(lease);
    stage.later(SOON);
    assert_eq!(stage.ended(), ["iris/1"]);
}

#[test]
fn a_version_that_fails_leaves_the_one_before_in_service_and_is_tried_again_less_and_less_often() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    stage.end(Ok(10));
    stage.look(&["iris/2"]);
    stage.end(Err("its golden sample is wrong"));
    assert_eq!(stage.gets("iris", "latest"), "iris/1");
    let (code, why) = stage.lease("iris", "2").err().unwrap();
    assert!(code == ErrorCode::ModelUnavailable && why.contains("its golden sample is wrong"), "{why}");
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let mut pause = Duration::ZERO;
        while stage.loading().is_empty() {
            stage.later(Duration::from_secs(1));
            pause += Duration::from_secs(1);
        }
        pauses.push(pause.as_secs());
        stage.end(Err("its golden sample is wrong"));
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 600]);
    // Another upload is taken at once.
    stage.look(&["iris/2 fixed"]);
    assert_eq!(stage.loading(), ["iris/2 fixed"]);
    stage.end(Ok(10));
    assert_eq!(stage.gets("iris", "latest"), "iris/2");
}

#[test]
fn a_first_version_that_fails_answers_at_once() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    assert_eq!(stage.gets("iris", "latest"), "waits");
    stage.end(Err("no ONNX file"));
    assert_eq!(stage.gets("iris", "latest"), "MODEL_UNAVAILABLE");
    // Also while it is tried again.
    stage.later(Duration::from_secs(30));
    assert_eq!((stage.loading().len(), stage.gets("iris", "latest").as_str()), (1, "MODEL_UNAVAILABLE"));
}

#[test]
fn a_version_that_is_uploaded_again_replaces_itself_and_a_wrong_one_does_not() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    stage.end(Ok(10));
    stage.look(&["iris/1 second"]);
    stage.end(Err("damaged"));
    assert_eq!(stage.gets("iris", "1"), "iris/1");
    stage.look(&["iris/1 third"]);
    stage.end(Ok(10));
    assert_eq!((stage.gets("iris", "1"), stage.ended()), ("iris/1".to_owned(), vec!["iris/1".to_owned()]));
}

#[test]
fn a_deleted_version_gives_way_to_the_one_before_it_once_that_is_there() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/2"]);
    stage.end(Ok(10));
    stage.look(&["iris/1"]);
    assert_eq!(stage.gets("iris", "latest"), "iris/2");
    stage.end(Ok(10));
    assert_eq!((stage.gets("iris", "latest"), stage.ended()), ("iris/1".to_owned(), vec!["iris/2".to_owned()]));
    stage.look(&[]);
    assert_eq!((stage.gets("iris", "latest"), stage.ended()), ("UNKNOWN_MODEL".to_owned(), vec!["iris/1".to_owned()]));
}

#[test]
fn a_label_moves_when_its_new_version_has_passed() {
    let labelled = |versions: &[&str], stable: u64| {
        let mut wanted = wanted(versions);
        wanted.get_mut("iris").unwrap().labels.insert("stable".into(), stable);
        Message::Looked(wanted)
    };
    let mut stage = stage(MemoryOptions::default());
    stage.tell(labelled(&["iris/1"], 1));
    stage.load_all();
    stage.tell(labelled(&["iris/1", "iris/2"], 2));
    assert_eq!(stage.gets("iris", "stable"), "iris/1");
    stage.end(Err("wrong"));
    assert_eq!(stage.gets("iris", "stable"), "iris/1");
    stage.tell(labelled(&["iris/1", "iris/2 fixed"], 2));
    stage.end(Ok(10));
    assert_eq!(stage.gets("iris", "stable"), "iris/2");
    // Back again: it is still in memory.
    stage.tell(labelled(&["iris/1", "iris/2 fixed"], 1));
    assert_eq!(stage.gets("iris", "stable"), "iris/1");
}

#[test]
fn models_beyond_the_budget_wait_for_somebody_to_ask_and_the_ones_used_longest_ago_make_room() {
    let mut stage = stage(MemoryOptions { budget: Some(25), idle_timeout: None });
    stage.look(&["a/1", "b/1", "c/1"]);
    stage.load_all();
    assert_eq!([stage.gets("a", "1"), stage.gets("b", "1")], ["a/1", "b/1"]);
    std::thread::sleep(Duration::from_millis(5));
    stage.lease("a", "1").unwrap().unwrap().usage.note(1);
    assert_eq!((stage.gets("c", "latest").as_str(), stage.gets("c", "latest").as_str()), ("waits", "waits"));
    stage.go_on();
    assert_eq!((stage.ended(), stage.loading()), (vec!["b/1".to_owned()], vec!["c/1".to_owned()]));
    stage.end(Ok(10));
    assert_eq!([stage.gets("a", "1"), stage.gets("c", "1"), stage.gets("b", "1")], ["a/1", "c/1", "waits"]);
}

#[test]
fn a_model_in_use_stays_and_who_waits_gets_its_turn_when_it_is_done() {
    let mut stage = stage(MemoryOptions { budget: Some(15), idle_timeout: None });
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    let lease = stage.lease("a", "1").unwrap();
    assert_eq!(stage.gets("b", "1"), "waits");
    stage.later(SOON);
    assert_eq!((stage.ended(), stage.loading()), (vec![], vec![]));
    drop(lease);
    stage.later(SOON);
    assert_eq!((stage.ended(), stage.loading()), (vec!["a/1".to_owned()], vec!["b/1".to_owned()]));
}

#[test]
fn a_model_larger_than_the_budget_is_refused_with_a_sentence() {
    let mut stage = stage(MemoryOptions { budget: Some(15), idle_timeout: None });
    stage.look(&["a/1"]);
    stage.end(Ok(64 << 20));
    let (code, why) = stage.lease("a", "1").err().unwrap();
    assert_eq!(code, ErrorCode::ModelUnavailable);
    assert!(why.contains("it takes 64.0 MiB of memory") && why.contains("raise models.memory.budget"), "{why}");
}

#[test]
fn a_model_that_nobody_uses_leaves_memory_and_comes_back_when_it_is_asked_for() {
    let mut stage = stage(MemoryOptions { budget: None, idle_timeout: Some(Duration::from_millis(20)) });
    stage.look(&["a/1"]);
    stage.load_all();
    while stage.ended().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
        stage.go_on();
    }
    assert_eq!(stage.loading(), [""; 0]);
    assert_eq!(stage.gets("a", "latest"), "waits");
    stage.go_on();
    assert_eq!(stage.loading(), ["a/1"]);
    stage.end(Ok(10));
    assert_eq!(stage.gets("a", "latest"), "a/1");
}

#[test]
fn an_operator_unloads_a_model_and_loads_it_again() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1"]);
    stage.load_all();
    let (reply, replies) = mpsc::channel();
    stage.tell(Message::Unload("a".into(), reply.clone()));
    assert_eq!((stage.gets("a", "1"), stage.ended()), ("MODEL_UNAVAILABLE".to_owned(), vec!["a/1".to_owned()]));
    stage.tell(Message::Load("a".into(), reply.clone()));
    assert_eq!((stage.gets("a", "1"), stage.loading()), ("waits".to_owned(), vec!["a/1".to_owned()]));
    stage.tell(Message::Load("nobody".into(), reply));
    let replies: Vec<_> = replies.try_iter().collect();
    assert!(replies[..2] == [Ok(()), Ok(())] && replies[2].as_ref().unwrap_err().contains("no model `nobody`"));
}

#[test]
fn a_model_that_goes_while_it_is_loaded_never_serves() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1"]);
    stage.look(&[]);
    stage.end(Ok(10));
    assert_eq!((stage.gets("a", "1"), stage.ended()), ("UNKNOWN_MODEL".to_owned(), vec!["a/1".to_owned()]));
}

#[test]
fn whoever_waits_for_the_first_models_is_told_when_nothing_is_left_to_load() {
    let mut stage = stage(MemoryOptions { budget: Some(25), idle_timeout: None });
    let (reply, settled) = mpsc::channel();
    stage.look(&["a/1", "b/1", "c/1"]);
    stage.tell(Message::Settled(reply));
    assert!(settled.try_recv().is_err());
    stage.load_all();
    assert!(settled.try_recv().is_ok());
}

#[tokio::test]
async fn who_waits_gets_the_version_as_soon_as_it_is_there_or_hears_that_its_time_is_up() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1"]);
    let choice = ModelChoice { name: "a".into(), version: VersionChoice::Latest, fallback: None };
    let Ok(Lease::Waiting(first)) = stage.manager.lease(&choice) else { panic!("it is not there") };
    let late = stage.manager.wait(&choice, first, Duration::from_millis(10)).await.err().unwrap();
    assert_eq!(late.code(), ErrorCode::DeadlineExceeded);
    let Ok(Lease::Waiting(first)) = stage.manager.lease(&choice) else { panic!("it is not there") };
    let manager = stage.manager.clone();
    let waits = tokio::spawn(async move { manager.wait(&choice, first, Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    stage.end(Ok(10));
    assert_eq!(waits.await.unwrap().unwrap().id.to_string(), "a/1");
}
