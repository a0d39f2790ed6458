//! The files of a model version that steps name: labels, statistics and their like.
//!
//! They lie beside `model.onnx`, so that a new version brings its own. A name cannot leave the version's folder, and a link
//! cannot leave the repository: what a repository does not hold is not served, whoever may write to it.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::StepError;

/// The files that lie beside `model.onnx` in the version nearest to a step.
pub struct VersionFiles {
    /// The version's folder: `<repository>/<model>/<version>`, or its copy in the disk cache.
    pub folder: PathBuf,
}

impl VersionFiles {
    /// The content of a file of the version.
    ///
    /// # Errors
    /// If the name leaves the folder, a link leaves the repository, or the file cannot be read.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, StepError> {
        if let Some(problem) = file_problem(name) {
            return Err(StepError(problem));
        }
        let read = || match self.place(name)? {
            Some(place) => fs::read(place).map(Some),
            None => Ok(None),
        };
        match read() {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(StepError(format!(
                "the file `{name}` is a link that leads out of the model repository: put the file itself beside model.onnx"
            ))),
            Err(error) => {
                Err(StepError(format!("the file `{name}`, which must lie beside model.onnx, cannot be read: {error}")))
            }
        }
    }

    /// Where a file really lies; `None` if that is outside of the repository, which is two folders up from the version's as
    /// it was named, not as links in it lead.
    fn place(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let folder = std::path::absolute(&self.folder)?;
        let repository = fs::canonicalize(folder.ancestors().nth(2).unwrap_or(&folder))?;
        let place = fs::canonicalize(folder.join(name))?;
        Ok(place.starts_with(repository).then_some(place))
    }

    /// The text of a file of the version, without a byte order mark.
    ///
    /// # Errors
    /// As [`Self::bytes`], or if it is no UTF-8.
    pub fn text(&self, name: &str) -> Result<String, StepError> {
        let text = String::from_utf8(self.bytes(name)?).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            StepError(format!("the file `{name}` is no UTF-8 text: byte {at} is wrong"))
        })?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }
}

/// Why `name` is no file name inside a version's folder, if it is none.
pub(super) fn file_problem(name: &str) -> Option<String> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    (!inside || name.is_empty()).then(|| format!("`{name}` is no file name inside the model's version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str, content: &[u8]) -> (tempfile::TempDir, VersionFiles) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let files = VersionFiles { folder: folder.path().to_owned() };
        (folder, files)
    }

    #[test]
    fn a_name_cannot_leave_the_version() {
        let (_folder, files) = version("labels.txt", b"yes");
        for name in ["../labels.txt", "/etc/hostname", "", "a/../../b", "."] {
            let error = files.text(name).unwrap_err();
            assert!(error.0.contains("is no file name inside the model's version"), "{name}: {error}");
        }
        assert_eq!(files.text("labels.txt").unwrap(), "yes");
    }

    #[test]
    fn a_link_may_lead_about_in_the_repository_and_not_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["outside", "repository/iris/1", "repository/shared", "repository/.data/iris"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("outside/secret.txt"), "secret").unwrap();
        fs::write(at("repository/shared/labels.txt"), "yes").unwrap();
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, at(from)).unwrap();
        link("../../shared/labels.txt", "repository/iris/1/labels.txt");
        link(at("outside/secret.txt").to_str().unwrap(), "repository/iris/1/absolute.txt");
        link("../../../outside/secret.txt", "repository/iris/1/relative.txt");
        link("../../../outside", "repository/iris/1/folder");
        link("nowhere", "repository/iris/1/dangling.txt");
        // As a mount of a cluster swaps whole repositories: the root and the version are links themselves.
        link("repository", "mounted");
        link("../iris/1", "repository/.data/2");
        link("../.data/2", "repository/iris/2");
        for version in ["repository/iris/1", "mounted/iris/1", "mounted/iris/2"] {
            let files = VersionFiles { folder: at(version) };
            assert_eq!(files.text("labels.txt").unwrap(), "yes", "{version}");
            for outside in ["absolute.txt", "relative.txt", "folder/secret.txt"] {
                let error = files.bytes(outside).unwrap_err().0;
                assert!(error.contains("is a link that leads out of the model repository"), "{error}");
            }
            assert!(files.bytes("dangling.txt").unwrap_err().0.contains("cannot be read"));
        }
    }

    #[test]
    fn a_missing_file_and_one_that_is_no_text_are_told_apart() {
        let (_folder, files) = version("labels.txt", b"caf\xe9");
        let error = files.text("labels.text").unwrap_err();
        assert!(
            error.0.starts_with("the file `labels.text`, which must lie beside model.onnx, cannot be read"),
            "{error}"
        );
        assert_eq!(files.text("labels.txt").unwrap_err().0, "the file `labels.txt` is no UTF-8 text: byte 3 is wrong");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let (_folder, files) = version("labels.txt", b"\xef\xbb\xbfyes");
        assert_eq!(files.text("labels.txt").unwrap(), "yes");
    }
}
