//! The versions of one model together: which of them is the latest, what labels mean, which may go, and which one stands in
//! while all fail that should be there.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Wanted,
    status::State,
    version::{Serving, Version},
};
use crate::{
    codec::labels::Labels,
    model::{
        catalog::{CatalogModel, Entry},
        policy::{self, Fate},
        servable::Servable,
        source::{Content, Shortfall},
    },
};

/// What an operator's unloading tells requests.
const UNLOADED: &str = "an operator has unloaded it; POST /v2/repository/models/<name>/load brings it back";

/// One model.
#[derive(Default)]
pub struct Kept {
    pub versions: BTreeMap<u64, Version>,
    /// Versions before those that should be served, one of which stands in while all of those fail.
    older: BTreeMap<u64, Arc<Content>>,
    /// What its `labels.yaml` says.
    wanted_labels: Labels,
    /// What labels mean at present: a label moves on once its new version has passed.
    pub labels: Labels,
    /// Versions that are not there in full, and why.
    pub shortfalls: BTreeMap<u64, Shortfall>,
    /// Whether an operator wants it out of memory.
    pub unloaded: bool,
    /// What is wrong with `labels.yaml`.
    pub problem: Option<String>,
}

impl Kept {
    /// What the repository says it should be; `None` if there is nothing of it any more.
    pub fn aspire(&mut self, wanted: Option<Wanted>) {
        let Wanted { contents, older, labels, shortfalls, problem } = wanted.unwrap_or_default();
        let by_number = |contents: Vec<Arc<Content>>| -> BTreeMap<_, _> {
            contents.into_iter().map(|content| (content.id.version, content)).collect()
        };
        let mut contents = by_number(contents);
        self.older = by_number(older);
        for (number, version) in &mut self.versions {
            version.aspire(contents.remove(number), self.older.get(number));
        }
        self.versions.extend(contents.into_iter().map(|(number, content)| (number, Version::new(content))));
        (self.wanted_labels, self.shortfalls, self.problem) = (labels, shortfalls, problem);
    }

    /// Takes out what is no longer needed, for its leases to run out: what should not be there any more, once all that
    /// should be is good. Until then it is what requests fall back to, be it in memory or not.
    pub fn settle(&mut self) -> Vec<Serving> {
        self.stand_in();
        let mut leaving = Vec::new();
        let is_settled = self.versions.values().filter(|version| version.aspired).all(Version::is_good);
        for version in self.versions.values_mut() {
            if self.unloaded || (is_settled && !version.aspired) {
                leaving.extend(version.unload());
            }
        }
        // An older one that failed is remembered, so that it waits for its turn to be tried again.
        let falls_back = |number: &u64, version: &Version| match version.fate() {
            Fate::Good => true,
            Fate::Open => version.stands_in,
            Fate::Failed(_) => self.older.contains_key(number),
        };
        self.versions.retain(|number, version| {
            version.aspired || version.is_loading() || (!is_settled && falls_back(number, version))
        });
        self.move_labels();
        leaving
    }

    /// Says which version stands in for those that should be there, if all of them fail.
    fn stand_in(&mut self) {
        let aspired = self.versions.values().filter(|version| version.aspired).map(Version::fate);
        let held = self.versions.iter().filter(|(number, version)| {
            !version.aspired && (version.fate() == Fate::Good || self.older.contains_key(number))
        });
        let fresh = self.older.keys().filter(|number| !self.versions.contains_key(number));
        let older = held.map(|(number, version)| (*number, version.fate()));
        let chosen = policy::stand_in(aspired, older.chain(fresh.map(|number| (*number, Fate::Open))));
        if let Some((number, content)) = chosen.and_then(|number| self.older.get_key_value(&number)) {
            self.versions.entry(*number).or_insert_with(|| Version::older(Arc::clone(content)));
        }
        for (number, version) in &mut self.versions {
            let stands_in = chosen == Some(*number);
            if stands_in && !version.stands_in && version.fate() == Fate::Open {
                tracing::warn!(model = %version.content.id, "this older version stands in: none that should be there can be served");
            }
            version.stands_in = stands_in;
        }
    }

    /// Whether a version that is due may be loaded beside what is being loaded of this model: one that failed is not tried
    /// again before another one stands in for it, since the disk or memory may have room for one of them alone.
    pub fn has_turn(&self, version: u64) -> bool {
        let comes = |other: &Version| other.stands_in && other.is_loading();
        !(self.versions.get(&version).is_some_and(Version::has_failed) && self.versions.values().any(comes))
    }

