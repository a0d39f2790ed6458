//! Whether a version is complete: a manifest, uploaded last, says so; without one, two looks that saw the same do.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    Reader,
    documents::{Documents, Reading},
    repository::{Content, Shortfall, Version},
};
use crate::{
    codec::manifest::{FileEntry, Manifest},
    model::servable::ServableId,
    store::{Object, StoreError},
    tensor::Name,
};

/// So many of the files that a version waits for are named.
const NAMED: usize = 3;

/// What a look saw of a version.
pub struct Seen<'a> {
    /// The files of its folder.
    pub listed: &'a [Object],
    /// What was known of it before.
    pub before: Option<&'a Arc<Version>>,
    /// For how long they must have been the same.
    pub rest: Duration,
}

/// What the files of a version's folder make.
///
/// # Errors
/// If the store fails while the manifest is read.
pub fn judge(
    (name, number): (&Name, u64),
    Seen { listed, before, rest }: Seen<'_>,
    manifests: &mut Documents<Arc<Manifest>>,
    read: Reader<'_>,
) -> Result<Arc<Version>, StoreError> {
    let same = before.filter(|before| before.listed == listed);
    if let Some(known) = same.filter(|known| known.settled) {
        return Ok(Arc::clone(known));
    }
    let since = same.map_or_else(Instant::now, |same| same.since);
    let rested = same.is_some() && since.elapsed() >= rest;
    let folder = Folder { prefix: format!("{name}/{number}/"), listed };
    let mut readable = true;
    let has_model = folder.find("model.onnx").is_some();
    let manifest = folder.find("manifest.json");
    let awaits_look = manifest.is_none() && has_model && !rested;
    let found = match manifest {
        None => folder.unchanged(rested).map(|files| (files, None)),
        Some(object) => match manifests.get(object, read, parse)? {
            Reading::Said(manifest) => folder.named_by(manifest).map(|files| (files, Some(Arc::clone(manifest)))),
            Reading::Wrong(problem) => Err(Shortfall::Problem(problem)),
            Reading::NotNow(why) => {
                readable = false;
                Err(Shortfall::Waits(format!("incomplete: manifest.json cannot be read: {why}")))
            }
        },
    };
    // The same files twice and no model among them: the version was deleted, and only remains of it are left.
    let deleted = rested && !has_model;
    let kept = || before.and_then(|before| before.content.clone()).filter(|_| !deleted);
    let (content, shortfall, settled) = match found {
        Ok((files, manifest)) => {
            let id = ServableId { name: name.clone(), version: number };
            let fingerprint = fingerprint(&files, manifest.as_deref());
            (Some(Arc::new(Content { id, files, manifest, fingerprint })), None, true)
        }
        Err(shortfall) => (kept(), Some(shortfall), readable && rested),
    };
    Ok(Arc::new(Version { content, shortfall, listed: listed.to_vec(), since, settled, awaits_look }))
}

/// The listed files of a version.
struct Folder<'a> {
    /// `<model>/<version>/`.
    prefix: String,
    listed: &'a [Object],
}

impl Folder<'_> {
    fn find(&self, file: &str) -> Option<&Object> {
        let path = format!("{}{file}", self.prefix);
        self.listed.binary_search_by(|object| object.path.as_str().cmp(&path)).ok().map(|index| &self.listed[index])
    }

    /// All files, if they have been the same for long enough.
    fn unchanged(&self, rested: bool) -> Result<Vec<Object>, Shortfall> {
        if self.find("model.onnx").is_none() {
            return Err(Shortfall::Waits("incomplete: waits for `model.onnx`".to_owned()));
        }
        if rested {
            return Ok(self.listed.to_vec());
        }
        let why = "incomplete: there is no manifest.json, hence it waits for another look to find the same files";
        Err(Shortfall::Waits(why.to_owned()))
    }

    /// The files that a manifest names, if all of them are there in full.
    fn named_by(&self, manifest: &Manifest) -> Result<Vec<Object>, Shortfall> {
        let mut files = Vec::with_capacity(manifest.files.len());
        let mut missing = Vec::new();
        for entry in &manifest.files {
            match self.find(&entry.path) {
                Some(object) if object.size == entry.size => files.push(object.clone()),
                other => missing.push((entry, other.map(|object| object.size))),
            }
        }
        if !missing.is_empty() {
            return Err(Shortfall::Waits(waits_for(&missing)));
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

fn waits_for(missing: &[(&FileEntry, Option<u64>)]) -> String {
    let mut sentence = "incomplete: waits for ".to_owned();
    for (index, (entry, size)) in missing.iter().take(NAMED).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let come = size.map_or_else(String::new, |size| format!(", not {size},"));
        let _ = write!(sentence, "{comma}`{}` of {} bytes{come} as manifest.json says", entry.path, entry.size);
    }
    match missing.len().saturating_sub(NAMED) {
        0 => sentence,
        more => format!("{sentence}, and {more} more"),
    }
}

/// A manifest that a version can be held against.
fn parse(text: &[u8]) -> Result<Arc<Manifest>, String> {
    let manifest = Manifest::parse(text)?;
    let mut paths: Vec<_> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    if let Some(twice) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("manifest.json names `{}` twice: write each file once", twice[0]));
    }
    if !paths.contains(&"model.onnx") {
        return Err("manifest.json does not name `model.onnx`: name every file of the version".to_owned());
    }
    let digest = |file: &&FileEntry| file.sha256.len() != 64 || !file.sha256.bytes().all(|c| c.is_ascii_hexdigit());
    match manifest.files.iter().find(digest) {
        Some(file) => Err(format!("manifest.json has no sha256 of `{}`: expected 64 hex digits", file.path)),
        None => Ok(Arc::new(manifest)),
    }
}

/// See [`Content::fingerprint`].
fn fingerprint(files: &[Object], manifest: Option<&Manifest>) -> String {
    let mut hash = Sha256::new();
    // No path, number or stamp holds a zero byte, so that none can run into its neighbour.
    let mut add = |path: &str, size: u64, mark: &str| hash.update(format!("{path}\0{size}\0{mark}\0"));
    match manifest {
        Some(manifest) => {
            let mut entries: Vec<_> = manifest.files.iter().collect();
            entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            entries.iter().for_each(|file| add(&file.path, file.size, &file.sha256.to_ascii_lowercase()));
        }
        None => files.iter().for_each(|file| add(&file.path, file.size, &file.stamp)),
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
