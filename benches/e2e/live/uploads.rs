//! A repository in a folder, and uploads into it: each in its order, `manifest.json` last.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use modelmill::codec::manifest::{FileEntry, Manifest};
use sha2::{Digest, Sha256};

/// A repository.
pub struct Repository {
    folder: tempfile::TempDir,
}

/// A version that lies ready to be uploaded.
pub struct Staged {
    folder: PathBuf,
    manifest: Vec<u8>,
}

impl Repository {
    /// One without models.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("models")).unwrap();
        Self { folder }
    }

    /// Where it is.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    fn version(&self, model: &str, version: u64) -> PathBuf {
        self.root().join(model).join(version.to_string())
    }

    /// Puts a version aside; `write` makes its `model.onnx`. What takes long is done here, and not beside the traffic.
    pub fn stage(&self, model: &str, version: u64, write: impl FnOnce(&Path)) -> Staged {
        let folder = self.folder.path().join(format!("staged-{model}-{version}"));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("model.onnx");
        write(&path);
        let content = fs::read(&path).unwrap();
        let sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let file = FileEntry { path: "model.onnx".to_owned(), size: content.len() as u64, sha256 };
        Staged { folder, manifest: Manifest { files: vec![file] }.to_json() }
    }

    /// Uploads a version; says when it was complete.
    pub fn upload(&self, model: &str, version: u64, staged: &Staged) -> Instant {
        let folder = self.version(model, version);
        fs::create_dir_all(&folder).unwrap();
        fs::rename(staged.folder.join("model.onnx"), folder.join("model.onnx")).unwrap();
        let partial = staged.folder.join("manifest.json");
        fs::write(&partial, &staged.manifest).unwrap();
        fs::rename(partial, folder.join("manifest.json")).unwrap();
        Instant::now()
    }

    /// Stages a version and uploads it.
    pub fn put(&self, model: &str, version: u64, write: impl FnOnce(&Path)) -> Instant {
        let staged = self.stage(model, version, write);
        self.upload(model, version, &staged)
    }

    /// Deletes a version that there may be.
    pub fn delete(&self, model: &str, version: u64) {
        drop(fs::remove_dir_all(self.version(model, version)));
    }
}

/// Writes the iris model of the demo.
pub fn iris(path: &Path) {
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/iris/1/model.onnx"), path).unwrap();
}

/// Writes a version of the big model.
pub fn big(version: u64) -> impl FnOnce(&Path) {
    move |path| super::big::write(path, version).expect("there is room for 100 MB")
}
