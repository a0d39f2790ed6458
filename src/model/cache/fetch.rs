//! From listed objects to blobs: fetched once, gone on with where a fetch broke off, hashed, and put to the disk.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    Cache, CacheError, Progress,
    error::is_full,
    layout::{Wanted, size_of},
    lock::Lock,
};
use crate::store::{Store, StoreError};

/// How often is looked whether another worker has done with a file, and whether the wait was cancelled.
const PAUSE: Duration = Duration::from_millis(50);
/// So much is hashed between two looks at whether to go on.
const PIECE: usize = 1 << 20;

/// The files of one version on their way.
pub struct Fetch<'a, 'p> {
    /// Where they go.
    pub cache: &'a Cache,
    /// Where they come from.
    pub store: &'a dyn Store,
    /// Told of every step.
    pub progress: Progress<'p>,
    /// Bytes of all files.
    pub total: u64,
    /// Bytes of the files that are there.
    pub ready: u64,
}

impl Fetch<'_, '_> {
    /// Brings what is missing and fills in every sha256. The bytes that came.
    pub fn files(&mut self, wanted: &mut [Wanted<'_>]) -> Result<u64, CacheError> {
        self.cache.make_room(self.needs(wanted), wanted)?;
        let mut fetched = 0;
        for index in 0..wanted.len() {
            if !self.is_there(&wanted[index]) {
                fetched += self.file(index, wanted)?;
            }
            self.ready += wanted[index].object.size;
        }
        Ok(fetched)
    }

    /// Bytes that are missing.
    fn needs(&self, wanted: &[Wanted<'_>]) -> u64 {
        let missing = wanted.iter().filter(|file| !self.is_there(file));
        let part_of = |file: &Wanted<'_>| size_of(&self.cache.layout.part(&file.identity)).unwrap_or(0);
        missing.map(|file| file.object.size.saturating_sub(part_of(file))).sum()
    }

    fn is_there(&self, file: &Wanted<'_>) -> bool {
        file.sha256.as_ref().is_some_and(|sha256| self.cache.layout.has_blob(sha256, file.object.size))
    }

    /// Brings one file, unless another worker does it first.
    fn file(&mut self, index: usize, wanted: &mut [Wanted<'_>]) -> Result<u64, CacheError> {
        let identity = wanted[index].identity.clone();
        let _lock = self.alone(&identity)?;
        if wanted[index].promised.is_none() {
            wanted[index].sha256 = self.cache.layout.known(&identity);
        }
        if self.is_there(&wanted[index]) {
            return Ok(0);
        }
        let part = self.cache.layout.part(&identity);
        let begun = size_of(&part).unwrap_or(0);
        let sha256 = match self.download(&part, index, wanted) {
            // What was there before may have been the damage: once more, from the beginning.
            Err(CacheError::Damaged { .. }) if begun > 0 => self.download(&part, index, wanted)?,
            other => other?,
        };
        self.publish(&part, &sha256, &wanted[index])?;
        wanted[index].sha256 = Some(sha256);
        Ok(wanted[index].object.size.saturating_sub(begun))
    }

    /// The right to fetch a file, waited for.
    fn alone(&mut self, identity: &str) -> Result<Lock, CacheError> {
        let path = self.cache.layout.part_lock(identity);
        loop {
            if let Some(lock) = Lock::try_exclusive(&path).map_err(self.cache.failed())? {
                return Ok(lock);
            }
            if !(self.progress)(self.ready, self.total) {
                return Err(CacheError::Cancelled);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Fetches the rest of `part` and gives its sha256. Where the disk is full, what nobody uses makes room.
    fn download(&mut self, part: &Path, index: usize, wanted: &[Wanted<'_>]) -> Result<String, CacheError> {
        let (ready, total) = (self.ready, self.total);
        let object = wanted[index].object;
        loop {
            let mut progress = |bytes: u64| (self.progress)(ready + bytes, total);
            match self.store.download(object, part, &mut progress) {
                Ok(()) => break,
                Err(StoreError::Io { source, .. }) if is_full(&source) => {
                    if !self.cache.free_one(self.needs(wanted), wanted)? {
                        return Err(self.cache.failed()(source));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut progress = || (self.progress)(ready + object.size, total);
        let found = hash(part, &mut progress).map_err(self.cache.failed())?.ok_or(CacheError::Cancelled)?;
        let damage = match &wanted[index].promised {
            Some(expected) if *expected != found => {
                CacheError::Damaged { path: object.path.clone(), expected: expected.clone(), found }
            }
            _ if size_of(part) != Some(object.size) => StoreError::Damaged(object.path.clone()).into(),
            _ => return Ok(found),
        };
        discard(part);
        Err(damage)
    }

    /// Makes a blob of a part that is complete.
    fn publish(&self, part: &Path, sha256: &str, file: &Wanted<'_>) -> Result<(), CacheError> {
        let layout = &self.cache.layout;
        let publish = || {
            let complete = File::open(part)?;
            let mut permissions = complete.metadata()?.permissions();
            // A blob has many names; nobody may write to all of them through one.
            permissions.set_readonly(true);
            complete.set_permissions(permissions)?;
            complete.sync_all()?;
            if layout.has_blob(sha256, file.object.size) {
                discard(part);
            } else {
                fs::rename(part, layout.blob(sha256))?;
                discard(part);
                File::open(layout.blobs())?.sync_all()?;
            }
            if file.promised.is_none() { layout.remember(&file.identity, sha256) } else { Ok(()) }
        };
        let _admission = self.cache.admission()?;
        publish().map_err(self.cache.failed())
    }
}

/// The sha256 of a file, in hex; `None` if `progress` ended it.
pub fn hash(path: &Path, progress: &mut dyn FnMut() -> bool) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())),
            count => hash.update(&piece[..count]),
        }
        if !progress() {
            return Ok(None);
        }
    }
}

/// Removes a part and what the store keeps beside it.
pub fn discard(part: &Path) {
    // What stays is removed as a leftover.
    drop(fs::remove_file(part));
    let mut label = part.as_os_str().to_owned();
    label.push(".of");
    drop(fs::remove_file(label));
}
