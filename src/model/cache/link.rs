//! From blobs to a version's folder, and whether a folder still is what it was made of.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::Path,
};

use super::{
    Cache, CacheError, CachedVersion,
    fetch::hash,
    layout::{self, Wanted, all_known},
    lock::Lock,
};
use crate::codec::manifest::{FileEntry, Manifest};

impl Cache {
    /// Makes the folder of a version whose blobs are there and takes it into use; `None` if one of them was removed meanwhile.
    pub(super) fn link(&self, wanted: &[Wanted<'_>]) -> Result<Option<CachedVersion>, CacheError> {
        let known = all_known(wanted).expect("every sha256 is filled in when the files are fetched");
        let digest = layout::digest(&known);
        let folder = self.layout.version(&digest);
        let _admission = self.admission()?;
        if !folder.is_dir() {
            // While admission is held, a hidden folder is nobody's.
            let fresh = self.layout.versions().join(format!(".{digest}"));
            self.remove_folder(&fresh).map_err(self.failed())?;
            match self.fill(&fresh, &known) {
                Ok(()) => fs::rename(&fresh, &folder).map_err(self.failed())?,
                Err(error) => {
                    drop(fs::remove_dir_all(&fresh));
                    let lost = error.kind() == ErrorKind::NotFound;
                    return if lost { Ok(None) } else { Err(CacheError::of(error, self.layout.root())) };
                }
            }
        }
        let lock = Lock::shared(&self.layout.in_use(&digest)).map_err(self.failed())?;
        lock.touch();
        Ok(Some(CachedVersion { folder, fetched: 0, lock }))
    }

    fn fill(&self, fresh: &Path, known: &[(&str, u64, &str)]) -> io::Result<()> {
        fs::create_dir(fresh)?;
        let mut files = Vec::with_capacity(known.len());
        for (path, size, sha256) in known {
            let link = fresh.join(path);
            fs::create_dir_all(link.parent().unwrap_or(fresh))?;
            if !self.layout.has_blob(sha256, *size) {
                return Err(ErrorKind::NotFound.into());
            }
            fs::hard_link(self.layout.blob(sha256), link)?;
            files.push(FileEntry { path: (*path).to_owned(), size: *size, sha256: (*sha256).to_owned() });
        }
        let mut manifest = File::create_new(fresh.join("manifest.json"))?;
        manifest.write_all(&Manifest { files }.to_json())?;
        manifest.sync_all()?;
        File::open(fresh)?.sync_all()
    }

    /// Removes a version's folder, in one step for everybody else. Admission must be held.
    pub(super) fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        let doomed = self.layout.versions().join(".doomed");
        match fs::remove_dir_all(&doomed) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match fs::rename(folder, &doomed) {
            Ok(()) => fs::remove_dir_all(&doomed),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The files of a folder that are not what its manifest says, with what they should be.
    pub(super) fn damaged(&self, folder: &Path) -> Result<Vec<(String, String)>, CacheError> {
        let mut damaged = Vec::new();
        for file in files_of(folder) {
            match hash(&folder.join(&file.path), &mut || true) {
                Ok(found) if found.as_deref() == Some(file.sha256.as_str()) => {}
                // What cannot be read, or is gone, is as good as damaged: it is to be made anew.
                Ok(_) | Err(_) => damaged.push((file.path, file.sha256)),
            }
        }
        Ok(damaged)
    }
}

/// What the manifest of a version's folder in the cache names; nothing if it is gone.
pub fn files_of(folder: &Path) -> Vec<FileEntry> {
    let text = fs::read(folder.join("manifest.json")).unwrap_or_default();
    Manifest::parse(&text).map(|manifest| manifest.files).unwrap_or_default()
}
