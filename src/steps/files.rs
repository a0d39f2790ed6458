//! The files of a model version that steps name: labels, statistics and their like.
//!
//! They lie beside `model.onnx`, so that a new version brings its own. A name cannot leave the version's folder.

use std::path::{Component, Path, PathBuf};

use super::StepError;

/// The files that lie beside `model.onnx` in the version nearest to a step.
pub struct VersionFiles {
    /// The version's folder.
    pub folder: PathBuf,
}

impl VersionFiles {
    /// The content of a file of the version.
    ///
    /// # Errors
    /// If the name leaves the folder, or the file cannot be read.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, StepError> {
        if let Some(problem) = file_problem(name) {
            return Err(StepError(problem));
        }
        std::fs::read(self.folder.join(name)).map_err(|error| {
            StepError(format!("the file `{name}`, which must lie beside model.onnx, cannot be read: {error}"))
        })
    }

    /// The text of a file of the version, without a byte order mark.
    ///
    /// # Errors
    /// If the name leaves the folder, or the file cannot be read or is no UTF-8.
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
