//! A version into a bucket.

use anyhow::bail;

use super::{Progress, Pushed, Version, cancelled, exists};
use crate::{
    cli::manifest::MANIFEST,
    codec::manifest::FileEntry,
    store::{Object, S3Store, Store, StoreError, s3::Upload},
};

/// What lies where the version is to go.
struct There {
    objects: Vec<Object>,
    /// The paths of those that are, byte for byte, files of the version.
    same: Vec<String>,
    /// Whether the manifest is the version's.
    complete: bool,
}

/// Sends what is not there yet, the manifest last.
pub fn push(store: &S3Store, version: &Version, replace: bool, progress: &Progress) -> anyhow::Result<Pushed> {
    let there = look(store, version)?;
    let strange = there.objects.iter().find(|object| object.path != MANIFEST && !there.same.contains(&object.path));
    if there.complete && strange.is_none() && there.same.len() == version.files.len() {
        return Ok(Pushed::AlreadyThere);
    }
    if !replace {
        if there.objects.iter().any(|object| object.path == MANIFEST) {
            return Err(exists("there is a complete version already"));
        }
        if let Some(object) = strange {
            return Err(exists(&format!("`{}` is there already, and not from a push of this version", object.path)));
        }
    }
    let sent = send(store, version, &there.same, progress)?;
    match store.write(MANIFEST, version.manifest.clone(), replace) {
        Err(StoreError::Changed(_)) => bail!("somebody else pushed this version meanwhile; look at which one is there"),
        written => written?,
    }
    // Not earlier: until the manifest was replaced, they belonged to the version that it described.
    for object in there.objects {
        if object.path != MANIFEST && !version.files.iter().any(|file| file.path == object.path) {
            store.remove(&object.path)?;
        }
    }
    Ok(Pushed::Sent(sent))
}

fn look(store: &S3Store, version: &Version) -> anyhow::Result<There> {
    let objects = store.list()?;
    let mut there = There { objects, same: Vec::new(), complete: false };
    for object in &there.objects {
        if object.path == MANIFEST {
            let most = version.manifest.len() as u64;
            there.complete = match store.read(MANIFEST, most) {
                Ok(text) => text == version.manifest,
                Err(StoreError::TooLarge { .. }) => false,
                Err(error) => return Err(error.into()),
            };
        }
        if is_same(store, object, &version.files)? {
            there.same.push(object.path.clone());
        }
    }
    Ok(there)
}

/// Whether an object is a file of the version: of its size, and pushed with its sha256.
fn is_same(store: &S3Store, object: &Object, files: &[FileEntry]) -> Result<bool, StoreError> {
    let Some(file) = files.iter().find(|file| file.path == object.path && file.size == object.size) else {
        return Ok(false);
    };
    Ok(store.sha256(&object.path)?.is_some_and(|sha256| sha256.eq_ignore_ascii_case(&file.sha256)))
}

fn send(store: &S3Store, version: &Version, there: &[String], progress: &Progress) -> anyhow::Result<u64> {
    let (mut before, mut sent) = (0, 0);
    for file in &version.files {
        if there.contains(&file.path) {
            progress.done(file, "there already")?;
        } else {
            let place = version.folder.join(&file.path);
            let upload = Upload { path: &file.path, file: &place, size: file.size, sha256: &file.sha256 };
            store.upload(&upload, &mut |bytes| progress.at(before, bytes)).map_err(cancelled)?;
            progress.done(file, "sent")?;
            sent += file.size;
        }
        before += file.size;
        progress.at(before, 0);
    }
    Ok(sent)
}
