//! What is pushed: a folder, and the manifest that fits it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{
    cli::manifest::{MANIFEST, MODEL, files_of, of_folder},
    codec::manifest::{FileEntry, Manifest},
    model::loader::sha256,
};

/// A version as it lies in a local folder.
pub struct Version {
    /// Where its files are.
    pub folder: PathBuf,
    /// In the order in which they are to arrive: the model after what lies beside it.
    pub files: Vec<FileEntry>,
    /// What goes last.
    pub manifest: Vec<u8>,
}

impl Version {
    /// Reads a folder, and holds its manifest against it if there is one.
    ///
    /// # Errors
    /// If it is no version, or the manifest says something else than the files.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let (mut files, manifest) = if path.is_file() {
            let text = std::fs::read(&path).with_context(|| format!("`{}` cannot be read", path.display()))?;
            let files = Manifest::parse(&text).map_err(|sentence| anyhow::anyhow!(sentence))?.files;
            verify(folder, &files)?;
            (files, text)
        } else {
            let manifest = of_folder(folder)?;
            let text = manifest.to_json();
            (manifest.files, text)
        };
        files.sort_by(|a, b| (a.path == MODEL, &a.path).cmp(&(b.path == MODEL, &b.path)));
        Ok(Self { folder: folder.to_owned(), files, manifest })
    }

    /// The bytes of all its files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// Whether the folder holds the files of its manifest, those alone, and as it says.
fn verify(folder: &Path, files: &[FileEntry]) -> anyhow::Result<()> {
    let there = files_of(folder)?;
    let advice = format!("`modelmill manifest {}` writes it anew", folder.display());
    for file in files {
        let Some((_, size)) = there.iter().find(|(path, _)| *path == file.path) else {
            bail!("{MANIFEST} names `{}`, which is not in the folder; put it there, or {advice}", file.path)
        };
        let place = folder.join(&file.path);
        let digest = || sha256(&place).with_context(|| format!("`{}` cannot be read", place.display()));
        if *size != file.size || !digest()?.eq_ignore_ascii_case(&file.sha256) {
            bail!("`{}` is not the file that {MANIFEST} describes; if it is the right one, {advice}", file.path);
        }
    }
    match there.iter().find(|(path, _)| !files.iter().any(|file| file.path == *path)) {
        Some((path, _)) => bail!("`{path}` is not in {MANIFEST}; remove it, or {advice}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    #[test]
    fn the_model_goes_after_what_lies_beside_it() {
        let folder = folder(&[("a.txt", "1"), (MODEL, "22"), ("weights", "333")]);
        let version = Version::read(folder.path()).unwrap();
        let order: Vec<_> = version.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!((order.as_slice(), version.size()), (["a.txt", "weights", MODEL].as_slice(), 6));
        assert!(!folder.path().join(MANIFEST).exists(), "nothing is written into the folder");
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_told_before_anything_is_sent() {
        let refused = |change: &dyn Fn(&Path)| {
            let folder = folder(&[(MODEL, "abc"), ("labels.txt", "a")]);
            fs::write(folder.path().join(MANIFEST), of_folder(folder.path()).unwrap().to_json()).unwrap();
            assert!(Version::read(folder.path()).is_ok());
            change(folder.path());
            Version::read(folder.path()).err().unwrap().to_string()
        };
        let changed = refused(&|folder| fs::write(folder.join(MODEL), "abd").unwrap());
        assert!(changed.contains("`model.onnx` is not the file that manifest.json describes"), "{changed}");
        let more = refused(&|folder| fs::write(folder.join("extra"), "").unwrap());
        assert!(more.contains("`extra` is not in manifest.json"), "{more}");
        let less = refused(&|folder| fs::remove_file(folder.join("labels.txt")).unwrap());
        assert!(less.contains("names `labels.txt`, which is not in the folder"), "{less}");
    }
}
