//! A model repository in a folder: `<root>/<model>/<version>/model.onnx`, as Triton and TF Serving lay theirs.
//!
//! Links are followed, also that of the root itself at each call, so that a mount which swaps a link swaps the repository; what
//! lies outside of it through a link is not there.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{Object, Store, StoreError, is_listed};

mod copy;
mod walk;

/// A repository in a folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// The repository at a path or a `file://` URL, which need not be there yet.
    ///
    /// # Errors
    /// If it is another kind of URL.
    pub fn at(repository: &str) -> Result<Self, StoreError> {
        let path = match repository.split_once("://") {
            None if !repository.is_empty() => repository,
            Some(("file", path)) if path.starts_with('/') => path,
            _ => {
                return Err(StoreError::Unsupported(format!(
                    "`{repository}` is no model repository: expected a path, file:///folder or s3://bucket/prefix"
                )));
            }
        };
        Ok(Self { root: std::path::absolute(path).map_err(|error| unreadable(Path::new(path), &error))? })
    }

    fn canonical_root(&self) -> Result<PathBuf, StoreError> {
        fs::canonicalize(&self.root).map_err(|error| unreadable(&self.root, &error))
    }

    /// Where a listed file really lies.
    fn file(&self, path: &str) -> Result<PathBuf, StoreError> {
        let root = self.canonical_root()?;
        let missing = || StoreError::Missing(path.to_owned());
        if !is_listed(path) {
            return Err(missing());
        }
        match fs::canonicalize(root.join(path)) {
            Ok(file) if file.starts_with(&root) && file.is_file() => Ok(file),
            Ok(_) => Err(missing()),
            Err(error) if is_absent(&error) => Err(missing()),
            Err(error) => Err(unreadable(&root.join(path), &error)),
        }
    }
}

impl Store for LocalStore {
    fn list(&self) -> Result<Vec<Object>, StoreError> {
        walk::files(&self.canonical_root()?)
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, StoreError> {
        copy::read(&self.file(path)?, path, most)
    }

    fn download(&self, object: &Object, part: &Path, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), StoreError> {
        let from = self.file(&object.path).inspect_err(|error| {
            if matches!(error, StoreError::Missing(_)) {
                super::part::discard(part);
            }
        })?;
        copy::download(&from, object, part, progress)
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.root)
    }
}

/// What changes whenever a file's content may have changed.
fn stamp(metadata: &fs::Metadata) -> String {
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}-{}-{}", changed.unwrap_or_default().as_nanos(), metadata.ino(), metadata.len())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    let sentence = format!("the model repository cannot be read at `{}`: {error}", path.display());
    if error.kind() == io::ErrorKind::PermissionDenied {
        return StoreError::Denied(sentence + "; let the user that runs modelmill read it");
    }
    StoreError::Unreachable(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(versions: &[&str]) -> (tempfile::TempDir, LocalStore) {
        let folder = tempfile::tempdir().unwrap();
        for version in versions {
            let path = folder.path().join(version);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("model.onnx"), b"").unwrap();
        }
        let store = LocalStore::at(folder.path().to_str().unwrap()).unwrap();
        (folder, store)
    }

    #[test]
    fn what_lies_outside_through_a_link_is_not_listed() {
        let (outside, _) = repository(&["secret/1"]);
        let (folder, store) = repository(&["iris/1"]);
        std::os::unix::fs::symlink(outside.path().join("secret/1"), folder.path().join("iris/2")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("iris/1"), folder.path().join("iris/3")).unwrap();
        let paths: Vec<_> = store.list().unwrap().into_iter().map(|object| object.path).collect();
        assert_eq!(paths, ["iris/1/model.onnx", "iris/3/model.onnx"]);
    }

    #[test]
    fn a_missing_root_is_an_outage_that_names_it() {
        let store = LocalStore::at("/nowhere/at/all").unwrap();
        let error = store.list().unwrap_err();
        assert!(
            matches!(error, StoreError::Unreachable(_)) && error.to_string().contains("/nowhere/at/all"),
            "{error}"
        );
    }

    #[test]
    fn only_what_is_inside_can_be_read_and_only_if_it_is_small() {
        let (folder, store) = repository(&["iris/1"]);
        fs::write(folder.path().join("iris/1/labels.txt"), "a\nb\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("iris/1/out.txt")).unwrap();
        assert_eq!(store.read("iris/1/labels.txt", 4).unwrap(), b"a\nb\n");
        assert!(matches!(store.read("iris/1/labels.txt", 3), Err(StoreError::TooLarge { most: 3, .. })));
        for gone in ["iris/1/none", "iris/1/out.txt", "../etc/passwd", "iris", "iris/1/labels.txt/x"] {
            assert!(matches!(store.read(gone, 9), Err(StoreError::Missing(_))), "{gone}");
        }
    }
}
