//! A version into a folder: made beside its place, and moved there whole.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{Progress, Pushed, Version, exists};
use crate::{cli::manifest::MANIFEST, model::loader::sha256};

/// Copies the version beside its place and moves it there.
pub fn push(place: &Path, version: &Version, replace: bool, progress: &Progress) -> anyhow::Result<Pushed> {
    if place.exists() {
        if is_same(place, version) {
            return Ok(Pushed::AlreadyThere);
        }
        if !replace {
            return Err(exists("there is such a folder already"));
        }
    }
    let place = std::path::absolute(place)?;
    let model = place.parent().context("the target has no folder above it")?;
    fs::create_dir_all(model).with_context(|| format!("`{}` cannot be made", model.display()))?;
    // Hidden, so that no look at the repository takes them for versions.
    let (new, old) = (beside(&place, "new"), beside(&place, "old"));
    let moved =
        copy(version, &new, progress).and_then(|()| swap(&place, &new, &old).context("the version cannot be moved"));
    for leftover in [new, old] {
        drop(fs::remove_dir_all(leftover));
    }
    moved.map(|()| Pushed::Sent(version.size()))
}

fn beside(place: &Path, what: &str) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}.{what}.{}", std::process::id()))
}

fn copy(version: &Version, new: &Path, progress: &Progress) -> anyhow::Result<()> {
    let mut before = 0;
    for file in &version.files {
        let to = new.join(&file.path);
        let copied = copy_file(&version.folder.join(&file.path), &to, |bytes| progress.check(before, bytes));
        copied.with_context(|| format!("`{}` cannot be copied to `{}`", file.path, to.display()))?;
        progress.done(file, "copied")?;
        before += file.size;
    }
    let mut manifest = File::create(new.join(MANIFEST))?;
    manifest.write_all(&version.manifest)?;
    Ok(manifest.sync_all()?)
}

fn copy_file(from: &Path, to: &Path, mut at: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let (mut piece, mut copied) = (vec![0; 1 << 20], 0);
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return to.sync_all();
        }
        to.write_all(&piece[..length])?;
        copied += length as u64;
        at(copied)?;
    }
}

/// Puts the new one into its place, the old one aside; if that fails, the old one back.
fn swap(place: &Path, new: &Path, old: &Path) -> io::Result<()> {
    let replaces = place.exists();
    if replaces {
        fs::rename(place, old)?;
    }
    fs::rename(new, place).inspect_err(|_| {
        if replaces {
            drop(fs::rename(old, place));
        }
    })
}

/// Whether the folder holds the version already.
fn is_same(place: &Path, version: &Version) -> bool {
    fs::read(place.join(MANIFEST)).is_ok_and(|text| text == version.manifest)
        && version
            .files
            .iter()
            .all(|file| sha256(&place.join(&file.path)).is_ok_and(|digest| digest.eq_ignore_ascii_case(&file.sha256)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn version(model: &str) -> (tempfile::TempDir, Version) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), model).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/labels.txt"), "a\n").unwrap();
        let version = Version::read(folder.path()).unwrap();
        (folder, version)
    }

    #[test]
    fn a_version_arrives_whole_and_is_not_written_over() {
        let repository = tempfile::tempdir().unwrap();
        let place = repository.path().join("iris/1");
        let progress = Progress::new(0, Arc::default());
        let ((_first, first), (_second, second)) = (version("one"), version("two!"));
        assert_eq!(push(&place, &first, false, &progress).unwrap(), Pushed::Sent(5));
        assert_eq!(push(&place, &first, false, &progress).unwrap(), Pushed::AlreadyThere);
        let refused = push(&place, &second, false, &progress).unwrap_err().to_string();
        assert!(refused.contains("--replace"), "{refused}");
        assert_eq!(push(&place, &second, true, &progress).unwrap(), Pushed::Sent(6));
        assert_eq!(fs::read(place.join("model.onnx")).unwrap(), b"two!");
        assert_eq!(fs::read(place.join("data/labels.txt")).unwrap(), b"a\n");
        assert_eq!(fs::read(place.join(MANIFEST)).unwrap(), second.manifest);
        assert_eq!(fs::read_dir(repository.path().join("iris")).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn a_cancelled_push_leaves_nothing() {
        let repository = tempfile::tempdir().unwrap();
        let cancelled = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (_guard, version) = version("one");
        push(&repository.path().join("iris/1"), &version, false, &Progress::new(0, cancelled)).unwrap_err();
        assert_eq!(fs::read_dir(repository.path().join("iris")).unwrap().count(), 0);
    }
}