    /// The versions that may stand in for one of this model, the nearest first.
    pub fn older_than(&self, version: u64) -> Vec<Arc<Content>> {
        self.older.range(..version).rev().map(|(_, content)| Arc::clone(content)).collect()
    }

    /// Whether nothing is left of it.
    pub fn is_gone(&self) -> bool {
        self.versions.is_empty() && self.shortfalls.is_empty()
    }

    /// Bytes of what leaves memory once `version`, one of this model, has taken over: what it was before, and what should
    /// not be there any more.
    pub fn replaced_by(&self, version: &Version) -> u64 {
        let memory = |version: &Version| version.serving.as_ref().map_or(0, |serving| serving.servable.memory);
        let old = self.versions.values().filter(|other| !other.aspired && !std::ptr::eq(*other, version));
        memory(version) + if version.aspired { old.map(memory).sum() } else { 0 }
    }

    fn move_labels(&mut self) {
        let held = std::mem::take(&mut self.labels);
        for (label, wanted) in &self.wanted_labels {
            let is_usable = |number: &u64| {
                self.versions.get(number).is_some_and(|version| version.is_good() || version.serving.is_some())
            };
            let holds = held.get(label).filter(|old| !is_usable(wanted) && is_usable(old));
            self.labels.insert(label.clone(), *holds.unwrap_or(wanted));
        }
    }

    /// The version that serves requests which name none: the highest that should be there and is good; else the highest
    /// that still serves; else one that should be there and is worth waiting for; else one that was there before and can
    /// come back; else one that is on its way to stand in; else one that says why there is none.
    fn latest(&self) -> Option<u64> {
        let highest = |is: &dyn Fn(&Version) -> bool| {
            self.versions.iter().rev().find_map(|(number, version)| is(version).then_some(*number))
        };
        highest(&|version| version.aspired && (version.is_good() || version.serving.is_some()))
            .or_else(|| highest(&|version| version.serving.is_some()))
            .or_else(|| highest(&|version| version.aspired && !version.has_failed()))
            .or_else(|| highest(&Version::is_good))
            .or_else(|| highest(&|version| version.stands_in && !version.has_failed()))
            .or_else(|| highest(&|version| version.aspired))
            .or_else(|| highest(&|_| true))
    }

    /// What is so of each version: its state, why, and what of it is in memory. Those that are not there in full, too. What is
    /// wrong with the labels is said of the highest.
    pub fn states(&self) -> impl Iterator<Item = (u64, State, Option<Arc<str>>, Option<Arc<Servable>>)> {
        let versions = self.versions.iter().map(|(number, version)| {
            let shortfall = || Some(self.shortfalls.get(number)?.sentence().into());
            let is_highest = Some(number) == self.versions.keys().next_back();
            let labels = || self.problem.as_deref().filter(|_| is_highest).map(Arc::from);
            let servable = version.serving.as_ref().map(|serving| Arc::clone(&serving.servable));
            (*number, version.state(), version.reason().or_else(shortfall).or_else(labels), servable)
        });
        let alone = self.shortfalls.iter().filter(|(number, _)| !self.versions.contains_key(number));
        versions.chain(alone.map(|(number, shortfall)| {
            let state = if matches!(shortfall, Shortfall::Waits(_)) { State::Aspired } else { State::Failed };
            (*number, state, Some(shortfall.sentence().into()), None)
        }))
    }

    /// As requests meet it.
    pub fn catalog(&self) -> CatalogModel {
        let entry = |version: &Version| if self.unloaded { Entry::Failed(UNLOADED.into()) } else { version.entry() };
        CatalogModel {
            versions: self.versions.iter().map(|(number, version)| (*number, entry(version))).collect(),
            latest: self.latest(),
            labels: self.labels.clone(),
        }
    }

    /// What serves beside a new version: the one that clients know. What only stands in says nothing about the versions for
    /// which it does: they are judged as by a worker that has just started.
    pub fn known(&self) -> Option<Arc<Servable>> {
        let latest = self.versions.get(&self.latest()?).filter(|version| version.is_known)?;
        latest.serving.as_ref().map(|serving| Arc::clone(&serving.servable))
    }
}
