//! Locks between the processes (and the threads) that share a cache folder: `flock` on small files.
//!
//! The system lets go of a lock when its holder ends, however it ends. A lock's file may be removed by whoever holds it alone;
//! others who had opened it by then find out and open the new one.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits until nobody else holds the lock.
    pub fn exclusive(path: &Path) -> io::Result<Self> {
        Self::wait(path, File::lock)
    }

    /// Waits until nobody holds the lock alone.
    pub fn shared(path: &Path) -> io::Result<Self> {
        Self::wait(path, File::lock_shared)
    }

    /// The lock alone, if nobody else holds it.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let lock = Self::open(path)?;
            match lock.file.try_lock() {
                Ok(()) if lock.is_current() => return Ok(Some(lock)),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Says that it was used now: the time of its file's last change.
    pub fn touch(&self) {
        // If it cannot be said, what is used is removed a little early.
        drop(self.file.set_modified(SystemTime::now()));
    }

    /// Removes the file of a lock that is held alone.
    pub fn remove(self) {
        // A file that stays is a few bytes.
        drop(std::fs::remove_file(&self.path));
    }

    fn wait(path: &Path, lock_file: fn(&File) -> io::Result<()>) -> io::Result<Self> {
        loop {
            let lock = Self::open(path)?;
            lock_file(&lock.file)?;
            if lock.is_current() {
                return Ok(lock);
            }
        }
    }

    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Whether its file is still the one of this name.
    fn is_current(&self) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let held = self.file.metadata().map(identity);
        matches!((held, self.path.metadata().map(identity)), (Ok(held), Ok(named)) if held == named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_may_share_a_lock_and_one_may_have_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let shared = (Lock::shared(&path).unwrap(), Lock::shared(&path).unwrap());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(shared);
        let alone = Lock::try_exclusive(&path).unwrap().unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(alone);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn who_waited_for_a_lock_whose_file_was_removed_holds_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let alone = Lock::exclusive(&path).unwrap();
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || Lock::exclusive(&path).unwrap()
        });
        alone.remove();
        let held = waiting.join().unwrap();
        assert!(path.exists() && Lock::try_exclusive(&path).unwrap().is_none());
        drop(held);
    }
}
