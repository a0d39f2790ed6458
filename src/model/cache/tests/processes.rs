//! One cache folder and two processes: the other one is this test program, started for one test.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use super::*;

const FOLDER: &str = "MODELMILL_TEST_CACHE";
const SIZE: usize = 8 << 20;

/// The bucket as both processes have it.
fn store() -> Shelf {
    let store = Shelf::default();
    store.put("iris/1/model.onnx", &vec![1; SIZE]);
    store.put("iris/2/model.onnx", &vec![2; SIZE]);
    store
}

/// The other process.
struct Other(Child);

impl Other {
    /// Starts it on `folder` and waits until it has said `word`.
    fn start(folder: &Path, what: &str, word: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", &format!("model::cache::tests::processes::{what}")]);
        command.env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(word)), "it ended before it said `{word}`");
        Self(child)
    }

    /// Kills it as the system would.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The folder that the tests below hand on; none where somebody runs the tests that are the other process by hand.
fn folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

fn say_and_wait(word: &str) {
    println!("{word}");
    drop(std::io::stdin().read(&mut [0]));
}

#[test]
#[ignore = "the other process"]
fn uses_version_one() {
    let (Some(folder), store) = (folder(), store()) else { return };
    let version = fetch(&open(&folder), &store, &store.content("iris", 1)).unwrap();
    say_and_wait("in use");
    drop(version);
}

#[test]
#[ignore = "the other process"]
fn stops_halfway() {
    let (Some(folder), store) = (folder(), store()) else { return };
    let content = store.content("iris", 1);
    let result = open(&folder).fetch(&store, &content, &mut |done, total| {
        if done > total / 2 {
            say_and_wait("half");
        }
        true
    });
    drop(result);
}

#[test]
fn what_another_process_has_in_use_stays_until_it_ends() {
    let (store, folder) = (store(), tempfile::tempdir().unwrap());
    let other = Other::start(folder.path(), "uses_version_one", "in use");
    let cache = open_with(folder.path(), SIZE as u64);
    let first = store.content("iris", 1);
    assert!(cache.holds(&first));
    drop(fetch(&cache, &store, &store.content("iris", 2)).unwrap());
    assert!(cache.holds(&first), "it is in use there");
    other.kill();
    drop(fetch(&cache, &store, &store.content("iris", 2)).unwrap());
    store.put("iris/3/model.onnx", &vec![3; SIZE]);
    let third = fetch(&cache, &store, &store.content("iris", 3)).unwrap();
    assert!(!cache.holds(&first), "its holder is gone");
    drop(third);
}

#[test]
fn what_a_killed_process_had_begun_is_gone_on_with() {
    let (store, folder) = (store(), tempfile::tempdir().unwrap());
    let other = Other::start(folder.path(), "stops_halfway", "half");
    let cache = open(folder.path());
    let content = store.content("iris", 1);
    let mut waited = 0;
    let cancelled = cache.fetch(&store, &content, &mut |_, _| {
        waited += 1;
        waited < 3
    });
    assert!(matches!(cancelled, Err(CacheError::Cancelled)), "the other one fetches it");
    assert_eq!(store.fetched().0, [""; 0]);
    other.kill();
    let version = fetch(&cache, &store, &content).unwrap();
    assert!(version.fetched() < SIZE as u64 / 2, "{} bytes", version.fetched());
    assert_eq!(fs::read(version.folder().join("model.onnx")).unwrap(), vec![1; SIZE]);
}
