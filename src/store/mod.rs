//! Where model artefacts lie: a folder, or a bucket on anything that speaks S3.
//!
//! A store lists, reads and downloads; it judges nothing. What a listing means is the watcher's affair, and whether bytes are
//! the right ones the loader's, who knows their sha256. Guarantee: a listing is whole or an error, so that an outage never
//! looks like an empty repository; and what was downloaded is, byte for byte, the object that was listed, or an error.
//!
//! Every call blocks for as long as it takes, within bounds of its own: it belongs on a thread of the caller's, never on the
//! compute pool nor inside of an async runtime.

use std::{
    io,
    path::{Path, PathBuf},
};

pub mod local;

/// One file of a repository, as a listing tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// Relative to the repository's root, `/` between its parts: `iris/3/model.onnx`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Another one whenever the content may be another: the ETag, or time of change, inode and size.
    pub stamp: String,
}

/// A repository of models.
pub trait Store: Send + Sync {
    /// Every file, sorted by path; hidden and unfinished ones left out. An empty listing is an empty repository.
    ///
    /// # Errors
    /// If the listing is not whole, for whatever reason.
    fn list(&self) -> Result<Vec<Object>, StoreError>;

    /// All of a small file of at most `most` bytes: `manifest.json`, labels.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none, [`StoreError::TooLarge`] if it is larger; or why it cannot be read.
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, StoreError>;

    /// Fetches a listed object into the file `part`, where that holds a beginning of it already, the rest of it; a file
    /// `<part>.of` beside it says of which object. `progress` is told the bytes so far and ends the download by `false`.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it is no longer the listed object and [`StoreError::Missing`] if it is gone: `part` is
    /// removed. After any other error but [`StoreError::Damaged`] the next call goes on where this one ended.
    fn download(&self, object: &Object, part: &Path, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), StoreError>;

    /// The folder of a repository whose versions can be served in place; `None` for a bucket.
    fn folder(&self) -> Option<&Path>;
}

/// Why a store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An outage, which may end by itself: nobody answers, time-outs, 5xx, a missing root, no credentials yet.
    #[error("{0}")]
    Unreachable(String),
    /// The store answers, and refuses: wrong credentials, no such bucket. Somebody has to set something right.
    #[error("{0}")]
    Denied(String),
    /// There is no such file.
    #[error("`{0}` is not in the repository")]
    Missing(String),
    /// The object is no longer the one that was listed: look again.
    #[error("`{0}` was replaced since it was listed; the next look at the repository finds the new one")]
    Changed(String),
    /// The bytes that came are not those that the store holds. What had come is removed: try again.
    #[error("`{0}` was damaged on its way: the checksum of what came is not the one that the store holds")]
    Damaged(String),
    /// A file that ought to be small is not.
    #[error("`{path}` has more than {most} bytes, the most that is read of such a file")]
    TooLarge {
        /// Relative to the root.
        path: String,
        /// What was allowed.
        most: u64,
    },
    /// The caller ended it.
    #[error("cancelled")]
    Cancelled,
    /// The local disk fails: full, read-only, no permission.
    #[error("`{}` on the local disk: {source}", .path.display())]
    Io {
        /// The local file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A place or a setting that there is no store for.
    #[error("{0}")]
    Unsupported(String),
}
