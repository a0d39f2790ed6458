//! `manifest.json`: the files of a model version, uploaded last, so that a version is known to be complete.
//!
//! Format: `{"files": [{"path": "model.onnx", "size": 1234, "sha256": "…"}, …]}`, paths relative to the version's folder.

use serde::{Deserialize, Serialize};

/// The files of a version.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Manifest {
    /// One entry a file.
    pub files: Vec<FileEntry>,
}

/// One file of a version.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the version's folder, with `/` between its parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of the whole file, in hex.
    pub sha256: String,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// A sentence if it is no JSON of this form, or a path leaves the version's folder.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(text).map_err(|error| format!("manifest.json is not valid: {error}"))?;
        let inside = |path: &str| {
            !path.is_empty() && !path.contains('\\') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        };
        match manifest.files.iter().find(|file| !inside(&file.path)) {
            Some(file) => Err(format!("manifest.json names `{}`, which is outside the version's folder", file.path)),
            None => Ok(manifest),
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("texts and numbers are always JSON");
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let file = FileEntry { path: "a \"b\".txt".to_owned(), size: 3, sha256: "ab".to_owned() };
        let manifest = Manifest { files: vec![file] };
        assert_eq!(Manifest::parse(&manifest.to_json()), Ok(manifest));
    }

    #[test]
    fn a_manifest_names_files_inside_its_folder_only() {
        let text = |path: &str| format!(r#"{{"files": [{{"path": "{path}", "size": 3, "sha256": "ab"}}]}}"#);
        assert_eq!(Manifest::parse(text("a/model.onnx").as_bytes()).unwrap().files[0].size, 3);
        for path in ["/etc/passwd", "../x", "a/../../x", ""] {
            assert!(Manifest::parse(text(path).as_bytes()).unwrap_err().contains("outside"), "{path}");
        }
        assert!(Manifest::parse(b"{").unwrap_err().contains("not valid"));
    }
}
