//! What a look at a repository found.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use crate::{
    codec::{labels::Labels, manifest::Manifest},
    model::servable::ServableId,
    store::Object,
    tensor::Name,
};

/// All models, by name. What did not change between two looks is the same `Arc` in both.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// Each with at least one version folder.
    pub models: BTreeMap<Name, Arc<Model>>,
}

impl Repository {
    /// Whether there is a version that one more look, a rest later, may find complete.
    pub fn awaits_look(&self) -> bool {
        self.models.values().flat_map(|model| model.versions.values()).any(|version| version.awaits_look)
    }
}

/// One model.
#[derive(Debug, Default)]
pub struct Model {
    /// By number.
    pub versions: BTreeMap<u64, Arc<Version>>,
    /// Which versions have names; each of them has a content.
    pub labels: Labels,
    /// What is wrong with `labels.yaml`, for whoever wrote it.
    pub problem: Option<String>,
}

impl Model {
    /// The versions that can be loaded, ascending: what [`crate::model::policy::aspired`] chooses among.
    pub fn available(&self) -> Vec<u64> {
        let complete = |(number, version): (&u64, &Arc<Version>)| version.content.is_some().then_some(*number);
        self.versions.iter().filter_map(complete).collect()
    }

    /// Whether another one says the same, down to the very same versions.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.versions.len() == other.versions.len()
            && self.versions.iter().zip(&other.versions).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1))
            && self.labels == other.labels
            && self.problem == other.problem
    }
}

/// One version folder.
#[derive(Debug)]
pub struct Version {
    /// What it is, once complete. A version that was complete keeps this while other files arrive.
    pub content: Option<Arc<Content>>,
    /// Why what is listed now is not, or not yet, the content.
    pub shortfall: Option<Shortfall>,
    pub(super) listed: Vec<Object>,
    /// Since when the listing says this.
    pub(super) since: Instant,
    pub(super) settled: bool,
    /// Whether it is complete if one more look finds the same files.
    pub(super) awaits_look: bool,
}

/// Why what is listed is no complete version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// It may be still on its way: what it waits for.
    Waits(String),
    /// It will not get better by itself: what is wrong, for a data scientist.
    Problem(String),
}

impl Shortfall {
    /// What it waits for, or what is wrong.
    pub fn sentence(&self) -> &str {
        match self {
            Self::Waits(sentence) | Self::Problem(sentence) => sentence,
        }
    }
}

/// A complete version: what is to be loaded.
#[derive(Debug)]
pub struct Content {
    /// Which version.
    pub id: ServableId,
    /// Its files, sorted by path: those that the manifest names, or without one, all of the folder. The manifest itself is
    /// none of them.
    pub files: Vec<Object>,
    /// Its manifest. The sha256 of every file is 64 hex digits.
    pub manifest: Option<Arc<Manifest>>,
    /// Another one whenever the version was uploaded anew and is to be loaded again: a hash of the manifest's digests, or
    /// without a manifest, of the files' paths, sizes and stamps.
    pub fingerprint: String,
}

impl Content {
    /// The path of one of its files within the version's folder.
    pub fn relative<'a>(&self, file: &'a Object) -> &'a str {
        // `<model>/<version>/` comes before it, whatever the two are.
        file.path.splitn(3, '/').nth(2).unwrap_or_default()
    }

    /// Bytes of all files together.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}
