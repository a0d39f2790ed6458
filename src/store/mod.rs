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
    sync::Arc,
};

pub use local::LocalStore;
pub use s3::{S3Config, S3Store};

pub mod local;
mod part;
pub mod s3;

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

/// The store of a repository: `s3://bucket/prefix`, `file:///folder` or a path. Nothing is looked at yet, so that a
/// repository which is not there so far is an outage of the calls that follow.
///
/// # Errors
/// [`StoreError::Unsupported`] if it is no place that can be a repository.
pub fn open(repository: &str, s3: &S3Config) -> Result<Arc<dyn Store>, StoreError> {
    if repository.starts_with("s3://") {
        return Ok(Arc::new(S3Store::open(repository, s3)?));
    }
    Ok(Arc::new(LocalStore::at(repository)?))
}

/// Whether a path may be a file's of a repository: inside of it, in parts that neither are hidden nor look unfinished.
pub fn is_listed(path: &str) -> bool {
    let unfinished = |part: &str| [".part", ".tmp", ".partial", "~"].iter().any(|end| part.ends_with(end));
    !path.contains(|c: char| c == '\\' || c.is_control())
        && path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !unfinished(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_unfinished_and_outside_paths_are_not_listed() {
        for right in ["iris/3/model.onnx", "a", "Größe/1/model.onnx_data", "a/1/part", "a/1/x.parted"] {
            assert!(is_listed(right), "{right}");
        }
        for wrong in [
            "",
            "/etc/passwd",
            "a//b",
            "a/../b",
            "a/.git/x",
            ".a",
            "a/1/m.part",
            "a/1/m.tmp",
            "m~",
            "a\\b",
            "a\nb",
            "a/",
        ] {
            assert!(!is_listed(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_kind_of_store_is_told_by_the_scheme() {
        let open = |repository| open(repository, &S3Config::default());
        assert!(open("s3://models/production").unwrap().folder().is_none());
        assert_eq!(open("file:///srv/models").unwrap().folder(), Some(Path::new("/srv/models")));
        assert!(open("models").unwrap().folder().unwrap().is_absolute());
        for wrong in ["gs://models", "s3://", "s3:///prefix", "file://host/x"] {
            let error = open(wrong).err().unwrap();
            assert!(matches!(error, StoreError::Unsupported(_)) && error.to_string().contains(wrong), "{error}");
        }
    }
}
