//! Which load begins next, and which models leave memory for it.
//!
//! First come the versions that requests wait for, then those that take the place of something in service, then what is new.
//! For the first two, models leave that were used longest ago, if that makes room at all; what nobody waits for and what
//! replaces nothing takes only memory that is free. A load that must wait for memory keeps no other from beginning, and the
//! last free slot is kept for a small model that somebody waits for.
//!
//! A version is loaded beside the one that it replaces. If the budget has no room for both, it is exceeded by the old one
//! until the new one has taken over: otherwise a model of more than half the budget could never change.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Keeper,
    memory::{Candidate, leaving},
    messages::Job,
    version::{Refusal, Version},
};
use crate::model::servable::{Servable, ServableId};

/// Versions of more bytes than this may take long to fetch.
const LARGE: u64 = 32 << 20;

/// A load whose turn it may be.
struct Due {
    id: ServableId,
    /// Since when requests wait for it.
    demanded: Option<Instant>,
    /// Bytes that it is expected to take.
    needs: u64,
    /// Bytes of what leaves once it has taken over.
    replaces: u64,
    large: bool,
}

impl Due {
    fn matters(&self) -> bool {
        self.demanded.is_some() || self.replaces > 0
    }
}

/// For people.
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Keeper {
    /// Begins what is due, as far as there are slots and memory.
    pub(super) fn begin_due(&mut self, now: Instant) {
        self.cramped = false;
        let slots = self.loader.slots();
        let mut used = self.used();
        for due in self.due(now) {
            if self.loading >= slots {
                return;
            }
            let is_last = self.loading + 1 == slots && slots > 1;
            // What began a moment ago may be what it waits for.
            let has_turn = self.models.get(&due.id.name).is_some_and(|model| model.has_turn(due.id.version));
            if !has_turn || (is_last && (due.large || due.demanded.is_none())) {
                continue;
            }
            if self.has_room(&due, used, now) {
                self.begin(&due.id);
                used = self.used();
            } else {
                self.cramped |= due.matters();
            }
        }
    }

    /// What could be loaded, in the order of its turns.
    fn due(&self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        for (name, model) in self.models.iter().filter(|(_, model)| !model.unloaded) {
            for (number, version) in model.versions.iter().filter(|(_, version)| version.is_due(now)) {
                due.push(Due {
                    id: ServableId { name: name.clone(), version: *number },
                    demanded: version.demanded,
                    needs: version.expected_memory(),
                    replaces: model.replaced_by(version),
                    large: version.content.size() > LARGE,
                });
            }
        }
        due.sort_by_key(|due| (due.demanded.is_none(), due.demanded, due.replaces == 0));
        due
    }

    /// Whether a load may begin beside the `used` bytes; others leave for it if it matters.
    fn has_room(&mut self, due: &Due, used: u64, now: Instant) -> bool {
        let Some(budget) = self.memory.budget else { return true };
        // What is too large by itself is found out by its load, and said then.
        let needs = due.needs.min(budget);
        if used + needs <= budget {
            return true;
        }
        due.matters()
            && [needs, needs.saturating_sub(due.replaces)]
                .into_iter()
                .find(|needs| self.evict(*needs, budget, &due.id, now))
                .is_some_and(|needs| self.used() + needs <= budget)
    }

    fn begin(&mut self, id: &ServableId) {
        let Some(model) = self.models.get_mut(&id.name) else { return };
        let (known, older) = (model.known(), model.older_than(id.version));
        let Some(version) = model.versions.get_mut(&id.version) else { return };
        version.begin();
        let content = Arc::clone(&version.content);
        self.loading += 1;
        self.changed.insert(id.name.clone());
        self.loader.load(Job { content, known, older });
    }

    /// Bytes of all models in memory, of those that leave, and of those on their way.
    fn used(&self) -> u64 {
        let versions = self.models.values().flat_map(|model| model.versions.values());
        self.going() + versions.map(Version::memory_in_use).sum::<u64>()
    }

    /// Bytes of what leaves.
    fn going(&self) -> u64 {
        self.leaving.iter().map(|serving| serving.servable.memory).sum()
    }

    /// Lets the models go that were used longest ago, none that somebody uses and none of the one that they make way for, if
    /// `needs` more bytes will fit then. What already leaves will have made room.
    fn evict(&mut self, needs: u64, budget: u64, way_for: &ServableId, now: Instant) -> bool {
        let mut candidates = self.unused(now);
        candidates.retain(|candidate| candidate.what.name != way_for.name);
        let leaving = leaving(candidates, self.used() - self.going(), needs, budget);
        if leaving.enough {
            self.unload(leaving.what);
        }
        leaving.enough
    }

    /// A version may take more than was expected: others make room for it, as far as they can.
    pub(super) fn keep_to_the_budget(&mut self, for_: &ServableId, now: Instant) {
        let Some(budget) = self.memory.budget else { return };
        // Whoever leaves must not be seen any more when it is counted who is used.
        self.publish();
        let mut candidates = self.unused(now);
        candidates.retain(|candidate| candidate.what != *for_);
        let leaving = leaving(candidates, self.used() - self.going(), 0, budget);
        self.unload(leaving.what);
    }

    /// Why a version cannot be kept although it was loaded.
    pub(super) fn too_large(&self, servable: &Servable) -> Option<Refusal> {
        let budget = self.memory.budget.filter(|budget| servable.memory > *budget)?;
        let reason = format!(
            "it takes {:.1} MiB of memory, more than all models may take together ({:.1} MiB): raise \
             models.memory.budget",
            mebibytes(servable.memory),
            mebibytes(budget)
        );
        Some(Refusal { reason, passing: false })
    }

    /// The versions in memory that nobody uses and that would come back if somebody did.
    fn unused(&self, now: Instant) -> Vec<Candidate<ServableId>> {
        let mut unused = Vec::new();
        for (name, model) in &self.models {
            for (number, version) in &model.versions {
                let Some(serving) = version.serving.as_ref().filter(|_| version.may_leave(now)) else { continue };
                // Here and in the catalogue.
                if Arc::strong_count(&serving.servable) <= 2 {
                    let what = ServableId { name: name.clone(), version: *number };
                    let Servable { memory, usage, .. } = &*serving.servable;
                    unused.push(Candidate { what, memory: *memory, idle: usage.idle() });
                }
            }
        }
        unused
    }

    fn unload(&mut self, versions: Vec<ServableId>) {
        for id in versions {
            let Some(serving) = self.version(&id).and_then(Version::unload) else { continue };
            self.let_go(serving);
        }
        self.publish();
    }

    /// Lets the models go that nobody has used for too long.
    pub(super) fn unload_idle(&mut self, now: Instant) {
        let Some(timeout) = self.memory.idle_timeout else { return };
        let idle = |candidate: Candidate<ServableId>| {
            (candidate.idle >= timeout).then(|| {
                let idle = Duration::from_secs(candidate.idle.as_secs());
                tracing::info!(model = %candidate.what, ?idle, "model unloaded: nobody has used it");
                candidate.what
            })
        };
        let idle = self.unused(now).into_iter().filter_map(idle).collect();
        self.unload(idle);
    }
}
