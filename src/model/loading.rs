//! The threads that bring versions into memory: fetched, opened, checked, started; and out of it again.
//!
//! What takes long runs on threads that come last of all, so that loading is not felt by what serves; the sessions' own
//! threads are started by others, since a thread keeps the priority that it began with. Downloads go side by side. Opening
//! is done one model after another, large ones beside small ones, so that nobody waits for a small model behind a large one,
//! and what the process grew by is the one model's.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::Builder,
};

use parking_lot::Mutex;

use super::{
    batcher::Observer,
    cache::{Cache, CacheError, CachedVersion},
    keeper::{Job, Loaded, Loading, Message, Refusal},
    loader::Opened,
    manager::Manager,
    servable::{Servable, ServableId},
    source::Content,
};
use crate::{backend::onnx, process, store::Store};

/// How many loads go side by side: most of them wait for a store.
const SLOTS: usize = 4;

/// Versions of more bytes than this are large.
const LARGE: u64 = 32 << 20;

/// A session may take more than the model's files: what the process grew by counts up to this, in files' sizes for each session
/// and bytes, above which something else has grown, such as what requests are held in.
const MOST_GROWTH: (u64, u64) = (4, 4 << 20);

/// Opens versions as a worker's configuration wants it.
pub trait Opener: Send + Sync {
    /// Opens the version whose files are in `folder`, and checks it, also beside the one that clients know.
    ///
    /// # Errors
    /// A sentence for whoever made the model.
    fn open(&self, id: &ServableId, folder: &Path, known: Option<&Servable>) -> Result<Opened, String>;

    /// Where the runs of a version are told.
    fn observer(&self, id: &ServableId) -> Observer;

    /// Called before `servable` is leased for the first time.
    fn ready(&self, servable: &Arc<Servable>);
}

/// Where the files of versions are.
pub enum Files {
    /// In a repository that is a folder: they are served where they lie.
    InPlace(PathBuf),
    /// In a store, from which they are brought to a disk cache.
    Cached(Cache, Arc<dyn Store>),
}

struct Shared {
    files: Files,
    opener: Box<dyn Opener>,
    manager: Manager,
    small: Mutex<()>,
    large: Mutex<()>,
    opening: AtomicUsize,
}

enum Task {
    Load(Job),
    Drop(Arc<Servable>),
}

/// The loader's threads; they end when this is dropped.
pub struct LoaderThreads(mpsc::Sender<Task>);

impl LoaderThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// If there are none to be had.
    pub fn start(files: Files, opener: Box<dyn Opener>, manager: Manager) -> std::io::Result<Self> {
        // What it takes is not the first model's.
        onnx::warm_up();
        let (sender, tasks) = mpsc::channel();
        let tasks = Arc::new(Mutex::new(tasks));
        let shared = Arc::new(Shared {
            files,
            opener,
            manager,
            small: Mutex::default(),
            large: Mutex::default(),
            opening: AtomicUsize::new(0),
        });
        // One more than there are loads: what leaves memory does not wait for what comes.
        for _ in 0..=SLOTS {
            let (tasks, shared) = (Arc::clone(&tasks), Arc::clone(&shared));
            Builder::new().name("loader".to_owned()).spawn(move || {
                loop {
                    let task = tasks.lock().recv();
                    match task {
                        Ok(Task::Load(job)) => shared.load(&job),
                        Ok(Task::Drop(servable)) => drop_last(servable),
                        Err(mpsc::RecvError) => return,
                    }
                }
            })?;
        }
        Ok(Self(sender))
    }
}

impl Loading for LoaderThreads {
    fn slots(&self) -> usize {
        SLOTS
    }

    fn load(&self, job: Job) {
        // The threads are there as long as this is.
        drop(self.0.send(Task::Load(job)));
    }

    fn end(&self, servable: Arc<Servable>) {
        drop(self.0.send(Task::Drop(servable)));
    }
}

/// Ends a version that nobody uses any more.
fn drop_last(servable: Arc<Servable>) {
    let id = servable.id.clone();
    if let Ok(servable) = Arc::try_unwrap(servable) {
        servable.stop();
    }
    process::give_memory_back();
    tracing::debug!(model = %id, "the version has left memory");
}

