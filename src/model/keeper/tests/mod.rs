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
        servable::Servable,
        source::Content,
    },
    request::{ModelChoice, VersionChoice},
    store::Object,
};

mod room;
mod stand_in;
mod versions;

/// What was begun and ended, for the test to look at.
#[derive(Clone, Default)]
struct Script {
    jobs: Arc<Mutex<Vec<Job>>>,
    ended: Arc<Mutex<Vec<ServableId>>>,
    told: Arc<Mutex<Vec<String>>>,
    /// What the last word on each model was: its versions with states and reasons.
    known: Arc<Mutex<BTreeMap<Name, String>>>,
    retired: Arc<Mutex<Vec<ServableId>>>,
}

impl Loading for Script {
    fn slots(&self) -> usize {
        3
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
    fn retired(&self, servable: &Arc<Servable>) {
        self.retired.lock().push(servable.id.clone());
    }

    fn changed(&self, id: &ServableId, status: Option<&VersionStatus>) {
        let state = status.map_or("gone".to_owned(), |status| format!("{:?}", status.state));
        self.told.lock().push(format!("{id} {state}"));
    }

    fn models(&self, models: Vec<(Name, Vec<VersionStatus>)>) {
        for (name, versions) in models {
            let word = |VersionStatus { id, state, reason, .. }: &VersionStatus| {
                let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("{} {state:?}{reason}", id.version)
            };
            let words: Vec<_> = versions.iter().map(word).collect();
            self.known.lock().insert(name, words.join(", "));
        }
    }
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
        signature: Arc::default(),
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
        self.tell(Message::Loaded(Loaded { content: job.content, outcome }));
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

    /// What the observer knows of a model.
    fn known(&self, name: &str) -> String {
        self.script.known.lock().get(name).cloned().unwrap_or_default()
    }

    /// The versions that were dropped since this was asked last; steps were told of each of them.
    fn ended(&self) -> Vec<String> {
        let ended: Vec<_> = self.script.ended.lock().clone();
        assert_eq!(std::mem::take(&mut *self.script.retired.lock()), ended);
        self.script.ended.lock().drain(..).map(|id| id.to_string()).collect()
    }
}
