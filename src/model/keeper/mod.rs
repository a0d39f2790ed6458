//! Keeps the models of a worker as the repository, memory and operators want them, while requests go on.
//!
//! One thread owns all that changes, and takes one message after another: what the watcher saw, what a loader brought, what a
//! request waits for, what an operator asks. It computes nothing that takes long and waits for nobody: loading and dropping
//! are done by [`Loading`], on other threads. What requests see of it is the catalogue that it swaps in.
//!
//! Guarantees: a version that serves goes on until another one that should be there has passed its checks, whatever fails
//! meanwhile; a model that somebody uses stays in memory; an empty or failing look at the repository is never taken for a
//! wish to unload.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime},
};

pub use memory::MemoryOptions;
pub use status::{Observer, State, VersionStatus};
pub use version::Refusal;

use super::{
    manager::Manager,
    servable::{Servable, ServableId},
    source::{Content, Shortfall},
};
use crate::{codec::labels::Labels, tensor::Name};
use kept::Kept;
use memory::{Candidate, leaving};
use version::{Serving, Version, Work};

mod kept;
mod memory;
mod status;
#[cfg(test)]
mod tests;
mod version;

/// For people.
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// How often is looked for what nobody announces: leases that have run out, models that nobody has used.
const SOON: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_secs(1);

/// What a repository should serve of one model.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The versions that should be in service, in full.
    pub contents: Vec<Arc<Content>>,
    /// What labels should mean.
    pub labels: Labels,
    /// Newer versions that are not there in full.
    pub shortfalls: BTreeMap<u64, Shortfall>,
    /// What is wrong with `labels.yaml`.
    pub problem: Option<String>,
}

/// Where an answer goes: `Err` is a sentence.
pub type Reply = mpsc::Sender<Result<(), String>>;

/// What the keeper is told.
pub enum Message {
    /// What a look at the repository says should be served; all of it.
    Looked(BTreeMap<Name, Wanted>),
    /// What became of a load.
    Loaded(Loaded),
    /// Requests wait for this version.
    Demanded(ServableId),
    /// An operator wants a model in memory.
    Load(Name, Reply),
    /// An operator wants a model out of memory.
    Unload(Name, Reply),
    /// To be told once nothing waits to be loaded.
    Settled(mpsc::Sender<()>),
    /// The worker stops.
    Stop,
}

/// A version to be loaded.
pub struct Job {
    /// What is loaded.
    pub content: Arc<Content>,
    /// The version that clients know, which the new one must fit.
    pub known: Option<Arc<Servable>>,
}

/// What became of a load.
pub struct Loaded {
    /// Which version.
    pub id: ServableId,
    /// Of which content.
    pub fingerprint: String,
    /// The version, or why it cannot serve.
    pub outcome: Result<Arc<Servable>, Refusal>,
}

/// Brings versions into memory and out of it, on threads of its own.
pub trait Loading: Send {
    /// How many loads go side by side.
    fn slots(&self) -> usize;
    /// Begins a load, whose end is told by [`Message::Loaded`].
    fn load(&self, job: Job);
    /// Drops a version that nobody uses any more, and has its memory given back.
    fn end(&self, servable: Arc<Servable>);
}

/// See the module.
pub struct Keeper {
    models: BTreeMap<Name, Kept>,
    /// Versions that are leased no more, until nobody uses them.
    leaving: Vec<Serving>,
    loading: usize,
    memory: MemoryOptions,
    manager: Manager,
    loader: Box<dyn Loading>,
    observer: Box<dyn Observer>,
    settled: Vec<mpsc::Sender<()>>,
    changed: bool,
    /// What the observer was told last, and since when it is so.
    told: BTreeMap<ServableId, (State, SystemTime)>,
}

impl Keeper {
    /// A keeper of no models yet.
    pub fn new(memory: MemoryOptions, manager: Manager, loader: Box<dyn Loading>, observer: Box<dyn Observer>) -> Self {
        Self {
            models: BTreeMap::new(),
            leaving: Vec::new(),
            loading: 0,
            memory,
            manager,
            loader,
            observer,
            settled: Vec::new(),
            changed: false,
            told: BTreeMap::new(),
        }
    }

