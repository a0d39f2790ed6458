//! Why a version cannot be brought to the local disk.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// Why a version cannot be brought to the local disk.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The store fails, or has another version now.
    #[error(transparent)]
    Store(StoreError),
    /// The caller ended it.
    #[error("cancelled")]
    Cancelled,
    /// The bytes are others than the manifest says. What came is removed.
    #[error(
        "`{path}` is not what manifest.json says: its sha256 is {found}, not {expected}; it was changed or damaged, \
         upload it again, manifest.json last"
    )]
    Damaged {
        /// Relative to the repository.
        path: String,
        /// Of the manifest.
        expected: String,
        /// Of what came.
        found: String,
    },
    /// The folder is no cache, or cannot be one.
    #[error("the cache folder `{}` cannot be used: {why}; set `models.cache.directory` to a folder that this process may write", .directory.display())]
    Unusable {
        /// The cache's folder.
        directory: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk is full, also without all that could be removed.
    #[error("the disk of the cache folder `{}` is full, and nothing is left to remove but what is in use: give it more space", .directory.display())]
    Full {
        /// The cache's folder.
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The local disk fails.
    #[error("the cache folder `{}` fails: {source}", .directory.display())]
    Io {
        /// The cache's folder.
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file whose path leads out of its version.
    #[error("`{0}` is no path inside of a model version")]
    Outside(String),
    /// Other workers remove what this one brings, again and again.
    #[error("the cache folder `{}` is too small for its workers: each removes what the others need; raise `models.cache.max_size`", .directory.display())]
    Contended {
        /// The cache's folder.
        directory: PathBuf,
    },
}

impl From<StoreError> for CacheError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cancelled => Self::Cancelled,
            error => Self::Store(error),
        }
    }
}

impl CacheError {
    /// What went wrong in a cache's folder.
    pub(super) fn of(source: io::Error, directory: &Path) -> Self {
        let directory = directory.to_owned();
        if is_full(&source) { Self::Full { directory, source } } else { Self::Io { directory, source } }
    }
}

/// Whether there is no space left, for this process at least.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
