//! Finds the file that is meant, and what the model is called: by its place in a repository, else by its file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// The file of a version of a model.
const FILE: &str = "model.onnx";

/// A model file and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// The model's name.
    pub name: String,
    /// Its version, where it lies in a repository.
    pub version: Option<u64>,
    /// The repository, where it lies in one.
    pub repository: Option<PathBuf>,
}

/// Finds the model at `path`: a file, the folder of a version, or that of a model, whose newest version is taken.
///
/// # Errors
/// If there is none, with what is there instead.
pub fn locate(path: &Path) -> anyhow::Result<Located> {
    let path = path.canonicalize().with_context(|| format!("`{}` cannot be opened", path.display()))?;
    if path.is_file() {
        return Ok(named(path));
    }
    if path.join(FILE).is_file() {
        return Ok(named(path.join(FILE)));
    }
    if let Some(version) = newest(&path)? {
        return Ok(named(path.join(version.to_string()).join(FILE)));
    }
    let mut models = Vec::new();
    for folder in fs::read_dir(&path)? {
        let folder = folder?.path();
        if folder.is_dir() && newest(&folder)?.is_some() {
            models.extend(folder.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    models.sort();
    if models.is_empty() {
        bail!("there is no {FILE} in `{}`, nor in a version of it (a folder called by a number)", path.display());
    }
    bail!("`{}` is a repository: name one of its models, {}", path.display(), models.join(", "))
}

/// The highest number of a folder with a model in it.
fn newest(model: &Path) -> anyhow::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(model)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(version_of);
        if entry.path().join(FILE).is_file() {
            newest = newest.max(number);
        }
    }
    Ok(newest)
}

/// A version number as a folder's name writes it.
fn version_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|number: &u64| *number > 0 && number.to_string() == name)
}

fn named(file: PathBuf) -> Located {
    let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let version = name_of(&folder).as_deref().and_then(version_of).filter(|_| file.ends_with(FILE));
    if let (Some(version), Some(model)) = (version, folder.parent())
        && let Some(name) = name_of(model)
    {
        return Located { file, name, version: Some(version), repository: model.parent().map(Path::to_owned) };
    }
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = match stem {
        Some(stem) if stem != "model" => stem,
        _ => name_of(&folder).unwrap_or_else(|| "model".to_owned()),
    };
    Located { file, name, version: None, repository: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files in it, all empty.
    fn folder(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn the_newest_version_of_a_model_is_taken_by_number() {
        let (_guard, root) =
            folder(&["iris/2/model.onnx", "iris/10/model.onnx", "iris/11/notes.txt", "iris/x/model.onnx"]);
        let expected = Located {
            file: root.join("iris/10/model.onnx"),
            name: "iris".to_owned(),
            version: Some(10),
            repository: Some(root.clone()),
        };
        assert_eq!(locate(&root.join("iris")).unwrap(), expected);
        assert_eq!(locate(&root.join("iris/2")).unwrap().version, Some(2));
        assert_eq!(locate(&root.join("iris/10/model.onnx")).unwrap(), expected);
    }

    #[test]
    fn a_file_outside_of_a_repository_is_called_by_its_own_name_or_its_folder() {
        let (_guard, root) = folder(&["churn.onnx", "spam/model.onnx"]);
        let churn = locate(&root.join("churn.onnx")).unwrap();
        assert_eq!((&*churn.name, churn.version), ("churn", None));
        assert_eq!(locate(&root.join("spam/model.onnx")).unwrap().name, "spam");
        assert_eq!(locate(&root.join("spam")).unwrap().name, "spam");
    }

    #[test]
    fn a_repository_is_told_with_the_models_that_it_has() {
        let (_guard, root) = folder(&["spam/1/model.onnx", "iris/1/model.onnx", "notes/readme.txt"]);
        let error = locate(&root).unwrap_err().to_string();
        assert!(error.ends_with("is a repository: name one of its models, iris, spam"), "{error}");
        let error = locate(&root.join("notes")).unwrap_err().to_string();
        assert!(error.contains("there is no model.onnx"), "{error}");
        assert!(locate(&root.join("nothing")).is_err());
    }
}
