//! Which model versions are in service, and who gets which.
//!
//! [`Manager::lease`] is on the path of every group: one atomic load, no lock. What changes the catalogue (loading at the
//! start, later a watcher) builds a new one and swaps it in; groups under way keep the versions they began with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::servable::{Servable, ServableId};
use crate::{
    error::{ErrorCode, RequestError},
    request::{ModelChoice, VersionChoice},
    tensor::Name,
};

/// What became of a version.
#[derive(Clone)]
pub enum State {
    /// In service.
    Available(Arc<Servable>),
    /// Not to be served, and why.
    Failed(Arc<str>),
}

/// All models and their versions.
#[derive(Clone, Default)]
struct Catalog {
    models: HashMap<Name, BTreeMap<u64, State>>,
}

/// The models of a worker.
#[derive(Default)]
pub struct Manager {
    catalog: ArcSwap<Catalog>,
}

impl Manager {
    /// The version that serves a choice; the lease lasts as long as it is held.
    ///
    /// # Errors
    /// `UNKNOWN_MODEL` for a model or version that is not there, `MODEL_UNAVAILABLE` for one that cannot be served.
    pub fn lease(&self, choice: &ModelChoice) -> Result<Arc<Servable>, RequestError> {
        let catalog = self.catalog.load();
        let unknown = |why: String| RequestError::new(ErrorCode::UnknownModel, why);
        let names = [Some(&choice.name), choice.fallback.as_ref()];
        let found = names.into_iter().flatten().find_map(|name| Some((name, catalog.models.get(name)?)));
        let Some((name, versions)) = found else { return Err(unknown(no_such_model(choice))) };
        let state = match &choice.version {
            VersionChoice::Number(number) => versions.get(number),
            // Nothing gives labels to the manager yet: there is none of this name.
            VersionChoice::Label(_) => None,
            VersionChoice::Latest => {
                let available = versions.values().rev().find(|state| matches!(state, State::Available(_)));
                available.or_else(|| versions.values().next_back())
            }
        };
        match state {
            Some(State::Available(servable)) => Ok(Arc::clone(servable)),
            Some(State::Failed(reason)) => Err(RequestError::new(
                ErrorCode::ModelUnavailable,
                format!("model `{name}` cannot be served: {reason}"),
            )),
            None => {
                let numbers: Vec<_> = versions.keys().map(u64::to_string).collect();
                Err(unknown(format!("model `{name}` has no such version in service; there is {}", numbers.join(", "))))
            }
        }
    }

    /// Sets the state of a version.
    pub fn set(&self, id: &ServableId, state: State) {
        self.catalog.rcu(|catalog| {
            let mut catalog = Catalog::clone(catalog);
            catalog.models.entry(id.name.clone()).or_default().insert(id.version, state.clone());
            catalog
        });
    }

    /// Every version and its state.
    pub fn states(&self) -> Vec<(ServableId, State)> {
        let catalog = self.catalog.load();
        let mut states: Vec<_> = catalog
            .models
            .iter()
            .flat_map(|(name, versions)| {
                versions
                    .iter()
                    .map(|(version, state)| (ServableId { name: name.clone(), version: *version }, state.clone()))
            })
            .collect();
        states.sort_by(|(left, _), (right, _)| (&left.name, left.version).cmp(&(&right.name, right.version)));
        states
    }
}

fn no_such_model(choice: &ModelChoice) -> String {
    match &choice.fallback {
        None => format!("there is no model `{}`", choice.name),
        Some(fallback) => format!("there is no model `{}`, nor `{fallback}`, which would take over", choice.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions that say which they are when they are leased.
    fn manager(models: &[(&str, u64)]) -> Manager {
        let manager = Manager::default();
        for (name, version) in models {
            let id = ServableId { name: (*name).into(), version: *version };
            manager.set(&id, State::Failed(format!("this is {id}").into()));
        }
        manager
    }

    fn told(manager: &Manager, name: &str, version: VersionChoice, fallback: Option<&str>) -> (ErrorCode, String) {
        let choice = ModelChoice { name: name.into(), version, fallback: fallback.map(Name::from) };
        let Err(error) = manager.lease(&choice) else { panic!("nothing is in service") };
        (error.code(), error.message().to_owned())
    }

    #[test]
    fn the_fallback_takes_over_for_a_model_that_is_not_there_and_for_no_other_reason() {
        use ErrorCode::{ModelUnavailable, UnknownModel};
        use VersionChoice::{Latest, Number};
        let manager = manager(&[("churn", 1), ("churn", 2), ("churn-a", 7)]);
        let churn = Some("churn");
        let (code, why) = told(&manager, "churn-a", Latest, churn);
        assert!(code == ModelUnavailable && why.contains("this is churn-a/7"), "{why}");
        let (_, why) = told(&manager, "churn-b", Latest, churn);
        assert!(why.contains("this is churn/2"), "{why}");
        let (_, why) = told(&manager, "churn-b", Number(1), churn);
        assert!(why.contains("this is churn/1"), "{why}");
        let (code, why) = told(&manager, "churn-a", Number(1), churn);
        assert!(code == UnknownModel && why.contains("`churn-a` has no such version"), "{why}");
        let (code, why) = told(&manager, "churn-b", Latest, Some("shared"));
        assert!(code == UnknownModel && why.contains("`churn-b`, nor `shared`"), "{why}");
        assert_eq!(told(&manager, "churn-b", Latest, None), (UnknownModel, "there is no model `churn-b`".to_owned()));
    }
}
