//! One sweep over a folder: every file in it, whatever the links, sorted by path.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Object, StoreError, is_absent, is_listed, stamp, unreadable};

/// What a file system keeps at the root of a volume, for its own repairs and readable by root alone.
const NOT_OURS: &str = "lost+found";

/// Every file below `root`, which is canonical.
pub fn files(root: &Path) -> Result<Vec<Object>, StoreError> {
    let mut walk = Walk { root, above: Vec::new(), found: Vec::new() };
    walk.folder(root.to_owned(), "")?;
    walk.found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    /// The folders from the root to here, so that a link to one of them is no way round for ever.
    above: Vec<PathBuf>,
    found: Vec<Object>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: PathBuf, prefix: &str) -> Result<(), StoreError> {
        if self.above.contains(&folder) {
            return Ok(());
        }
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Removed since its parent was read; but the root has no parent to be missed from.
            Err(error) if is_absent(&error) && !self.above.is_empty() => return Ok(()),
            Err(error) => return Err(unreadable(&folder, &error)),
        };
        self.above.push(folder.clone());
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_listed(&name) && name != NOT_OURS {
                self.entry(entry.path(), format!("{prefix}{name}"))?;
            }
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, place: PathBuf, path: String) -> Result<(), StoreError> {
        let Some((place, metadata)) = self.resolve(place)? else { return Ok(()) };
        if metadata.is_dir() {
            return self.folder(place, &format!("{path}/"));
        }
        if metadata.is_file() {
            self.found.push(Object { path, size: metadata.len(), stamp: stamp(&metadata) });
        }
        Ok(())
    }

    /// Where an entry really lies; `None` if that is outside of the repository, or nowhere.
    fn resolve(&self, place: PathBuf) -> Result<Option<(PathBuf, fs::Metadata)>, StoreError> {
        let look = || -> io::Result<Option<(PathBuf, fs::Metadata)>> {
            let metadata = fs::symlink_metadata(&place)?;
            if !metadata.is_symlink() {
                return Ok(Some((place.clone(), metadata)));
            }
            let target = fs::canonicalize(&place)?;
            if !target.starts_with(self.root) {
                return Ok(None);
            }
            let metadata = fs::metadata(&target)?;
            Ok(Some((target, metadata)))
        };
        match look() {
            Ok(found) => Ok(found),
            Err(error) if is_absent(&error) || error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
            Err(error) => Err(unreadable(&place, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn repository(paths: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for path in paths {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        (folder, root)
    }

    fn paths(root: &Path) -> Vec<String> {
        files(root).unwrap().into_iter().map(|object| object.path).collect()
    }

    #[test]
    fn every_file_is_listed_once_in_order_and_nothing_hidden_or_unfinished() {
        let (_guard, root) = repository(&[
            "iris/10/model.onnx",
            "iris/2/model.onnx",
            "iris/2/data/weights",
            "iris/2/.model.onnx.swp",
            "iris/2/model.onnx.part",
            ".git/config",
            "lost+found/x",
        ]);
        assert_eq!(paths(&root), ["iris/10/model.onnx", "iris/2/data/weights", "iris/2/model.onnx"]);
    }

    #[test]
    fn links_inside_are_followed_and_those_outside_around_or_into_nothing_are_not() {
        let (_outside, secret) = repository(&["secret/1/model.onnx"]);
        let (_guard, root) = repository(&["iris/1/model.onnx", "..data/churn/1/model.onnx"]);
        symlink("..data/churn", root.join("churn")).unwrap();
        symlink(secret.join("secret"), root.join("secret")).unwrap();
        symlink(root.join("iris"), root.join("iris/1/round")).unwrap();
        symlink("itself", root.join("itself")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        assert_eq!(paths(&root), ["churn/1/model.onnx", "iris/1/model.onnx"]);
    }

    #[test]
    fn a_stamp_changes_with_the_file_and_only_then() {
        let (_guard, root) = repository(&["iris/1/model.onnx"]);
        let stamp = || files(&root).unwrap().remove(0).stamp;
        let before = stamp();
        assert_eq!(stamp(), before);
        // The usual way to replace a file: another inode.
        fs::write(root.join("new"), "y").unwrap();
        fs::rename(root.join("new"), root.join("iris/1/model.onnx")).unwrap();
        assert_ne!(stamp(), before);
    }
}
