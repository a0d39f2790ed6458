//! A model repository in a folder: `<root>/<model>/<version>/model.onnx`, as Triton and TF Serving lay theirs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::request::is_model_name;

/// A repository in a folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
}

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A place that this build has no store for.
    #[error("`{0}` is no folder: a repository is a path or file:///absolute/path")]
    Unsupported(String),
    /// The folder is missing or unreadable.
    #[error("the model repository `{}` cannot be read", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl LocalStore {
    /// The repository at a path or a `file://` URL.
    ///
    /// # Errors
    /// If it is another kind of URL, or no folder that can be read.
    pub fn open(repository: &str) -> Result<Self, StoreError> {
        let path = repository.strip_prefix("file://").unwrap_or(repository);
        if path.contains("://") {
            return Err(StoreError::Unsupported(repository.to_owned()));
        }
        let unreadable = |source| StoreError::Unreadable { path: path.into(), source };
        let root = fs::canonicalize(path).map_err(unreadable)?;
        fs::read_dir(&root).map_err(unreadable)?;
        Ok(Self { root })
    }

    /// The names of all models, sorted.
    ///
    /// # Errors
    /// If the root cannot be read: an outage, not an empty repository.
    pub fn models(&self) -> Result<Vec<String>, StoreError> {
        let mut names = self.folders(&self.root)?;
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
        let mut versions: Vec<u64> = self
            .folders(&folder)?
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
        fs::canonicalize(path).ok().filter(|path| path.starts_with(&self.root) && path.is_dir())
    }

    fn folders(&self, path: &Path) -> Result<Vec<String>, StoreError> {
        let unreadable = |source| StoreError::Unreadable { path: path.into(), source };
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
    fn a_missing_root_is_an_error_that_names_it() {
        let error = LocalStore::open("/nowhere/at/all").unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
        assert!(LocalStore::open("s3://bucket").unwrap_err().to_string().contains("no folder"));
    }
}
