//! The disk cache of a repository that cannot be served where it lies: versions as folders on this machine's disk.
//!
//! Files are kept once for each content, under their sha256, and a version is a folder of hard links to them with a
//! `manifest.json`, so that the runtime finds its model as it would in a repository (`layout` has the picture). What is there
//! already is not fetched again: not by a restart, not for a version that shares files with another, not by a second worker
//! on the same folder.
//!
//! Guarantees: a version's folder appears as a whole or not at all, every byte in it hashed when it was fetched and put to
//! the disk before its name; nothing is removed that a worker of this machine has in use; and whatever fails (a full disk, a
//! folder that cannot be written, a store that is down) is an error for the one who asked and leaves what is there alone.
//!
//! Trusted afterwards: the name of a file and its size. Bytes that decay on the disk are found where the loader holds a
//! folder against its manifest, on each load; [`Cache::mend`] then removes what is wrong, and the next fetch brings it anew.

use std::path::{Path, PathBuf};

pub use error::CacheError;

use super::source::Content;
use crate::store::Store;
use fetch::Fetch;
use layout::{Layout, Wanted, all_known};
use lock::Lock;

mod error;
mod evict;
mod fetch;
mod layout;
mod link;
mod lock;

/// How often a fetch begins again because another worker removed a file that both had found.
const ATTEMPTS: usize = 5;

/// Where a cache lies and how much it may hold.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// The folder. Several processes and several caches may share it, also those of different repositories.
    pub directory: PathBuf,
    /// Bytes above which versions that nobody uses are removed, the one used longest ago first.
    pub max_size: u64,
    /// Which repository: where two have a file of the same name and stamp, they are not taken for each other.
    pub repository: String,
}

/// Told the bytes of a version that are there, and all that it has; ends the fetch by `false`.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// A disk cache. Every call blocks for as long as the disk and the store take.
#[derive(Debug)]
pub struct Cache {
    layout: Layout,
    max_size: u64,
    repository: String,
}

/// A version on the local disk, which stays there for as long as this is held.
#[derive(Debug)]
pub struct CachedVersion {
    folder: PathBuf,
    /// Bytes that came from the store for it; 0 if all was there.
    fetched: u64,
    lock: Lock,
}

impl CachedVersion {
    /// Its folder: `model.onnx`, all other files of the version, and a `manifest.json` with the sha256 of each.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that came from the store for it; 0 if all was there.
    pub fn fetched(&self) -> u64 {
        self.fetched
    }
}

impl Drop for CachedVersion {
    fn drop(&mut self) {
        // What was in use until now was not used longest ago.
        self.lock.touch();
    }
}

impl Cache {
    /// Opens a cache, makes its folder if there is none, and removes what fetches that broke off have left behind (a file
    /// that is half there stays a day, for whoever goes on with it).
    ///
    /// # Errors
    /// If the folder cannot be used: not written, without hard links, or it holds something else.
    pub fn open(options: CacheOptions) -> Result<Self, CacheError> {
        let layout = Layout::open(options.directory)?;
        let cache = Self { layout, max_size: options.max_size, repository: options.repository };
        cache.sweep(&[])?;
        cache.forget_lost()?;
        Ok(cache)
    }

    /// The folder of a version, with whatever was missing of it fetched from `store`.
    ///
    /// A version that is larger than the whole cache may be is fetched all the same, with a warning: the bound is there to
    /// remove what is no longer needed, and to refuse a new version because of it would be an outage that a larger number in
    /// a file ends. The disk's own end is the bound that holds.
    ///
    /// # Errors
    /// See [`CacheError`]. What had come of a file stays, and the next call goes on from there.
    pub fn fetch(
        &self,
        store: &dyn Store,
        content: &Content,
        progress: Progress<'_>,
    ) -> Result<CachedVersion, CacheError> {
        let wanted = self.wanted(content)?;
        if let Some(version) = self.find(&wanted)? {
            return Ok(version);
        }
        self.sweep(&wanted)?;
        // While this is held, nobody takes a file that no version links to yet for a leftover.
        let _fetching = Lock::shared(&self.layout.fetching()).map_err(self.failed())?;
        let mut fetched = 0;
        for _ in 0..ATTEMPTS {
            let mut wanted = self.wanted(content)?;
            let mut fetch = Fetch { cache: self, store, progress, total: content.size(), ready: 0 };
            fetched += fetch.files(&mut wanted)?;
            if let Some(mut version) = self.link(&wanted)? {
                version.fetched = fetched;
                self.make_room(0, &wanted)?;
                return Ok(version);
            }
        }
        Err(CacheError::Contended { directory: self.layout.root().to_owned() })
    }

    /// A version that is there as a whole, without the store; `None` if something of it is missing, or cannot be read now.
    pub fn at_hand(&self, content: &Content) -> Option<CachedVersion> {
        let wanted = self.wanted(content).ok()?;
        self.find(&wanted).ok()?
    }

    /// Whether a version is there as a whole, so that to fetch it would need no store. It is not used by that.
    pub fn holds(&self, content: &Content) -> bool {
        let Ok(wanted) = self.wanted(content) else { return false };
        all_known(&wanted).is_some_and(|known| is_whole(&self.layout.version(&layout::digest(&known)), &known))
    }

    /// Reads all of a version whose load failed; if a file of it is not what its name says any more, removes that file and
    /// the folder. The names of such files; none if the version lies there as it was fetched.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn mend(&self, version: CachedVersion) -> Result<Vec<String>, CacheError> {
        let damaged = self.damaged(&version.folder)?;
        if !damaged.is_empty() {
            let _admission = self.admission()?;
            for (_, sha256) in &damaged {
                drop(std::fs::remove_file(self.layout.blob(sha256)));
            }
            self.remove_folder(&version.folder).map_err(self.failed())?;
        }
        Ok(damaged.into_iter().map(|(path, _)| path).collect())
    }

    /// What is already there of a version, as far as can be known without reading its files.
    fn find(&self, wanted: &[Wanted<'_>]) -> Result<Option<CachedVersion>, CacheError> {
        let Some(known) = all_known(wanted) else { return Ok(None) };
        let digest = layout::digest(&known);
        let folder = self.layout.version(&digest);
        if !folder.is_dir() {
            return Ok(None);
        }
        let lock = Lock::shared(&self.layout.in_use(&digest)).map_err(self.failed())?;
        if is_whole(&folder, &known) {
            lock.touch();
            return Ok(Some(CachedVersion { folder, fetched: 0, lock }));
        }
        // Removed a moment ago, or cut short by a disk that failed: either way it is to be made anew.
        let _admission = self.admission()?;
        self.remove_folder(&folder).map_err(self.failed())?;
        Ok(None)
    }

    /// The right to change what is there: held for short, never while bytes come or are read.
    fn admission(&self) -> Result<Lock, CacheError> {
        Lock::exclusive(&self.layout.admission()).map_err(self.failed())
    }

    fn failed(&self) -> impl Fn(std::io::Error) -> CacheError + '_ {
        |source| CacheError::of(source, self.layout.root())
    }
}

/// Whether a folder holds a version's files, each in its size.
fn is_whole(folder: &Path, known: &[(&str, u64, &str)]) -> bool {
    known.iter().all(|(path, size, _)| layout::size_of(&folder.join(path)) == Some(*size))
        && folder.join("manifest.json").is_file()
}

#[cfg(test)]
mod tests;