impl Shared {
    fn load(&self, job: &Job) {
        let id = job.content.id.clone();
        let brought = std::thread::scope(|scope| {
            let last = Builder::new().name("loading".to_owned()).spawn_scoped(scope, || {
                process::come_last();
                self.bring(job)
            });
            match last.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(brought)) => brought,
                Ok(Err(_)) => Err(lasting("the load of this version panicked: please report this".to_owned())),
                Err(error) => Err(passing(format!("a thread to load it cannot be started: {error}"))),
            }
        });
        let outcome = brought.and_then(|Brought { opened, memory, cached }| {
            let started = opened.start(memory, self.opener.observer(&id), cached);
            let servable = Arc::new(started.map_err(|error| passing(error.to_string()))?);
            self.opener.ready(&servable);
            Ok(servable)
        });
        self.manager.tell(Message::Loaded(Loaded { content: Arc::clone(&job.content), outcome }));
    }

    /// Fetches and opens a version. One whose files have decayed on the disk is no failure yet: requests may wait for it, and
    /// the store has it still.
    fn bring(&self, job: &Job) -> Result<Brought, Refusal> {
        self.try_to_bring(job).or_else(|trouble| {
            if let Trouble::Decayed { files, .. } = &trouble {
                tracing::warn!(model = %job.content.id, files, "damaged in the disk cache, and fetched anew");
                return self.try_to_bring(job).map_err(Trouble::refusal);
            }
            Err(trouble.refusal())
        })
    }

    fn try_to_bring(&self, job: &Job) -> Result<Brought, Trouble> {
        let Content { id, .. } = &*job.content;
        let Fetched { folder, cached, spared: _spared } = self.fetch(job).map_err(Trouble::Refused)?;
        let _turn = if job.content.size() > LARGE { self.large.lock() } else { self.small.lock() };
        let alone = self.opening.fetch_add(1, Ordering::AcqRel) == 0;
        let before = process::resident();
        let opened = self.opener.open(id, &folder, job.known.as_deref());
        let after = process::resident();
        let alone = self.opening.fetch_sub(1, Ordering::AcqRel) == 1 && alone;
        match opened {
            Ok(opened) => {
                let grown =
                    before.zip(after).filter(|_| alone).map_or(0, |(before, after)| after.saturating_sub(before));
                let memory = memory(job.content.size(), opened.sessions() as u64, grown);
                Ok(Brought { opened, memory, cached })
            }
            Err(reason) => Err(self.refuse(reason, cached)),
        }
    }

    fn fetch(&self, job: &Job) -> Result<Fetched, Refusal> {
        let content = &job.content;
        match &self.files {
            Files::InPlace(root) => {
                let ServableId { name, version } = &content.id;
                let folder = root.join(&**name).join(version.to_string());
                Ok(Fetched { folder, cached: None, spared: None })
            }
            Files::Cached(cache, store) => {
                // What would stand in for it makes no room for it.
                let mut spared = job.older.iter().find_map(|older| cache.at_hand(older));
                let fetch = || cache.fetch(&**store, content, &mut |_, _| true);
                let fetched = fetch().or_else(|error| match error {
                    // Unless that is all that it takes; the cache removes nothing in vain.
                    CacheError::Full { .. } if spared.take().is_some() => fetch(),
                    error => Err(error),
                });
                let cached = fetched.map_err(|error| match error {
                    CacheError::Outside(_) => lasting(error.to_string()),
                    _ => passing(error.to_string()),
                })?;
                let fetched = cached.fetched();
                tracing::debug!(model = %content.id, fetched, "files of the version are there");
                Ok(Fetched { folder: cached.folder().to_owned(), cached: Some(cached), spared })
            }
        }
    }

    /// Why a version was not opened: its own fault, unless its files have decayed on the disk.
    fn refuse(&self, reason: String, cached: Option<CachedVersion>) -> Trouble {
        let (Files::Cached(cache, _), Some(cached)) = (&self.files, cached) else {
            return Trouble::Refused(lasting(reason));
        };
        match cache.mend(cached) {
            Ok(damaged) if damaged.is_empty() => Trouble::Refused(lasting(reason)),
            Ok(damaged) => Trouble::Decayed { files: damaged.join("`, `"), reason },
            Err(error) => Trouble::Refused(passing(format!("{reason}; and {error}"))),
        }
    }
}

/// Why a version was not brought.
enum Trouble {
    Refused(Refusal),
    /// These files were not what they had been fetched as. They are removed.
    Decayed {
        files: String,
        reason: String,
    },
}

impl Trouble {
    fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Decayed { files, reason } => {
                passing(format!("`{files}` was damaged in the disk cache, and is fetched anew: {reason}"))
            }
        }
    }
}

/// Where a version's files are.
struct Fetched {
    folder: PathBuf,
    cached: Option<CachedVersion>,
    /// The version that stands in if this one fails its checks: it stays on the disk until then.
    spared: Option<CachedVersion>,
}

struct Brought {
    opened: Opened,
    memory: u64,
    cached: Option<CachedVersion>,
}

/// What a version takes in memory, by the size of its files, the number of its sessions and what the process grew by.
fn memory(files: u64, sessions: u64, grown: u64) -> u64 {
    let (times, bytes) = MOST_GROWTH;
    grown.clamp(files, files.saturating_mul(times * sessions).saturating_add(bytes))
}

fn passing(reason: String) -> Refusal {
    Refusal { reason, passing: true }
}

fn lasting(reason: String) -> Refusal {
    Refusal { reason, passing: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_takes_its_files_at_least_and_not_what_others_grew_by() {
        assert_eq!(memory(100, 1, 0), 100);
        assert_eq!(memory(100, 1, 250), 250);
        assert_eq!(memory(1 << 20, 2, 10 << 30), (8 << 20) + (4 << 20));
    }
}
