//! The files of the demo: part of the binary, unpacked into a folder that is gone when the demo is.

use std::{
    collections::hash_map::RandomState,
    fs::{self, DirBuilder},
    hash::{BuildHasher, Hasher},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// A file of `models/` by its path in there.
macro_rules! bundled {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $path)))),*]
    };
}

/// What the worker reads: the repository, and a pipeline for each model.
const FILES: &[(&str, &[u8])] = bundled![
    "iris/1/model.onnx",
    "iris/1/labels.txt",
    "iris/1/manifest.json",
    "spam/1/model.onnx",
    "spam/1/labels.txt",
    "spam/1/manifest.json",
    "digits/1/model.onnx",
    "digits/1/labels.txt",
    "digits/1/manifest.json",
    "pipelines/iris.yaml",
    "pipelines/spam.yaml",
    "pipelines/digits.yaml",
];

/// A folder with the bundled files, removed together with this value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Unpacks the bundled files into a new folder among the temporary ones, which nobody else may read.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn unpack() -> anyhow::Result<Self> {
        let name = format!("modelmill-demo-{:016x}", RandomState::new().build_hasher().finish());
        let path = std::env::temp_dir().join(name);
        let why = || format!("the demo's files cannot be unpacked to {}", path.display());
        DirBuilder::new().mode(0o700).create(&path).with_context(why)?;
        let folder = Self(path.clone());
        FILES.iter().try_for_each(|(name, content)| folder.write(name, content)).with_context(why)?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of the pipelines.
    pub fn pipelines(&self) -> PathBuf {
        self.0.join("pipelines")
    }

    /// Puts another version of a bundled model there, its manifest last; damaged: with a byte that is not what it was.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn publish(&self, model: &str, version: u32, damaged: bool) -> std::io::Result<()> {
        let first = format!("{model}/1/");
        let mut files: Vec<_> =
            FILES.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&first)?, bytes))).collect();
        files.sort_by_key(|(name, _)| *name == "manifest.json");
        for (name, bytes) in files {
            let mut bytes = bytes.to_vec();
            if damaged && name == "model.onnx" {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0xff;
            }
            self.write(&format!("{model}/{version}/{name}"), &bytes)?;
        }
        Ok(())
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> std::io::Result<()> {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("the folder itself is above every file"))?;
        fs::write(path, content)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes the folder and what is in it. There is nobody to tell if that fails: it is a temporary folder.
pub fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipelines_that_are_bundled_are_in_order_and_the_folder_goes_with_its_value() {
        let folder = Folder::unpack().unwrap();
        let pipelines = crate::config::load_pipelines(&[folder.pipelines()]).unwrap();
        let names: Vec<_> = pipelines.iter().map(|pipeline| &*pipeline.name).collect();
        assert_eq!(names, ["digits", "iris", "spam"]);
        for name in names {
            let model = fs::read(folder.path().join(name).join("1/model.onnx")).unwrap();
            let manifest = fs::read_to_string(folder.path().join(name).join("1/manifest.json")).unwrap();
            assert!(manifest.contains(&format!("\"size\": {},", model.len())), "{name}: {manifest}");
        }
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
