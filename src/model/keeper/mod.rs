//! Keeps the models of a worker as the repository, memory and operators want them, while requests go on.
//!
//! One thread owns all that changes, and takes one message after another: what the watcher saw, what a loader brought, what a
//! request waits for, what an operator asks ([`messages`]). It computes nothing that takes long and waits for nobody: loading
//! and dropping are done by [`Loading`], on other threads. What requests see of it is the catalogue that it swaps in. Which
//! load begins next, and who leaves memory for it, is said in [`room`].
//!
//! Guarantees: a version that serves goes on until another one that should be there has passed its checks, whatever fails
//! meanwhile; where none serves because all that should have failed, the nearest older one that works stands in; a model that
//! somebody uses stays in memory; an empty or failing look at the repository is never taken for a wish to unload.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime},
};

pub use memory::MemoryOptions;
pub use messages::{Job, Loaded, Loading, Message, Reply, Wanted};
pub use status::{Observer, State, VersionStatus};
pub use version::Refusal;

use super::{manager::Manager, servable::ServableId};
use crate::tensor::Name;
use kept::Kept;
use version::{Serving, Version};

mod kept;
mod memory;
mod messages;
mod room;
mod status;
#[cfg(test)]
mod tests;
mod version;

/// How often is looked for what nobody announces: leases that have run out, models that nobody has used.
const SOON: Duration = Duration::from_millis(50);
/// The same while somebody waits for memory that others still use, mostly for one run of a model.
const AT_ONCE: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_secs(1);

/// See the module.
pub struct Keeper {
    models: BTreeMap<Name, Kept>,
    /// Versions that are leased no more, until nobody uses them.
    leaving: Vec<Serving>,
    loading: usize,
    /// Whether a load that somebody waits for wants memory that others still use.
    cramped: bool,
    memory: MemoryOptions,
    manager: Manager,
    loader: Box<dyn Loading>,
    observer: Box<dyn Observer>,
    /// Models of which requests see something old.
    stale: BTreeSet<Name>,
    /// Models of which the observer knows something old.
    changed: BTreeSet<Name>,
    /// What operators are told once the observer knows.
    replies: Vec<(Reply, Result<(), String>)>,
    settled: Vec<mpsc::Sender<()>>,
    /// What the observer was told last, and since when it is so.
    told: BTreeMap<Name, Told>,
}

type Told = BTreeMap<u64, (State, SystemTime)>;

