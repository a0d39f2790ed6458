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
use crate::request::is_model_name;

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

    /// The repository at a path or a `file://` URL.
    ///
    /// # Errors
    /// If it is another kind of URL, or no folder that can be read.
    pub fn open(repository: &str) -> Result<Self, StoreError> {
        let store = Self::at(repository)?;
        let root = store.canonical_root()?;
        fs::read_dir(&root).map_err(|error| unreadable(&root, &error))?;
        Ok(store)
    }

    /// The names of all models, sorted.
    ///
    /// # Errors
    /// If the root cannot be read: an outage, not an empty repository.
    pub fn models(&self) -> Result<Vec<String>, StoreError> {
        let mut names = folders(&self.root)?;
        names.retain(|name| is_model_name(name));
        names.sort_unstable();
        Ok(names)
    }

    /// The version numbers of a model, ascending; none if there is no such model.
    ///
    /// # Errors
    /// If its folder is there and cannot be read.
    pub fn versions(&self, model: &str) -> Result<Vec<u64>, StoreError> {
        let Some(folder) = self.model_folder(model) else { return Ok(Vec::new()) };
        let mut versions: Vec<u64> = folders(&folder)?
            .iter()
            .filter(|name| !name.starts_with('0') && !name.starts_with('+'))
            .filter_map(|name| name.parse().ok())
            .filter(|version| {
                self.version_folder(model, *version).is_some_and(|folder| folder.join("model.onnx").exists())
            })
            .collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The folder of a version; `None` if the name is no model's, or the folder is missing or, through a link, outside the
    /// repository.
    pub fn version_folder(&self, model: &str, version: u64) -> Option<PathBuf> {
        self.inside(&self.model_folder(model)?.join(version.to_string()))
    }

    fn model_folder(&self, model: &str) -> Option<PathBuf> {
        if is_model_name(model) { self.inside(&self.root.join(model)) } else { None }
    }

    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let root = fs::canonicalize(&self.root).ok()?;
        fs::canonicalize(path).ok().filter(|path| path.starts_with(root) && path.is_dir())
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

fn folders(path: &Path) -> Result<Vec<String>, StoreError> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.path().is_dir()
        {
            names.push(name);
        }
    }
    Ok(names)
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
        let store = LocalStore::open(folder.path().to_str().unwrap()).unwrap();
        (folder, store)
    }

    #[test]
    fn versions_are_positive_integers_with_a_model_inside() {
        let (folder, store) = repository(&["iris/2", "iris/10", "iris/01", "iris/draft", ".git/1"]);
        fs::create_dir_all(folder.path().join("iris/11")).unwrap();
        assert_eq!(store.models().unwrap(), ["iris"]);
        assert_eq!(store.versions("iris").unwrap(), [2, 10]);
        assert_eq!(store.versions("none").unwrap(), [0_u64; 0]);
    }

    #[test]
    fn a_link_that_points_outside_is_no_version() {
        let (_outside, secret) = repository(&["secret/1"]);
        let (folder, store) = repository(&["iris/1"]);
        let target = secret.version_folder("secret", 1).unwrap();
        std::os::unix::fs::symlink(target, folder.path().join("iris/2")).unwrap();
        assert_eq!(store.versions("iris").unwrap(), [1]);
        assert_eq!(store.version_folder("../secret", 1), None);
    }

    #[test]
    fn a_missing_root_is_an_outage_that_names_it() {
        let store = LocalStore::at("/nowhere/at/all").unwrap();
        let error = store.list().unwrap_err();
        assert!(
            matches!(error, StoreError::Unreachable(_)) && error.to_string().contains("/nowhere/at/all"),
            "{error}"
        );
        assert!(matches!(LocalStore::open("/nowhere/at/all"), Err(StoreError::Unreachable(_))));
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
