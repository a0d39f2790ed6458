//! What a lease looks at: which versions there are, which of them are ready, and which one a choice means.
//!
//! A [`Catalog`] never changes: the [`super::keeper`] makes a new one of the old one's parts and swaps it in, so that a lease
//! is one atomic load and two look-ups. Which version is the latest, and what a label means, was settled when it was made.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::servable::Servable;
use crate::{
    codec::labels::Labels,
    error::{ErrorCode, RequestError},
    request::{ModelChoice, VersionChoice},
    tensor::Name,
};

/// One version, as a request meets it.
#[derive(Clone)]
pub enum Entry {
    /// It can be run.
    Ready(Arc<Servable>),
    /// It is being loaded, or will be once it is asked for: it is worth waiting.
    OnDemand(Arc<Demand>),
    /// It cannot be served, and why.
    Failed(Arc<str>),
}

/// Whether somebody waits for a version.
#[derive(Debug, Default)]
pub struct Demand(AtomicBool);

impl Demand {
    /// Notes that somebody waits; whether it is the first one.
    pub fn ask(&self) -> bool {
        !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed)
    }
}

/// One model, as a request meets it.
#[derive(Clone, Default)]
pub struct CatalogModel {
    /// By number.
    pub versions: BTreeMap<u64, Entry>,
    /// The one for requests that name none; there is one unless there is no version at all.
    pub latest: Option<u64>,
    /// What labels mean at present.
    pub labels: Labels,
}

/// All models.
#[derive(Clone, Default)]
pub struct Catalog {
    /// By name.
    pub models: HashMap<Name, Arc<CatalogModel>>,
}

/// What a choice means.
pub struct Found<'a> {
    /// The model: the one that was chosen, or the one that takes over for it.
    pub name: &'a Name,
    /// The version.
    pub version: u64,
    /// What can be done with it.
    pub entry: &'a Entry,
}

impl Catalog {
    /// The version that a choice means.
    ///
    /// # Errors
    /// `UNKNOWN_MODEL` with a sentence if there is no such model, or no such version of it.
    pub fn find<'a>(&'a self, choice: &'a ModelChoice) -> Result<Found<'a>, RequestError> {
        let names = [Some(&choice.name), choice.fallback.as_ref()];
        let found = names.into_iter().flatten().find_map(|name| Some((name, self.models.get(name)?)));
        let Some((name, model)) = found else { return Err(unknown(no_such_model(choice))) };
        let version = match &choice.version {
            VersionChoice::Number(number) => Some(*number),
            VersionChoice::Label(label) => model.labels.get(label).copied(),
            VersionChoice::Latest => model.latest,
        };
        let entry = version.and_then(|version| Some((version, model.versions.get(&version)?)));
        let Some((version, entry)) = entry else { return Err(unknown(no_such_version(name, choice, model))) };
        Ok(Found { name, version, entry })
    }
}

fn unknown(why: String) -> RequestError {
    RequestError::new(ErrorCode::UnknownModel, why)
}

fn no_such_model(choice: &ModelChoice) -> String {
    match &choice.fallback {
        None => format!("there is no model `{}`", choice.name),
        Some(fallback) => format!("there is no model `{}`, nor `{fallback}`, which would take over", choice.name),
    }
}

fn no_such_version(name: &Name, choice: &ModelChoice, model: &CatalogModel) -> String {
    let asked = match &choice.version {
        VersionChoice::Label(label) => format!("version labelled `{label}`"),
        VersionChoice::Number(number) => format!("version {number}"),
        VersionChoice::Latest => "version".to_owned(),
    };
    let mut there: Vec<_> = model.versions.keys().map(u64::to_string).collect();
    there.extend(model.labels.keys().map(|label| format!("`{label}`")));
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    format!("model `{name}` has no {asked} in service; there is {there}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model's name, its versions, its labels.
    type Listed<'a> = (&'a str, &'a [u64], &'a [(&'a str, u64)]);

    /// Versions that say which they are.
    fn catalog(models: &[Listed<'_>]) -> Catalog {
        let mut catalog = Catalog::default();
        for (name, versions, labels) in models {
            let entry = |version: &u64| (*version, Entry::Failed(format!("{name}/{version}").into()));
            let model = CatalogModel {
                versions: versions.iter().map(entry).collect(),
                latest: versions.last().copied(),
                labels: labels.iter().map(|(label, version)| ((*label).into(), *version)).collect(),
            };
            catalog.models.insert((*name).into(), Arc::new(model));
        }
        catalog
    }

    fn told(catalog: &Catalog, name: &str, version: VersionChoice, fallback: Option<&str>) -> String {
        let choice = ModelChoice { name: name.into(), version, fallback: fallback.map(Name::from) };
        match catalog.find(&choice) {
            Ok(Found { name, version, .. }) => format!("{name}/{version}"),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::UnknownModel);
                error.message().to_owned()
            }
        }
    }

    #[test]
    fn versions_are_found_by_number_by_label_and_as_the_latest() {
        let catalog = catalog(&[("iris", &[2, 3, 10], &[("stable", 3), ("lost", 7)])]);
        let told = |version| told(&catalog, "iris", version, None);
        assert_eq!(told(VersionChoice::Latest), "iris/10");
        assert_eq!(told(VersionChoice::Number(2)), "iris/2");
        assert_eq!(told(VersionChoice::Label("stable".into())), "iris/3");
        let sentence = "model `iris` has no version labelled `canary` in service; there is 2, 3, 10, `lost`, `stable`";
        assert_eq!(told(VersionChoice::Label("canary".into())), sentence);
        assert!(told(VersionChoice::Label("lost".into())).contains("no version labelled `lost`"));
        assert!(told(VersionChoice::Number(4)).contains("no version 4"));
    }

    #[test]
    fn the_fallback_takes_over_for_a_model_that_is_not_there_and_for_no_other_reason() {
        use VersionChoice::{Latest, Number};
        let catalog = catalog(&[("churn", &[1, 2], &[]), ("churn-a", &[7], &[])]);
        let churn = Some("churn");
        assert_eq!(told(&catalog, "churn-a", Latest, churn), "churn-a/7");
        assert_eq!(told(&catalog, "churn-b", Latest, churn), "churn/2");
        assert_eq!(told(&catalog, "churn-b", Number(1), churn), "churn/1");
        assert!(told(&catalog, "churn-a", Number(1), churn).contains("`churn-a` has no version 1"));
        assert!(told(&catalog, "churn-b", Latest, Some("shared")).contains("`churn-b`, nor `shared`"));
        assert_eq!(told(&catalog, "churn-b", Latest, None), "there is no model `churn-b`");
    }

    #[test]
    fn only_the_first_one_to_ask_is_the_first() {
        let demand = Demand::default();
        assert_eq!([demand.ask(), demand.ask(), demand.ask()], [true, false, false]);
    }
}