impl Keeper {
    /// A keeper of no models yet.
    pub fn new(memory: MemoryOptions, manager: Manager, loader: Box<dyn Loading>, observer: Box<dyn Observer>) -> Self {
        Self {
            models: BTreeMap::new(),
            leaving: Vec::new(),
            loading: 0,
            cramped: false,
            memory,
            manager,
            loader,
            observer,
            stale: BTreeSet::new(),
            changed: BTreeSet::new(),
            replies: Vec::new(),
            settled: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    /// Takes messages until it is told to stop, or nobody is left to tell anything.
    pub fn run(mut self, inbox: &mpsc::Receiver<Message>) {
        loop {
            let first = match inbox.recv_timeout(self.patience(Instant::now())) {
                Ok(message) => Some(message),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            // What came together is considered together.
            for message in first.into_iter().chain(inbox.try_iter()) {
                if matches!(message, Message::Stop) {
                    return;
                }
                self.take(message, Instant::now());
            }
            self.go_on(Instant::now());
        }
    }

    /// How long until something is due that nobody announces.
    fn patience(&self, now: Instant) -> Duration {
        if self.cramped {
            return AT_ONCE;
        }
        if !self.leaving.is_empty() {
            return SOON;
        }
        let retries = self.models.values().flat_map(|model| model.versions.values()).filter_map(Version::retry_at);
        retries.min().map_or(LATER, |again| again.saturating_duration_since(now).clamp(SOON, LATER))
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
            Message::Load(name, reply) => {
                let answer = self.set_unloaded(&name, false, now);
                self.replies.push((reply, answer));
            }
            Message::Unload(name, reply) => {
                let answer = self.set_unloaded(&name, true, now);
                self.replies.push((reply, answer));
            }
            Message::Settled(reply) => self.settled.push(reply),
            Message::Stop => {}
        }
    }

    /// Whatever is due after a message or a pause.
    fn go_on(&mut self, now: Instant) {
        self.publish();
        self.unload_idle(now);
        self.begin_due(now);
        self.publish();
        self.tell();
        for (reply, answer) in self.replies.drain(..) {
            // Who asked may have given up.
            drop(reply.send(answer));
        }
        if self.loading == 0 && !self.cramped {
            self.settled.drain(..).for_each(|reply| reply.send(()).unwrap_or_default());
        }
    }

    fn version(&mut self, id: &ServableId) -> Option<&mut Version> {
        self.models.get_mut(&id.name)?.versions.get_mut(&id.version)
    }

    fn looked(&mut self, wanted: BTreeMap<Name, Wanted>) {
        let gone: Vec<_> = self.models.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        let gone = gone.into_iter().map(|name| (name, None));
        for (name, wanted) in gone.chain(wanted.into_iter().map(|(name, wanted)| (name, Some(wanted)))) {
            let model = self.models.entry(name.clone()).or_default();
            let before = model.problem.take();
            model.aspire(wanted);
            if let Some(problem) = model.problem.as_ref().filter(|problem| before.as_ref() != Some(problem)) {
                tracing::warn!(model = &*name, problem, "the labels of this model are not what its file says");
            }
            self.settle(&name);
        }
    }

    fn loaded(&mut self, Loaded { content, outcome }: Loaded, now: Instant) {
        self.loading -= 1;
        let (id, fingerprint) = (content.id.clone(), content.fingerprint.clone());
        let outcome = outcome.and_then(|servable| match self.too_large(&servable) {
            None => Ok(Serving { servable, fingerprint }),
            Some(refusal) => {
                self.let_go(Serving { servable, fingerprint });
                Err(refusal)
            }
        });
        match (self.version(&id), outcome) {
            (Some(version), Ok(serving)) => {
                if let Some(before) = version.loaded(serving, now) {
                    self.let_go(before);
                }
            }
            (Some(version), Err(refusal)) => version.failed(content, &refusal, now),
            // The model went while it was loaded.
            (None, Ok(serving)) => self.let_go(serving),
            (None, Err(_)) => {}
        }
        self.settle(&id.name);
        self.keep_to_the_budget(&id, now);
    }

    fn set_unloaded(&mut self, name: &Name, unloaded: bool, now: Instant) -> Result<(), String> {
        let Some(model) = self.models.get_mut(name) else {
            return Err(format!(
                "there is no model `{name}` to serve; POST /v2/repository/index lists those that there are"
            ));
        };
        model.unloaded = unloaded;
        if !unloaded {
            model.versions.values_mut().for_each(|version| version.load_now(now));
        }
        self.settle(name);
        Ok(())
    }

    /// Takes out what may go of a model; requests and the observer are to see what it is now.
    fn settle(&mut self, name: &Name) {
        let Some(model) = self.models.get_mut(name) else { return };
        let leaving = model.settle();
        self.stale.insert(name.clone());
        leaving.into_iter().for_each(|serving| self.let_go(serving));
    }

    /// It is leased no more, as soon as requests see that.
    fn let_go(&mut self, serving: Serving) {
        self.stale.insert(serving.servable.id.name.clone());
        self.leaving.push(serving);
    }

    /// Has requests see what is so now, and drops what nobody uses any more.
    fn publish(&mut self) {
        let stale = std::mem::take(&mut self.stale);
        if !stale.is_empty() {
            self.models.retain(|name, model| !(stale.contains(name) && model.is_gone()));
            self.manager.publish(|all| {
                for name in &stale {
                    match self.models.get(name).filter(|model| !model.versions.is_empty()) {
                        Some(model) => drop(all.models.insert(name.clone(), Arc::new(model.catalog()))),
                        None => drop(all.models.remove(name)),
                    }
                }
            });
            self.changed.extend(stale);
        }
        self.drop_unused();
    }

    fn drop_unused(&mut self) {
        let unused = |serving: &mut Serving| Arc::strong_count(&serving.servable) == 1;
        for Serving { servable, .. } in self.leaving.extract_if(.., unused) {
            self.changed.insert(servable.id.name.clone());
            self.observer.retired(&servable);
            self.loader.end(servable);
        }
    }

    /// Tells the observer what is so now.
    fn tell(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return;
        }
        let models = changed.into_iter().map(|name| {
            let versions = self.statuses(&name);
            (name, versions)
        });
        let models = models.collect();
        self.observer.models(models);
    }

    /// What is so of each version of a model; the observer hears of those that are in another state than before.
    fn statuses(&mut self, name: &Name) -> Vec<VersionStatus> {
        let mut now = BTreeMap::new();
        for Serving { servable, .. } in self.leaving.iter().filter(|serving| serving.servable.id.name == *name) {
            now.insert(servable.id.version, (State::Retiring, None, Some(Arc::clone(servable))));
        }
        for (version, state, reason, servable) in self.models.get(name).into_iter().flat_map(Kept::states) {
            now.insert(version, (state, reason, servable));
        }
        let before = self.told.remove(name).unwrap_or_default();
        let id = |version: u64| ServableId { name: name.clone(), version };
        let mut told = Told::new();
        let versions = now.into_iter().map(|(version, (state, reason, servable))| {
            let same = before.get(&version).filter(|(before, _)| *before == state);
            let since = same.map_or_else(SystemTime::now, |(_, since)| *since);
            let status = VersionStatus { id: id(version), state, since, reason, servable };
            if same.is_none() {
                self.observer.changed(&status.id, Some(&status));
            }
            told.insert(version, (state, since));
            status
        });
        let versions = versions.collect();
        let gone = before.keys().filter(|version| !told.contains_key(version));
        gone.for_each(|version| self.observer.changed(&id(*version), None));
        if !told.is_empty() {
            self.told.insert(name.clone(), told);
        }
        versions
    }
}
