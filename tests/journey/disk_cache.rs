//! The disk cache under workers that serve: too small, full, unwritable, decayed, shared by two, warm.

use std::{
    fs,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use modelmill::codec::manifest::Manifest;
use serde_json::json;

use crate::{
    bucket::{Bucket, told, wait_for_reason},
    faults::Fault,
    support::Worker,
    traffic::Traffic,
};

/// A version's folder with a file of so many bytes that no other version has.
fn draft(bucket: &Bucket, version: u8, size: usize) -> PathBuf {
    let folder = bucket.draft(&version.to_string());
    fs::write(folder.join("weights.bin"), vec![version; size]).unwrap();
    folder
}

/// The folders of the versions in a cache.
fn versions(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join("versions")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !is_hidden(path)).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// How often an object was asked for.
fn downloads(bucket: &Bucket, path: &str) -> usize {
    bucket.proxy.requests_for(path).len()
}

/// Traffic that version 1 has answered, which lies in the cache now; the worker has ended, and downloads are counted from 0.
fn warmed(bucket: &Bucket) -> Traffic {
    let traffic = Traffic::start(bucket.lane());
    let mut worker = bucket.rig.worker();
    traffic.comes_to("1");
    let fetched = ["model.onnx", "labels.txt"].map(|file| downloads(bucket, &format!("iris/1/{file}")));
    assert_eq!(fetched, [1, 1]);
    worker.stop();
    bucket.proxy.take_requests();
    traffic
}

#[test]
fn a_restart_with_a_warm_cache_is_ready_without_one_download() {
    let Some(bucket) = Bucket::new("warm") else { return };
    bucket.push(1);
    let traffic = warmed(&bucket);
    let worker = bucket.rig.worker();
    traffic.goes_on_with("1");
    assert_eq!((downloads(&bucket, "iris/1/model.onnx"), downloads(&bucket, "iris/1/labels.txt")), (0, 0));
    assert_eq!(traffic.end(&mut [worker]), ["1"]);
}

#[test]
fn bytes_that_decayed_in_the_cache_are_fetched_anew_before_anything_is_answered() {
    let Some(bucket) = Bucket::new("decayed") else { return };
    bucket.push(1);
    let traffic = warmed(&bucket);
    let [version] = &versions(&bucket.cache())[..] else { panic!("one version is in the cache") };
    flip_a_byte(&version.join("model.onnx"));
    let worker = bucket.rig.worker();
    traffic.goes_on_with("1");
    assert_eq!((downloads(&bucket, "iris/1/model.onnx"), downloads(&bucket, "iris/1/labels.txt")), (1, 0));
    assert_eq!(worker.lines_with("damaged in the disk cache, and fetched anew").len(), 1);
    assert_eq!(traffic.end(&mut [worker]), ["1"]);
}

/// As a failing disk does it: no process could write to this file by mistake.
fn flip_a_byte(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x55;
    let sealed = file.metadata().unwrap().permissions();
    let mut open = sealed.clone();
    #[expect(clippy::permissions_set_readonly_false, reason = "it is sealed again at once")]
    open.set_readonly(false);
    fs::set_permissions(file, open).unwrap();
    // Into the same file, which the contents and the version share.
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, sealed).unwrap();
}

#[test]
fn two_workers_on_one_folder_fetch_each_file_once_and_see_no_half_of_one() {
    const FILES: [&str; 3] = ["model.onnx", "labels.txt", "weights.bin"];
    let Some(bucket) = Bucket::new("shared") else { return };
    bucket.push_folder(&draft(&bucket, 1, 4 << 20), 1);
    // So slow that the second one finds the first one at it.
    bucket.proxy.set(Fault::Drip(8 << 20));
    let watch = Watch::begin(bucket.cache());
    let traffic = Traffic::start(bucket.lane());
    let workers = [bucket.rig.start(), bucket.rig.start()];
    workers.iter().for_each(Worker::wait_until_ready);
    traffic.comes_to("1");
    assert_eq!(FILES.map(|file| downloads(&bucket, &format!("iris/1/{file}"))), [1, 1, 1]);
    bucket.push_folder(&draft(&bucket, 2, 4 << 20), 2);
    workers.iter().for_each(|worker| worker.wait_until_served("iris", "2"));
    traffic.comes_to("2");
    assert_eq!(FILES.map(|file| downloads(&bucket, &format!("iris/2/{file}"))), [0, 0, 1], "contents are kept once");
    watch.end();
    let mut workers = workers;
    assert_eq!(traffic.end(&mut workers), ["1", "2"]);
}

