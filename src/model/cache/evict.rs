//! What is removed from a cache: versions that nobody uses, for room, and what fetches have left behind.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, DirEntry},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    Cache, CacheError,
    fetch::discard,
    layout::{Wanted, size_of},
    link::files_of,
    lock::Lock,
};

/// A file that is half there and that nobody has gone on with for so long is a leftover.
const LEFTOVER: Duration = Duration::from_secs(24 * 60 * 60);

impl Cache {
    /// Removes what was used longest ago until `need` more bytes fit. The contents of `wanted` stay: they are about to be
    /// used.
    pub(super) fn make_room(&self, need: u64, wanted: &[Wanted<'_>]) -> Result<(), CacheError> {
        let _admission = self.admission()?;
        let mut used = self.used().map_err(self.failed())?;
        if used + need > self.max_size {
            for digest in self.by_last_use().map_err(self.failed())? {
                if used + need <= self.max_size {
                    break;
                }
                used = used.saturating_sub(self.evict(&digest, wanted).map_err(self.failed())?.unwrap_or(0));
            }
        }
        // It is told once, where the fetch begins.
        if used + need > self.max_size && need > 0 {
            tracing::warn!(
                directory = %self.layout.root().display(),
                bytes = used + need,
                max_size = self.max_size,
                "the model cache takes more than its max_size: all that is left of it is in use"
            );
        }
        Ok(())
    }

    /// On a full disk, removes a part of another version that nobody fetches now, else the version that was used longest ago;
    /// whether there was one that nobody uses. Nothing goes unless all of that together makes room for `need` bytes: what
    /// would be removed in vain may be what some model falls back to.
    pub(super) fn free_one(&self, need: u64, wanted: &[Wanted<'_>]) -> Result<bool, CacheError> {
        let _admission = self.admission()?;
        let free = || {
            let (parts, versions) = (self.idle_parts(wanted)?, self.by_last_use()?);
            let in_parts: u64 = parts.iter().filter_map(|(part, _)| size_of(part)).sum();
            if in_parts + self.freed_by(&versions, wanted)? < need {
                return Ok(false);
            }
            if let Some((part, lock)) = parts.into_iter().next() {
                discard(&part);
                lock.remove();
                return Ok(true);
            }
            for digest in versions {
                if self.evict(&digest, wanted)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        free().map_err(self.failed())
    }

    /// The parts that nobody fetches now and that are none of `wanted`, each with the right to it.
    fn idle_parts(&self, wanted: &[Wanted<'_>]) -> io::Result<Vec<(PathBuf, Lock)>> {
        let mut idle = Vec::new();
        for part in entries(&self.layout.parts())? {
            let identity = part.file_name().into_string().unwrap_or_default();
            if identity.contains('.') || wanted.iter().any(|file| file.identity == identity) {
                continue;
            }
            if let Some(lock) = Lock::try_exclusive(&self.layout.part_lock(&identity))? {
                idle.push((part.path(), lock));
            }
        }
        Ok(idle)
    }

    /// Bytes that are free once those of `versions` are gone that nobody uses.
    fn freed_by(&self, versions: &[String], wanted: &[Wanted<'_>]) -> io::Result<u64> {
        let mut links: HashMap<String, u64> = HashMap::new();
        for digest in versions {
            if let Some(_unused) = Lock::try_exclusive(&self.layout.in_use(digest))? {
                for file in files_of(&self.layout.version(digest)) {
                    *links.entry(file.sha256).or_default() += 1;
                }
            }
        }
        let needed = contents(wanted);
        let mut freed = 0;
        for (sha256, links) in links.iter().filter(|(sha256, _)| !needed.contains(sha256.as_str())) {
            // Beside those of versions, a content has the link by which it is found.
            if let Ok(metadata) = self.layout.blob(sha256).metadata()
                && metadata.nlink() == links + 1
            {
                freed += metadata.len();
            }
        }
        Ok(freed)
    }

    /// Removes what nobody needs, if no fetch is under way that may need it: blobs that no version links to (but for those of
    /// `wanted`), folders that were never finished, and parts that are a day old.
    pub(super) fn sweep(&self, wanted: &[Wanted<'_>]) -> Result<(), CacheError> {
        let Some(_alone) = Lock::try_exclusive(&self.layout.fetching()).map_err(self.failed())? else { return Ok(()) };
        let _admission = self.admission()?;
        let needed = contents(wanted);
        let sweep = || {
            for blob in entries(&self.layout.blobs())? {
                let is_needed = blob.file_name().to_str().is_some_and(|sha256| needed.contains(sha256));
                if blob.metadata()?.nlink() == 1 && !is_needed {
                    fs::remove_file(blob.path())?;
                }
            }
            self.sweep_versions()?;
            self.sweep_parts()
        };
        sweep().map_err(self.failed())
    }

    /// Removes folders that were never finished, and the locks of those that are gone.
    fn sweep_versions(&self) -> io::Result<()> {
        for version in entries(&self.layout.versions())? {
            let name = version.file_name().into_string().unwrap_or_default();
            match name.strip_suffix(".use") {
                Some(digest) if !self.layout.version(digest).exists() => {
                    if let Some(lock) = Lock::try_exclusive(&version.path())? {
                        lock.remove();
                    }
                }
                None if name.starts_with('.') => fs::remove_dir_all(version.path())?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes parts that nobody goes on with, and locks: nobody fetches, hence nobody holds any.
    fn sweep_parts(&self) -> io::Result<()> {
        for part in entries(&self.layout.parts())? {
            let is_lock = part.file_name().as_encoded_bytes().ends_with(b".lock");
            if is_lock || age(&part.metadata()?) > LEFTOVER {
                fs::remove_file(part.path())?;
            }
        }
        Ok(())
    }

    /// Forgets the contents of listed files that are no longer there.
    pub(super) fn forget_lost(&self) -> Result<(), CacheError> {
        let forget = || {
            for entry in entries(&self.layout.index())? {
                // One that begins with a dot was never finished.
                let name = entry.file_name().into_string().unwrap_or_default();
                let known = Some(name).filter(|name| !name.starts_with('.')).and_then(|name| self.layout.known(&name));
                if known.is_none_or(|sha256| !self.layout.blob(&sha256).exists()) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        let Some(_alone) = Lock::try_exclusive(&self.layout.fetching()).map_err(self.failed())? else { return Ok(()) };
        forget().map_err(self.failed())
    }

    /// Bytes of all that is there, and of what is on its way.
    fn used(&self) -> io::Result<u64> {
        let mut used = 0;
        for folder in [self.layout.blobs(), self.layout.parts()] {
            for entry in entries(&folder)? {
                // A part may be renamed to a blob at any time.
                used += size_of(&entry.path()).unwrap_or(0);
            }
        }
        Ok(used)
    }

    /// The versions, the one used longest ago first.
    fn by_last_use(&self) -> io::Result<Vec<String>> {
        let mut versions = Vec::new();
        for entry in entries(&self.layout.versions())? {
            let Ok(digest) = entry.file_name().into_string() else { continue };
            if digest.contains('.') {
                continue;
            }
            let used = self.layout.in_use(&digest).metadata().or_else(|_| entry.metadata())?.modified()?;
            versions.push((used, digest));
        }
        versions.sort_unstable();
        Ok(versions.into_iter().map(|(_, digest)| digest).collect())
    }

    /// Removes a version and the contents that nobody else has, but for those of `wanted`. The bytes that this freed; `None`
    /// if it is in use. Admission must be held.
    fn evict(&self, digest: &str, wanted: &[Wanted<'_>]) -> io::Result<Option<u64>> {
        let Some(lock) = Lock::try_exclusive(&self.layout.in_use(digest))? else { return Ok(None) };
        let folder = self.layout.version(digest);
        let files = files_of(&folder);
        self.remove_folder(&folder)?;
        lock.remove();
        let needed = contents(wanted);
        let mut freed = 0;
        for file in files.iter().filter(|file| !needed.contains(file.sha256.as_str())) {
            let blob = self.layout.blob(&file.sha256);
            // A version may hold the same content twice; the second time it is gone.
            if let Ok(metadata) = blob.metadata()
                && metadata.nlink() == 1
            {
                fs::remove_file(&blob)?;
                freed += metadata.len();
            }
        }
        Ok(Some(freed))
    }
}

fn contents<'a>(wanted: &'a [Wanted<'_>]) -> HashSet<&'a str> {
    wanted.iter().filter_map(|file| file.sha256.as_deref()).collect()
}

fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    fs::read_dir(folder)?.collect()
}

fn age(metadata: &fs::Metadata) -> Duration {
    // A time in the future (a clock that was set) is no reason to remove anything.
    metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}
