//! How many threads there are of what: by the cores that the process may use, unless the server file says otherwise.
//!
//! No thread spins, so threads that have nothing to do cost nothing; but threads that compute, more of them than cores, would
//! take turns, and beyond a cgroup's CPU limit the kernel stops all of them for the rest of a tenth of a second.

use std::{fs, path::Path, sync::Arc, thread::available_parallelism};

use crate::{config::ServerConfig, model::servable::Servable};

/// What the copies of a model version may have together, by the size of its files, before there are fewer copies than its
/// share of the cores.
const COPIES: u64 = 64 << 20;

/// The most copies of a model version: rows of a small model hardly need more, and each costs about a megabyte.
const MOST_SESSIONS: usize = 16;

/// How many threads there are of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Cores that the process may use, at least 1: those of its CPU affinity, and no more than its cgroup's CPU limit (of
    /// version 1 or 2) has whole cores.
    pub cores: usize,
    /// Threads of the compute pool.
    pub compute: usize,
    sessions: Option<usize>,
    threads: Option<usize>,
}

/// The sessions of one model version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// Copies that run side by side, each with a thread of its own.
    pub count: usize,
    /// Threads that one run may use, the session's own included.
    pub threads: usize,
}

impl Layout {
    /// For this process.
    pub fn of(server: &ServerConfig) -> Self {
        // It fails where the system does not tell; one core there is.
        Self::on(available_parallelism().map_or(1, usize::from), server)
    }

    fn on(cores: usize, server: &ServerConfig) -> Self {
        let compute = server.compute.threads.exactly().unwrap_or(cores);
        let [sessions, threads] = [server.inference.sessions, server.inference.threads].map(|auto| auto.exactly());
        Self { cores, compute, sessions, threads }
    }

    /// One line on all threads that compute.
    pub fn report(&self, models: &[Arc<Servable>]) {
        let sessions: usize = models.iter().map(|model| model.sessions).sum();
        let inference: usize = models.iter().map(|model| model.sessions * model.threads).sum();
        let Self { cores, compute, .. } = *self;
        tracing::info!(cores, compute, models = models.len(), sessions, inference, "threads");
    }

    /// For a model version whose files have `bytes`, one of `versions`: its share of the cores is for as many copies as
    /// memory allows, and what copies do not use is for the threads of a run. Small models are run by one thread each.
    pub fn sessions(&self, bytes: u64, versions: usize) -> Sessions {
        let share = (self.cores / versions.max(1)).max(1);
        let copies = usize::try_from(COPIES / bytes.max(1)).unwrap_or(usize::MAX).max(1);
        let count = self.sessions.unwrap_or(share.min(copies).min(MOST_SESSIONS));
        let threads = self.threads.unwrap_or(if copies < share { (share / count).max(1) } else { 1 });
        Sessions { count, threads }
    }
}

/// The bytes of the files in `folder`: of a model, and of the weights that may lie beside it.
pub fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| fs::metadata(file.path()).ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: u64 = 10_000;
    const LARGE: u64 = 400 << 20;

    fn on(cores: usize) -> Layout {
        Layout::on(cores, &ServerConfig::new("kafka:9092", "mill", "models"))
    }

    #[test]
    fn the_layout_follows_the_cores() {
        let sessions = |cores: usize, bytes: u64| {
            let Sessions { count, threads } = on(cores).sessions(bytes, 1);
            (on(cores).compute, count, threads)
        };
        let small = [1, 2, 4, 16, 64].map(|cores| sessions(cores, SMALL));
        assert_eq!(small, [(1, 1, 1), (2, 2, 1), (4, 4, 1), (16, 16, 1), (64, 16, 1)]);
        let large = [1, 2, 4, 16, 64].map(|cores| sessions(cores, LARGE));
        assert_eq!(large, [(1, 1, 1), (2, 1, 2), (4, 1, 4), (16, 1, 16), (64, 1, 64)]);
        assert_eq!(sessions(16, 20 << 20), (16, 3, 5), "three copies have 60 MiB");
    }

    #[test]
    fn models_share_the_cores_and_many_of_them_get_one_session_each() {
        assert_eq!(on(16).sessions(SMALL, 4), Sessions { count: 4, threads: 1 });
        assert_eq!(on(16).sessions(LARGE, 4), Sessions { count: 1, threads: 4 });
        assert_eq!(on(16).sessions(SMALL, 200), Sessions { count: 1, threads: 1 });
        assert_eq!(on(16).sessions(LARGE, 200), Sessions { count: 1, threads: 1 });
    }

    #[test]
    fn what_the_file_says_is_done() {
        let mut server = ServerConfig::new("kafka:9092", "mill", "models");
        server.compute.threads = "3".parse().unwrap();
        server.inference.sessions = "1".parse().unwrap();
        let layout = Layout::on(8, &server);
        assert_eq!((layout.compute, layout.sessions(SMALL, 1)), (3, Sessions { count: 1, threads: 1 }));
        assert_eq!(layout.sessions(LARGE, 1), Sessions { count: 1, threads: 8 });
        server.inference.threads = "2".parse().unwrap();
        assert_eq!(Layout::on(8, &server).sessions(LARGE, 1), Sessions { count: 1, threads: 2 });
    }

    #[test]
    fn weights_beside_the_model_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.onnx"), [0; 10]).unwrap();
        std::fs::write(folder.path().join("model.onnx_data"), [0; 100]).unwrap();
        assert_eq!(bytes_in(folder.path()), 110);
    }
}