/// Looks again and again at a cache folder, at which no version may ever be there in part.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Watch {
    fn begin(cache: PathBuf) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                versions(&cache).iter().for_each(|version| assert_whole(version));
                thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("every version was whole from its first moment");
    }
}

fn assert_whole(version: &Path) {
    let manifest = Manifest::parse(&fs::read(version.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest.files.len(), 3, "{manifest:?}");
    for file in manifest.files {
        assert_eq!(version.join(&file.path).metadata().unwrap().len(), file.size, "{}", file.path);
    }
}

#[test]
fn a_cache_smaller_than_a_version_keeps_what_serves_and_nothing_older() {
    let Some(bucket) = Bucket::new("small") else { return };
    bucket.configure(|models| models["cache"]["max_size"] = json!("1KiB"));
    bucket.push_folder(&draft(&bucket, 1, 2000), 1);
    let traffic = Traffic::start(bucket.lane());
    let worker = bucket.rig.worker();
    for version in 2..=5 {
        traffic.comes_to(&(version - 1).to_string());
        bucket.push_folder(&draft(&bucket, version, 2000), version.into());
    }
    traffic.comes_to("5");
    let kept = versions(&bucket.cache());
    assert!(kept.len() <= 2, "the one that serves, and the one before at most: {kept:?}");
    worker.wait_for_line("the model cache takes more than its max_size");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2", "3", "4", "5"]);
}

/// A file system of so many bytes for a cache.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where a test may not mount one, which is said aloud: no command could bring the right to do so.
    fn mount(folder: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let disk = Self(folder);
        let mounted = disk.run(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        if !mounted {
            let test = thread::current().name().unwrap_or("a test").to_owned();
            io::stderr()
                .write_all(format!("SKIPPED {test}: no right to mount a small file system\n").as_bytes())
                .unwrap();
        }
        mounted.then_some(disk)
    }

    fn grow(&self, size: &str) {
        assert!(self.run(&["-o", &format!("remount,size={size}")]), "what was mounted can be mounted again");
    }

    fn run(&self, options: &[&str]) -> bool {
        Command::new("mount").args(options).arg(&self.0).output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A worker may be about to end; the folder is free at once.
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn on_a_full_disk_what_serves_goes_on_and_the_new_version_comes_with_room() {
    let Some(bucket) = Bucket::new("full") else { return };
    let Some(disk) = SmallDisk::mount(bucket.cache(), "1m") else { return };
    bucket.push(1);
    let traffic = Traffic::start(bucket.lane());
    let worker = bucket.rig.worker();
    traffic.comes_to("1");
    bucket.push_folder(&draft(&bucket, 2, 4 << 20), 2);
    wait_for_reason(&worker, 2, "is full, and nothing is left to remove but what is in use: give it more space");
    traffic.goes_on_with("1");
    disk.grow("32m");
    traffic.comes_to("2");
    assert_eq!(worker.lines_with("cannot be served").len(), 1, "it is told once: {:#?}", worker.log());
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

/// A worker that can write no file of more than a mebibyte.
fn bounded(bucket: &Bucket) -> Worker {
    let mut command = bucket.rig.command();
    // SAFETY: both calls may be made between fork and exec, and take nothing but what stands here.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let bound = libc::rlimit { rlim_cur: 1 << 20, rlim_max: libc::RLIM_INFINITY };
            if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const bound) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
    Worker::start(command)
}

fn lift_the_bound(worker: &Worker) {
    let bound = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the process is ours and runs; the old bound is not asked for.
    let raised = unsafe { libc::prlimit(worker.id(), libc::RLIMIT_FSIZE, &raw const bound, std::ptr::null_mut()) };
    assert_eq!(raised, 0, "{}", io::Error::last_os_error());
}

#[test]
fn at_a_bound_on_the_size_of_files_what_serves_goes_on_until_the_bound_is_raised() {
    let Some(bucket) = Bucket::new("bounded") else { return };
    bucket.push(1);
    let traffic = Traffic::start(bucket.lane());
    let worker = bounded(&bucket);
    traffic.comes_to("1");
    bucket.push_folder(&draft(&bucket, 2, 4 << 20), 2);
    wait_for_reason(&worker, 2, "File too large");
    traffic.goes_on_with("1");
    lift_the_bound(&worker);
    traffic.comes_to("2");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

/// Waits until version 1 serves although version 2 should, and the admin endpoint says why that does not.
fn stands_in(worker: &Worker, why: &str) {
    wait_for_reason(worker, 2, why);
    worker.wait_until_served("iris", "1");
    assert_eq!(told(worker, 2).unwrap().0, "UNAVAILABLE");
}

const FULL: &str = "is full, and nothing is left to remove but what is in use: give it more space";

#[test]
fn a_start_on_a_full_disk_serves_the_version_in_the_cache_until_there_is_room_for_the_newest() {
    let Some(bucket) = Bucket::new("full-start") else { return };
    let Some(disk) = SmallDisk::mount(bucket.cache(), "1m") else { return };
    bucket.push(1);
    let traffic = warmed(&bucket);
    bucket.push_folder(&draft(&bucket, 2, 4 << 20), 2);
    // At the second start, what came of version 2 has taken all that was free.
    for _ in 0..2 {
        let mut worker = bucket.rig.worker();
        stands_in(&worker, FULL);
        traffic.goes_on_with("1");
        assert_eq!(worker.lines_with("this older version stands in").len(), 1, "{:#?}", worker.log());
        assert_eq!(worker.lines_with("cannot be served;").len(), 1, "it is told once: {:#?}", worker.log());
        worker.stop();
    }
    let worker = bucket.rig.worker();
    stands_in(&worker, FULL);
    assert_eq!(downloads(&bucket, "iris/1/model.onnx"), 0, "it lay in the cache all the time");
    disk.grow("32m");
    traffic.comes_to("2");
    traffic.goes_on_with("2");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

#[test]
fn a_start_with_an_empty_cache_on_a_disk_too_small_for_the_newest_fetches_the_version_before() {
    let Some(bucket) = Bucket::new("small-start") else { return };
    let Some(disk) = SmallDisk::mount(bucket.cache(), "1m") else { return };
    bucket.push_folder(&draft(&bucket, 1, 500_000), 1);
    bucket.push_folder(&draft(&bucket, 2, 4 << 20), 2);
    let traffic = Traffic::start(bucket.lane());
    let worker = bucket.rig.worker();
    stands_in(&worker, FULL);
    traffic.goes_on_with("1");
    disk.grow("32m");
    traffic.comes_to("2");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

#[test]
fn a_start_makes_no_room_of_the_version_before_for_one_that_cannot_come() {
    let Some(bucket) = Bucket::new("bounded-start") else { return };
    bucket.configure(|models| models["cache"]["max_size"] = json!("1KiB"));
    bucket.push_folder(&draft(&bucket, 1, 2000), 1);
    let traffic = warmed(&bucket);
    bucket.push_folder(&draft(&bucket, 2, 4 << 20), 2);
    let worker = bounded(&bucket);
    worker.wait_until_ready();
    stands_in(&worker, "File too large");
    traffic.goes_on_with("1");
    assert_eq!(downloads(&bucket, "iris/1/weights.bin"), 0, "it lay in the cache all the time");
    lift_the_bound(&worker);
    traffic.comes_to("2");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

#[test]
fn a_cache_folder_that_cannot_be_used_is_refused_at_the_start_and_survived_later() {
    let Some(bucket) = Bucket::new("unusable") else { return };
    bucket.push(1);
    let traffic = Traffic::start(bucket.lane());
    // Permissions would not do: they do not count for root.
    fs::write(bucket.cache(), b"").unwrap();
    let mut refused = bucket.rig.start();
    assert_eq!(refused.ended().code(), Some(1));
    let sentences = refused.lines_with("error: ");
    assert!(sentences.len() == 1 && sentences[0].contains("set `models.cache.directory`"), "{:#?}", refused.log());
    fs::remove_file(bucket.cache()).unwrap();
    let worker = bucket.rig.worker();
    traffic.comes_to("1");
    let (parts, away) = (bucket.cache().join("parts"), bucket.cache().join("away"));
    fs::rename(&parts, &away).unwrap();
    fs::write(&parts, b"").unwrap();
    bucket.push_folder(&draft(&bucket, 2, 1000), 2);
    wait_for_reason(&worker, 2, "the cache folder");
    traffic.goes_on_with("1");
    fs::remove_file(&parts).unwrap();
    fs::rename(&away, &parts).unwrap();
    traffic.comes_to("2");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}
