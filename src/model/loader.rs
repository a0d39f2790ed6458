//! From a version's folder to a model in service: verified, opened, probed, checked, with its sessions running.
//!
//! Guarantee: a version that fails any of this is never served; the reason is a sentence for a data scientist.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use super::{
    batcher::{BatchOptions, Batcher, Observer},
    cache::CachedVersion,
    checks::{self, CheckError, CheckOptions},
    servable::{Servable, ServableId},
};
use crate::{
    backend::{
        BackendError, Batching, BatchingChoice, Session, Signature, decide,
        onnx::{OnnxSession, SessionOptions},
    },
    codec::manifest::Manifest,
};

/// How models are loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Sessions of each version, each with a thread of its own.
    pub sessions: usize,
    /// How a session is opened.
    pub session: SessionOptions,
    /// Whether rows may share a run: found out, or said by `model.yaml`.
    pub batching: BatchingChoice,
    /// How they are batched.
    pub batch: BatchOptions,
    /// What must be passed before the first request.
    pub checks: CheckOptions,
}

/// Why a version cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("`{file}` cannot be read: {source}")]
    Unreadable {
        file: String,
        #[source]
        source: io::Error,
    },
    /// The version is not what its manifest says.
    #[error("{0}")]
    Incomplete(String),
    /// The model cannot be opened or run.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// It answers its golden samples wrongly, or fails at a batch size in use.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// A version that is open and has passed its checks, and does not serve yet.
pub struct Opened {
    id: ServableId,
    digest: String,
    signature: Signature,
    batching: Batching,
    folder: PathBuf,
    sessions: Vec<Box<dyn Session>>,
    threads: usize,
    batch: BatchOptions,
}

/// Opens the version in `folder` and checks it. Blocks for as long as that takes.
///
/// # Errors
/// See [`LoadError`].
pub fn open(id: ServableId, folder: &Path, options: &LoadOptions) -> Result<Opened, LoadError> {
    verify(folder)?;
    let path = folder.join("model.onnx");
    let digest = sha256(&path).map_err(|source| LoadError::Unreadable { file: "model.onnx".to_owned(), source })?;
    let mut first = OnnxSession::open(&path, &options.session)?;
    let batching = decide(&mut first, options.batching);
    let signature = first.signature().clone();
    let mut sessions: Vec<Box<dyn Session>> = vec![Box::new(first)];
    for _ in 1..options.sessions {
        sessions.push(Box::new(OnnxSession::open(&path, &options.session)?));
    }
    checks::check(&mut sessions, batching.axis, &options.batch, &options.checks)?;
    let (digest, folder) = (digest[..16].to_owned(), folder.to_owned());
    Ok(Opened {
        id,
        digest,
        signature,
        batching,
        folder,
        sessions,
        threads: options.session.threads,
        batch: options.batch,
    })
}

impl Opened {
    /// First 16 hex digits of the model file's sha256.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether its rows may share a run.
    pub fn batching(&self) -> &Batching {
        &self.batching
    }

    /// What it takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts its sessions' threads, which have the priority of the calling one. `memory`: bytes that it takes.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(self, memory: u64, observer: Observer, cached: Option<CachedVersion>) -> Result<Servable, LoadError> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let sessions = self.sessions.len();
        let batcher = Batcher::start(&self.id.name, self.sessions, self.batching.axis, self.batch, observer)
            .map_err(|error| BackendError::Runtime(format!("a thread for the session cannot be started: {error}")))?;
        Ok(Servable {
            version: self.id.version.to_string(),
            id: self.id,
            digest: self.digest,
            signature: Arc::new(self.signature),
            batching: self.batching,
            sessions,
            threads: self.threads,
            folder: self.folder,
            since: SystemTime::now(),
            memory,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            usage: Arc::default(),
            batcher,
            cached,
        })
    }
}

/// Loads the version in `folder` and starts it.
///
/// # Errors
/// See [`LoadError`].
pub fn load(id: ServableId, folder: &Path, options: &LoadOptions, observer: Observer) -> Result<Servable, LoadError> {
    open(id, folder, options)?.start(0, observer, None)
}

/// Holds the folder against its manifest, if it has one.
fn verify(folder: &Path) -> Result<(), LoadError> {
    let text = match std::fs::read(folder.join("manifest.json")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(LoadError::Unreadable { file: "manifest.json".to_owned(), source }),
    };
    for file in Manifest::parse(&text).map_err(LoadError::Incomplete)?.files {
        let path = folder.join(&file.path);
        let unreadable = |source| LoadError::Unreadable { file: file.path.clone(), source };
        let size = path.metadata().map_err(unreadable)?.len();
        if size != file.size {
            let why = format!("`{}` has {size} bytes, but manifest.json says {}", file.path, file.size);
            return Err(LoadError::Incomplete(why));
        }
        if !sha256(&path).map_err(unreadable)?.eq_ignore_ascii_case(&file.sha256) {
            let why = format!("`{}` has another sha256 than manifest.json says: it was changed or damaged", file.path);
            return Err(LoadError::Incomplete(why));
        }
    }
    Ok(())
}

/// The sha256 of a file, in hex.
///
/// # Errors
/// If it cannot be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), b"abc").unwrap();
        fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        folder
    }

    fn manifest(size: usize, sha256: &str) -> String {
        format!(r#"{{"files": [{{"path": "model.onnx", "size": {size}, "sha256": "{sha256}"}}]}}"#)
    }

    /// From FIPS 180-2: SHA-256 of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_version_must_be_what_its_manifest_says() {
        assert!(verify(folder(&manifest(3, ABC)).path()).is_ok());
        let short = verify(folder(&manifest(4, ABC)).path()).unwrap_err().to_string();
        assert!(short.contains("has 3 bytes, but manifest.json says 4"), "{short}");
        let damaged = verify(folder(&manifest(3, &"0".repeat(64))).path()).unwrap_err().to_string();
        assert!(damaged.contains("another sha256"), "{damaged}");
    }

    #[test]
    fn without_a_manifest_there_is_nothing_to_hold_it_against() {
        let folder = tempfile::tempdir().unwrap();
        assert!(verify(folder.path()).is_ok());
    }
}
