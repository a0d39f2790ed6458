//! A bucket in memory that counts what is fetched from it and fails as it is told.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    model::source::{Content, Source},
    store::{Object, Store, StoreError},
};

/// What goes wrong with a download.
pub enum Fault {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// A byte of what comes is another.
    Corrupt,
    /// The disk is full after so many bytes.
    Full(usize),
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, (Vec<u8>, u64)>,
    uploads: u64,
    downloads: Vec<String>,
    bytes: u64,
    faults: VecDeque<Fault>,
}

/// The bucket.
#[derive(Default)]
pub struct Shelf(Mutex<State>);

impl Shelf {
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut state = self.0.lock();
        state.uploads += 1;
        let uploads = state.uploads;
        state.files.insert(path.to_owned(), (bytes.to_vec(), uploads));
    }

    /// Uploads a manifest that names all files of a version.
    pub fn seal(&self, folder: &str) {
        let files = self.list().unwrap().into_iter().filter(|file| file.path.starts_with(folder));
        let entry = |file: Object| {
            let sha256 = sha256(&self.0.lock().files[&file.path].0);
            format!(r#"{{"path": "{}", "size": {}, "sha256": "{sha256}"}}"#, &file.path[folder.len() + 1..], file.size)
        };
        let entries: Vec<_> = files.map(entry).collect();
        self.put(&format!("{folder}/manifest.json"), format!(r#"{{"files": [{}]}}"#, entries.join(", ")).as_bytes());
    }

    pub fn fails(&self, fault: Fault) {
        self.0.lock().faults.push_back(fault);
    }

    /// What the watcher would hand to the loader.
    pub fn content(&self, model: &str, version: u64) -> Arc<Content> {
        let mut source = Source::default();
        let mut look = || source.look(self.list().unwrap(), &mut |object, most| self.read(&object.path, most)).unwrap();
        look();
        look().models[model].versions[&version].content.clone().unwrap()
    }

    /// The files fetched since the last time, and their bytes.
    pub fn fetched(&self) -> (Vec<String>, u64) {
        let mut state = self.0.lock();
        (std::mem::take(&mut state.downloads), std::mem::take(&mut state.bytes))
    }
}

impl Store for Shelf {
    fn list(&self) -> Result<Vec<Object>, StoreError> {
        let object = |(path, (bytes, stamp)): (&String, &(Vec<u8>, u64))| Object {
            path: path.clone(),
            size: bytes.len() as u64,
            stamp: format!("e{stamp}"),
        };
        Ok(self.0.lock().files.iter().map(object).collect())
    }

    fn read(&self, path: &str, _most: u64) -> Result<Vec<u8>, StoreError> {
        Ok(self.0.lock().files[path].0.clone())
    }

    fn download(&self, object: &Object, part: &Path, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { path: part.to_owned(), source };
        let (mut bytes, fault) = {
            let mut state = self.0.lock();
            state.downloads.push(object.path.clone());
            let (bytes, stamp) = state.files[&object.path].clone();
            if format!("e{stamp}") != object.stamp {
                drop(fs::remove_file(part));
                return Err(StoreError::Changed(object.path.clone()));
            }
            (bytes, state.faults.pop_front())
        };
        let mut end = bytes.len();
        match &fault {
            Some(Fault::Cut(length) | Fault::Full(length)) => end = end.min(*length),
            Some(Fault::Corrupt) => *bytes.last_mut().unwrap() ^= 1,
            None => {}
        }
        let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(failed)?;
        let begun = file.metadata().map_err(failed)?.len() as usize;
        for piece in bytes[begun.min(end)..end].chunks(64 << 10) {
            file.write_all(piece).map_err(failed)?;
            self.0.lock().bytes += piece.len() as u64;
            if !progress(file.metadata().map_err(failed)?.len()) {
                return Err(StoreError::Cancelled);
            }
        }
        match fault {
            Some(Fault::Cut(_)) => Err(StoreError::Unreachable("cut".to_owned())),
            Some(Fault::Full(_)) => Err(failed(io::Error::from_raw_os_error(libc::ENOSPC))),
            _ => Ok(()),
        }
    }

    fn folder(&self) -> Option<&Path> {
        None
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
