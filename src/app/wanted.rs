//! Which versions of which models this worker should serve, given what a repository has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;

use crate::{
    config::{ModelsConfig, PipelineConfig, Served, VersionPolicy},
    model::{
        keeper::Wanted,
        policy::{self, Pins, aspired, older},
        source::{Model, Repository, Shortfall},
    },
    steps::predict::{ModelSelector, Selector, VersionSelector},
    tensor::Name,
};

/// Chooses among the models of a repository.
#[derive(Clone, Debug)]
pub struct Chooser {
    models: ModelsConfig,
    /// One for each `predict` of each pipeline.
    selectors: Vec<Selector>,
}

impl Chooser {
    /// Serves what the server file names, or else what the pipelines do.
    ///
    /// # Errors
    /// If a `predict` has problems.
    pub fn new(models: &ModelsConfig, pipelines: &[PipelineConfig]) -> anyhow::Result<Self> {
        let selectors = pipelines.iter().flat_map(PipelineConfig::predicts).map(|(_, predict)| predict.selector());
        let selectors = selectors.collect::<Result<_, _>>().map_err(|problems| anyhow!(problems.join("; ")))?;
        Ok(Self { models: models.clone(), selectors })
    }

    /// The versions that should be in service, by model.
    pub fn wanted(&self, repository: &Repository) -> BTreeMap<Name, Wanted> {
        let wanted = |name: Name| {
            let model = repository.models.get(&name)?;
            let wanted = self.of(&name, model);
            Some((name, wanted))
        };
        self.served(repository).into_iter().filter_map(wanted).collect()
    }

    /// The models that should be served and have no version to serve, one sentence each; and whether another look may find
    /// that one is only just being uploaded.
    pub fn absent(&self, repository: &Repository) -> Vec<(String, bool)> {
        let absent = |name: Name| {
            let wanted = repository.models.get(&name).map(|model| self.of(&name, model)).unwrap_or_default();
            if !wanted.contents.is_empty() {
                return None;
            }
            let place = &self.models.repository;
            let why = match wanted.shortfalls.last_key_value() {
                Some((version, shortfall)) => format!("; version {version} is {}", shortfall.sentence()),
                None => format!("; put one at {place}/{name}/1/model.onnx"),
            };
            let waits = wanted.shortfalls.values().any(|shortfall| matches!(shortfall, Shortfall::Waits(_)));
            Some((format!("model `{name}` has no version to serve in `{place}`{why}"), waits))
        };
        self.served(repository).into_iter().filter_map(absent).collect()
    }

    fn of(&self, name: &Name, model: &Model) -> Wanted {
        let available = model.available();
        let policy = policy_of(self.models.versions_of(name));
        let chosen = aspired(&policy, &available, &model.labels, &self.pins(name));
        let content = |version| model.versions.get(version)?.content.clone();
        // What is not there in full, of the versions that would be chosen if it were.
        let all: Vec<_> = model.versions.keys().copied().collect();
        let hoped = aspired(&policy, &all, &model.labels, &self.pins(name));
        let short = |version: u64| Some((version, model.versions.get(&version)?.shortfall.clone()?));
        let shortfalls: BTreeMap<u64, Shortfall> = hoped.into_iter().filter_map(short).collect();
        Wanted {
            contents: chosen.iter().filter_map(content).collect(),
            older: older(&policy, &available, &chosen).iter().filter_map(content).collect(),
            labels: model.labels.clone(),
            shortfalls,
            problem: model.problem.clone(),
        }
    }

    fn served(&self, repository: &Repository) -> BTreeSet<Name> {
        let all = || repository.models.keys().cloned();
        match self.models.served() {
            // A model that a pipeline names and the repository lacks is to be told before its first request.
            Served::All => all().chain(self.named(repository)).collect(),
            Served::Only(names) => names.into_iter().collect(),
            Served::Named => self.named(repository),
        }
    }

    /// The models that pipelines name; of those whose requests choose, all of the repository that may come of it, and the
    /// one that takes over for the others.
    fn named(&self, repository: &Repository) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        for selector in &self.selectors {
            names.extend(selector.needed().cloned());
            if let ModelSelector::Template(_) = selector.model {
                names.extend(repository.models.keys().filter(|name| selector.may_run(name)).cloned());
            }
        }
        names
    }

    /// The versions that pipelines name by number or by label.
    fn pins(&self, model: &Name) -> Pins {
        let mut pins = Pins::default();
        for selector in self.selectors.iter().filter(|selector| selector.may_run(model)) {
            if let VersionSelector::Fixed(version) = &selector.version {
                pins.add(version);
            }
        }
        pins
    }
}

fn policy_of(policy: &VersionPolicy) -> policy::VersionPolicy {
    match policy {
        VersionPolicy::Latest(count) => policy::VersionPolicy::Latest(count.get() as usize),
        VersionPolicy::All => policy::VersionPolicy::All,
        VersionPolicy::Specific(versions) => {
            policy::VersionPolicy::Specific(versions.iter().map(|version| version.get()).collect())
        }
        VersionPolicy::Labels(labels) => {
            policy::VersionPolicy::Labels(labels.iter().map(|label| label.as_str().into()).collect())
        }
    }
}
