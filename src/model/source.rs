//! From successive listings of a repository to what is in it: models, their versions, and the labels that name some of them.
//!
//! A [`Source`] remembers the listing before, so that an unchanged repository costs one comparison and no read. It loads
//! nothing and unloads nothing: it says what there is, the [`super::policy`] what of it should be in service. Guarantee: a
//! version has a [`Content`] only once all of its files are there, and keeps it while the version is being uploaded again or
//! after that went wrong, so that what is in service goes on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use repository::{Content, Model, Repository, Shortfall, Version};

use crate::{
    codec::{
        labels::{self, Labels},
        manifest::Manifest,
    },
    request::is_model_name,
    store::{Object, StoreError},
    tensor::Name,
};
use documents::{Documents, Reading};

mod documents;
mod repository;
mod version;

/// The most bytes that are read of a `manifest.json`, about 10,000 files. (What reads it must know: [`crate::store::Store::read`].)
pub const MOST_MANIFEST: u64 = 2 << 20;
/// The most bytes that are read of a `labels.yaml`.
pub const MOST_LABELS: u64 = 64 << 10;

/// Reads that failed for so long together are an outage. A file that cannot be read fails at once, and keeps nobody from
/// reading the others; a server that is down lets each of them wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a small listed file of at most so many bytes.
pub type Reader<'a> = &'a mut dyn FnMut(&Object, u64) -> Result<Vec<u8>, StoreError>;

/// What is in a repository, from look to look.
pub struct Source {
    listing: Vec<Object>,
    repository: Repository,
    /// Whether the same listing once more would say nothing new.
    settled: bool,
    rest: Duration,
    manifests: Documents<Arc<Manifest>>,
    labels: Documents<Labels>,
}

impl Default for Source {
    /// A source for which any two looks are enough.
    fn default() -> Self {
        Self::new(Duration::ZERO)
    }
}

impl Source {
    /// A source that takes a version without a manifest for complete when two looks saw the same files with at least `rest`
    /// between them: looks that events hasten could find the same half of an upload twice.
    pub fn new(rest: Duration) -> Self {
        Self {
            listing: Vec::new(),
            repository: Repository::default(),
            settled: true,
            rest,
            manifests: Documents::new(MOST_MANIFEST, PATIENCE),
            labels: Documents::new(MOST_LABELS, PATIENCE),
        }
    }

    /// What a complete listing says. `read` is called for manifests and labels that are new or changed, each once.
    ///
    /// # Errors
    /// If the store fails while small files are read: an outage. What had been found before stays, and what has been read is
    /// remembered for the next look.
    pub fn look(&mut self, mut listing: Vec<Object>, read: Reader<'_>) -> Result<Repository, StoreError> {
        if !listing.is_sorted_by(|a, b| a.path <= b.path) {
            listing.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        }
        if self.settled && listing == self.listing {
            return Ok(self.repository.clone());
        }
        self.manifests.begin();
        self.labels.begin();
        let mut repository = Repository::default();
        let mut settled = true;
        for objects in listing.chunk_by(|a, b| first_part(&a.path) == first_part(&b.path)) {
            let name = first_part(&objects[0].path);
            if !is_model_name(name) {
                continue;
            }
            let (model, model_settled) = self.model(&name.into(), objects, read)?;
            settled &= model_settled;
            if !model.versions.is_empty() {
                repository.models.insert(name.into(), model);
            }
        }
        self.manifests.forget_unlisted(&listing);
        self.labels.forget_unlisted(&listing);
        (self.listing, self.repository, self.settled) = (listing, repository, settled);
        Ok(self.repository.clone())
    }

    /// One model, and whether its files say all that they ever will.
    fn model(&mut self, name: &Name, objects: &[Object], read: Reader<'_>) -> Result<(Arc<Model>, bool), StoreError> {
        let before = self.repository.models.get(name).cloned();
        let mut model = Model::default();
        let mut settled = true;
        let mut labels = None;
        for listed in objects.chunk_by(|a, b| second_part(&a.path) == second_part(&b.path)) {
            match second_part(&listed[0].path) {
                Second::Folder(folder) => {
                    let Some(number) = version_number(folder) else { continue };
                    let known = before.as_ref().and_then(|model| model.versions.get(&number));
                    let seen = version::Seen { listed, before: known, rest: self.rest };
                    let version = version::judge((name, number), seen, &mut self.manifests, read)?;
                    settled &= version.settled;
                    model.versions.insert(number, version);
                }
                Second::File("labels.yaml") => labels = listed.first(),
                Second::File(_) => {}
            }
        }
        settled &= self.label(&mut model, before.as_deref(), labels, read)?;
        let unchanged = before.filter(|before| before.is(&model));
        Ok((unchanged.unwrap_or_else(|| Arc::new(model)), settled))
    }

    /// Puts the labels to a model; whether their file could be read.
    fn label(
        &mut self,
        model: &mut Model,
        before: Option<&Model>,
        file: Option<&Object>,
        read: Reader<'_>,
    ) -> Result<bool, StoreError> {
        let Some(file) = file else { return Ok(true) };
        let held = before.map(|before| before.labels.clone()).unwrap_or_default();
        let reading = self.labels.get(file, read, labels::parse)?;
        let settled = !matches!(reading, Reading::NotNow(_));
        match reading {
            Reading::Said(labels) => model.take_labels(labels, &held),
            Reading::Wrong(problem) => model.keep_labels(held, problem),
            Reading::NotNow(why) => model.keep_labels(held, format!("labels.yaml cannot be read: {why}")),
        }
        Ok(settled)
    }
}

impl Model {
    /// Gives each label the version that the file says, or leaves it where it was if there is no such version yet.
    fn take_labels(&mut self, labels: &Labels, held: &Labels) {
        let mut absent = Vec::new();
        for (label, version) in labels {
            if self.has(*version) {
                self.labels.insert(label.clone(), *version);
                continue;
            }
            let mut sentence = format!("`{label}` names version {version}, which is not there in full");
            if let Some(old) = held.get(label).filter(|old| self.has(**old)) {
                self.labels.insert(label.clone(), *old);
                sentence += &format!("; until it is, the label stays at version {old}");
            }
            absent.push(sentence);
        }
        self.problem = (!absent.is_empty()).then(|| format!("labels.yaml: {}", absent.join("; ")));
    }

    fn keep_labels(&mut self, held: Labels, problem: String) {
        self.labels = held;
        let versions: &BTreeMap<_, Arc<Version>> = &self.versions;
        self.labels.retain(|_, version| versions.get(version).is_some_and(|version| version.content.is_some()));
        let outlook = if self.labels.is_empty() { "" } else { "; the labels that held before stay" };
        self.problem = Some(problem + outlook);
    }

    fn has(&self, version: u64) -> bool {
        self.versions.get(&version).is_some_and(|version| version.content.is_some())
    }
}

/// The model's folder; the whole path of a file beside the models.
fn first_part(path: &str) -> &str {
    path.split_once('/').map_or("", |(first, _)| first)
}

/// What lies in a model's folder.
#[derive(PartialEq)]
enum Second<'a> {
    Folder(&'a str),
    File(&'a str),
}

fn second_part(path: &str) -> Second<'_> {
    let rest = path.split_once('/').map_or("", |(_, rest)| rest);
    match rest.split_once('/') {
        Some((folder, _)) => Second::Folder(folder),
        None => Second::File(rest),
    }
}

/// A version's number: positive, without leading zeros, so that each has one folder.
fn version_number(folder: &str) -> Option<u64> {
    let plain = !folder.starts_with('0') && folder.bytes().all(|c| c.is_ascii_digit());
    if plain { folder.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