    /// Takes messages until it is told to stop, or nobody is left to tell anything.
    pub fn run(mut self, inbox: &mpsc::Receiver<Message>) {
        loop {
            match inbox.recv_timeout(self.patience(Instant::now())) {
                Ok(Message::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Ok(message) => self.take(message, Instant::now()),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.go_on(Instant::now());
        }
    }

    /// How long until something is due that nobody announces.
    fn patience(&self, now: Instant) -> Duration {
        let waits = !self.leaving.is_empty() || (self.loading < self.loader.slots() && self.next(now).is_some());
        let retries = self.models.values().flat_map(|model| model.versions.values()).filter_map(Version::retry_at);
        let retry = retries.min().map_or(LATER, |again| again.saturating_duration_since(now).max(SOON));
        if waits { SOON } else { retry.min(LATER) }
    }

    fn take(&mut self, message: Message, now: Instant) {
        match message {
            Message::Looked(wanted) => self.looked(wanted),
            Message::Loaded(loaded) => self.loaded(loaded, now),
            Message::Demanded(id) => {
                if let Some(version) = self.version(&id) {
                    version.demanded.get_or_insert(now);
                }
            }
            Message::Load(name, reply) => drop(reply.send(self.set_unloaded(&name, false, now))),
            Message::Unload(name, reply) => drop(reply.send(self.set_unloaded(&name, true, now))),
            Message::Settled(reply) => self.settled.push(reply),
            Message::Stop => {}
        }
    }

    /// Whatever is due after a message or a pause.
    fn go_on(&mut self, now: Instant) {
        self.drop_unused();
        self.unload_idle();
        while self.loading < self.loader.slots()
            && let Some(id) = self.next(now)
            && self.begin(&id)
        {}
        if self.changed {
            self.changed = false;
            self.tell();
        }
        if self.loading == 0 && self.next(now).is_none() {
            for reply in self.settled.drain(..) {
                // Who waited may have given up.
                let _gone = reply.send(());
            }
        }
    }

    fn version(&mut self, id: &ServableId) -> Option<&mut Version> {
        self.models.get_mut(&id.name)?.versions.get_mut(&id.version)
    }

    fn looked(&mut self, mut wanted: BTreeMap<Name, Wanted>) {
        let gone: Vec<_> = self.models.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        let all = gone.into_iter().map(|name| (name, None)).collect::<Vec<_>>();
        let there = std::mem::take(&mut wanted).into_iter().map(|(name, wanted)| (name, Some(wanted)));
        for (name, wanted) in all.into_iter().chain(there) {
            self.models.entry(name.clone()).or_default().aspire(wanted);
            self.settle(&name);
        }
    }

    fn loaded(&mut self, Loaded { id, fingerprint, outcome }: Loaded, now: Instant) {
        self.loading -= 1;
        let budget = self.memory.budget;
        let outcome = outcome.and_then(|servable| match budget {
            Some(budget) if servable.memory > budget => {
                let reason = format!(
                    "it takes {:.1} MiB of memory, more than all models may take together ({:.1} MiB): raise \
                     models.memory.budget",
                    mebibytes(servable.memory),
                    mebibytes(budget)
                );
                self.leaving.push(Serving { servable, fingerprint: fingerprint.clone() });
                Err(Refusal { reason, passing: false })
            }
            _ => Ok(servable),
        });
        let Some(version) = self.version(&id) else {
            // The model went while it was loaded.
            self.leaving.extend(outcome.ok().map(|servable| Serving { servable, fingerprint }));
            return;
        };
        version.work = Work::Idle;
        let before = match outcome {
            Ok(servable) => version.loaded(Serving { servable, fingerprint }),
            Err(refusal) => {
                version.failed(fingerprint, &refusal, now, &id);
                None
            }
        };
        self.settle(&id.name);
        self.let_go(before.into_iter().collect());
        if let Some(budget) = budget {
            self.make_room(0, budget, Some(&id));
        }
    }

    fn set_unloaded(&mut self, name: &Name, unloaded: bool, now: Instant) -> Result<(), String> {
        let Some(model) = self.models.get_mut(name) else {
            return Err(format!(
                "there is no model `{name}` to serve; POST /v2/repository/index lists those that there are"
            ));
        };
        model.unloaded = unloaded;
        if !unloaded {
            for version in
                model.versions.values_mut().filter(|version| version.content.is_some() && !version.is_current())
            {
                version.retry_now(now);
                version.demanded.get_or_insert(now);
            }
        }
        self.settle(name);
        Ok(())
    }

    /// Takes out what may go of a model, and has requests see what it is now.
    fn settle(&mut self, name: &Name) {
        let Some(model) = self.models.get_mut(name) else { return };
        let leaving = model.settle();
        self.changed = true;
        self.publish(name);
        self.let_go(leaving);
    }

    fn publish(&mut self, name: &Name) {
        let is_gone = self.models.get(name).is_none_or(Kept::is_gone);
        if is_gone {
            self.models.remove(name);
        }
        let catalog = self.models.get(name).map(|model| Arc::new(model.catalog()));
        self.manager.publish(|all| match catalog {
            Some(model) if !model.versions.is_empty() => drop(all.models.insert(name.clone(), model)),
            _ => drop(all.models.remove(name)),
        });
    }

    fn let_go(&mut self, leaving: Vec<Serving>) {
        for serving in leaving {
            self.observer.retired(&serving.servable);
            self.leaving.push(serving);
        }
    }

    /// Drops what nobody uses any more.
    fn drop_unused(&mut self) {
        let unused = |serving: &mut Serving| Arc::strong_count(&serving.servable) == 1;
        for Serving { servable, .. } in self.leaving.extract_if(.., unused) {
            self.loader.end(servable);
            self.changed = true;
        }
    }

    /// The version whose turn it is: what requests wait for longest, then new contents of what serves, then what is new.
    fn next(&self, now: Instant) -> Option<ServableId> {
        let due = self.models.iter().filter(|(_, model)| !model.unloaded).flat_map(|(name, model)| {
            let due = model.versions.iter().filter(|(_, version)| version.is_due(now) && self.may_begin(version));
            due.map(move |(number, version)| (name, *number, version))
        });
        let first = due
            .min_by_key(|(_, _, version)| (version.demanded.is_none(), version.demanded, version.serving.is_none()))?;
        Some(ServableId { name: first.0.clone(), version: first.1 })
    }

    /// Whether there is room for it, or others leave for it: for what nobody waits for and what replaces nothing, none does.
    fn may_begin(&self, version: &Version) -> bool {
        let Some(budget) = self.memory.budget else { return true };
        let matters = version.demanded.is_some() || version.serving.is_some();
        matters || self.used() + version.expected_memory() <= budget
    }

    /// Bytes of all models in memory, of those that leave, and of those on their way.
    fn used(&self) -> u64 {
        let leaving: u64 = self.leaving.iter().map(|serving| serving.servable.memory).sum();
        let versions = self.models.values().flat_map(|model| model.versions.values());
        let kept: u64 = versions
            .map(|version| {
                let serving = version.serving.as_ref().map_or(0, |serving| serving.servable.memory);
                let coming = if matches!(version.work, Work::Loading(_)) { version.expected_memory() } else { 0 };
                serving + coming
            })
            .sum();
        leaving + kept
    }

    /// Begins a load; `false` if memory must be waited for.
    fn begin(&mut self, id: &ServableId) -> bool {
        let (expected, content) = {
            let Some(version) = self.version(id) else { return false };
            let Some(content) = version.content.clone() else { return false };
            (version.expected_memory(), content)
        };
        if let Some(budget) = self.memory.budget {
            // What is too large by itself is found out by its load, and said then.
            self.make_room(expected.min(budget), budget, Some(id));
            if self.used() + expected.min(budget) > budget {
                return false;
            }
        }
        let known = self.models[&id.name].known();
        if let Some(version) = self.version(id) {
            version.work = Work::Loading(content.fingerprint.clone());
        }
        self.loading += 1;
        self.changed = true;
        self.loader.load(Job { content, known });
        true
    }

    /// Lets the models go that were used longest ago, none that somebody uses, until `needed` more bytes fit.
    fn make_room(&mut self, needed: u64, budget: u64, but: Option<&ServableId>) {
        // What already leaves will have made room.
        let going: u64 = self.leaving.iter().map(|serving| serving.servable.memory).sum();
        let candidates = self.unused().into_iter().filter(|candidate| Some(&candidate.what) != but).collect();
        for id in leaving(candidates, self.used() - going, needed, budget) {
            self.unload(&id);
        }
    }

    /// The versions in memory that nobody uses and that would come back if somebody did.
    fn unused(&self) -> Vec<Candidate<ServableId>> {
        let versions = self
            .models
            .iter()
            .flat_map(|(name, model)| model.versions.iter().map(move |(number, version)| (name, *number, version)));
        let unused = versions.filter_map(|(name, number, version)| {
            let serving = version.serving.as_ref().filter(|_| version.is_current())?;
            // Here and in the catalogue.
            let is_unused = Arc::strong_count(&serving.servable) <= 2;
            is_unused.then(|| Candidate {
                what: ServableId { name: name.clone(), version: number },
                memory: serving.servable.memory,
                idle: serving.servable.usage.idle(),
            })
        });
        unused.collect()
    }

    fn unload(&mut self, id: &ServableId) {
        let Some(serving) = self.version(id).and_then(Version::unload) else { return };
        self.changed = true;
        self.publish(&id.name);
        self.let_go(vec![serving]);
        self.drop_unused();
    }

    fn unload_idle(&mut self) {
        let Some(timeout) = self.memory.idle_timeout else { return };
        for candidate in self.unused().into_iter().filter(|candidate| candidate.idle >= timeout) {
            tracing::info!(model = %candidate.what, idle = ?candidate.idle, "model unloaded: nobody has used it");
            self.unload(&candidate.what);
        }
    }

    /// Tells the observer what is so now.
    fn tell(&mut self) {
        let mut now = BTreeMap::new();
        for serving in &self.leaving {
            now.insert(serving.servable.id.clone(), (State::Retiring, None, Some(Arc::clone(&serving.servable))));
        }
        for (name, model) in &self.models {
            for (version, state, reason, servable) in model.states() {
                now.insert(ServableId { name: name.clone(), version }, (state, reason, servable));
            }
        }
        let before = std::mem::take(&mut self.told);
        let status = |(id, (state, reason, servable)): (ServableId, (State, _, _))| {
            let same = before.get(&id).filter(|(told, _)| *told == state);
            let since = same.map_or_else(SystemTime::now, |(_, since)| *since);
            let status = VersionStatus { id: id.clone(), state, since, reason, servable };
            if same.is_none() {
                self.observer.changed(&id, Some(&status));
            }
            self.told.insert(id, (state, since));
            status
        };
        let all = now.into_iter().map(status).collect();
        let gone = before.keys().filter(|id| !self.told.contains_key(id));
        gone.for_each(|id| self.observer.changed(id, None));
        self.observer.all(all);
    }
}
