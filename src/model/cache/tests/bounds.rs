//! What is removed for room, what never is, and disks that are full or cannot be written.

use std::process::Command;

use super::*;

/// A bucket with so many versions of 1000 bytes.
fn versions(count: u64) -> Shelf {
    let store = Shelf::default();
    for version in 1..=count {
        store.put(&format!("iris/{version}/model.onnx"), &[version as u8; 1000]);
    }
    store
}

/// A bucket with two versions that share a file of 1000 bytes; each has one of `own` bytes beside it.
fn sharing(own: usize) -> Shelf {
    let store = Shelf::default();
    for version in 1..=2 {
        store.put(&format!("iris/{version}/model.onnx"), &vec![version; own]);
        store.put(&format!("iris/{version}/shared.bin"), &[9; 1000]);
        store.seal(&format!("iris/{version}"));
    }
    store
}

#[test]
fn the_version_used_longest_ago_goes_first() {
    let (store, folder) = (versions(4), tempfile::tempdir().unwrap());
    let cache = open_with(folder.path(), 3000);
    let content = |version| store.content("iris", version);
    for version in [1, 2, 3, 1, 4] {
        drop(fetch(&cache, &store, &content(version)).unwrap());
    }
    let held: Vec<_> = (1..=4).filter(|version| cache.holds(&content(*version))).collect();
    assert_eq!(held, [1, 3, 4]);
    assert_eq!(count(&folder.path().join("blobs")), 3);
}

#[test]
fn what_is_in_use_is_never_removed_even_where_it_takes_more_than_it_may() {
    let (store, folder) = (versions(3), tempfile::tempdir().unwrap());
    let (cache, another) = (open_with(folder.path(), 1500), open_with(folder.path(), 1500));
    let first = fetch(&cache, &store, &store.content("iris", 1)).unwrap();
    let second = fetch(&another, &store, &store.content("iris", 2)).unwrap();
    assert!(first.folder().join("model.onnx").exists(), "another cache's version is in use as well");
    drop(first);
    let third = fetch(&another, &store, &store.content("iris", 3)).unwrap();
    assert!(!cache.holds(&store.content("iris", 1)));
    assert!(second.folder().join("model.onnx").exists() && third.folder().join("model.onnx").exists());
}

#[test]
fn a_version_larger_than_the_whole_cache_is_fetched_all_the_same() {
    let (store, folder) = (versions(1), tempfile::tempdir().unwrap());
    let version = fetch(&open_with(folder.path(), 10), &store, &store.content("iris", 1)).unwrap();
    assert!(version.folder().join("model.onnx").exists());
}

#[test]
fn what_a_version_shares_with_one_that_is_removed_stays() {
    let (store, folder) = (sharing(1000), tempfile::tempdir().unwrap());
    let cache = open_with(folder.path(), 2000);
    drop(fetch(&cache, &store, &store.content("iris", 1)).unwrap());
    store.fetched();
    let second = fetch(&cache, &store, &store.content("iris", 2)).unwrap();
    assert_eq!(store.fetched().0, ["iris/2/model.onnx"]);
    assert_eq!(fs::read(second.folder().join("shared.bin")).unwrap(), [9; 1000]);
    assert!(!cache.holds(&store.content("iris", 1)));
}

#[test]
fn on_a_full_disk_what_nobody_uses_makes_room_and_then_it_is_an_error() {
    let (store, folder) = (versions(3), tempfile::tempdir().unwrap());
    let cache = open(folder.path());
    let used = fetch(&cache, &store, &store.content("iris", 1)).unwrap();
    drop(fetch(&cache, &store, &store.content("iris", 2)).unwrap());
    store.fails(Fault::Full(500));
    let third = fetch(&cache, &store, &store.content("iris", 3)).unwrap();
    assert!(!cache.holds(&store.content("iris", 2)), "it made room");
    store.fails(Fault::Full(500));
    let error = fetch(&cache, &store, &store.content("iris", 2)).unwrap_err();
    assert!(matches!(error, CacheError::Full { .. }) && error.to_string().contains("give it more space"), "{error}");
    for version in [&used, &third] {
        assert!(version.folder().join("model.onnx").exists(), "what is in service goes on");
    }
    fetch(&cache, &store, &store.content("iris", 2)).unwrap();
}

#[test]
fn nothing_is_removed_for_a_version_that_would_not_fit_without_it_either() {
    let (store, folder) = (versions(2), tempfile::tempdir().unwrap());
    let cache = open(folder.path());
    for version in 1..=2 {
        drop(fetch(&cache, &store, &store.content("iris", version)).unwrap());
    }
    store.put("iris/3/model.onnx", &[3; 2601]);
    store.fails(Fault::Full(600));
    let error = fetch(&cache, &store, &store.content("iris", 3)).unwrap_err();
    assert!(matches!(error, CacheError::Full { .. }), "{error}");
    assert!((1..=2).all(|version| cache.holds(&store.content("iris", version))));
    // Another byte has come, and what is left to come is what the two take.
    store.fails(Fault::Full(601));
    drop(fetch(&cache, &store, &store.content("iris", 3)).unwrap());
    assert!(!cache.holds(&store.content("iris", 1)) && cache.holds(&store.content("iris", 2)), "one was enough");
}

#[test]
fn what_two_versions_share_is_room_for_another_only_if_nobody_uses_either() {
    let (store, folder) = (sharing(100), tempfile::tempdir().unwrap());
    store.put("iris/3/model.onnx", &[3; 1200]);
    let cache = open(folder.path());
    let used = fetch(&cache, &store, &store.content("iris", 1)).unwrap();
    drop(fetch(&cache, &store, &store.content("iris", 2)).unwrap());
    store.fails(Fault::Full(1));
    assert!(fetch(&cache, &store, &store.content("iris", 3)).is_err());
    assert!(cache.holds(&store.content("iris", 2)), "it has 100 bytes of its own");
    drop(used);
    store.fails(Fault::Full(1));
    drop(fetch(&cache, &store, &store.content("iris", 3)).unwrap());
}

#[test]
fn on_a_full_disk_the_part_of_a_version_that_did_not_fit_makes_room_before_what_is_whole() {
    let (store, folder) = (versions(3), tempfile::tempdir().unwrap());
    let cache = open(folder.path());
    drop(fetch(&cache, &store, &store.content("iris", 1)).unwrap());
    store.put("iris/4/model.onnx", &[4; 9000]);
    store.fails(Fault::Full(5000));
    assert!(fetch(&cache, &store, &store.content("iris", 4)).is_err());
    store.fails(Fault::Full(500));
    drop(fetch(&cache, &store, &store.content("iris", 2)).unwrap());
    assert!((1..=2).all(|version| cache.holds(&store.content("iris", version))));
    let parts = fs::read_dir(folder.path().join("parts")).unwrap().flatten();
    let left: u64 = parts.map(|part| part.metadata().unwrap().len()).sum();
    assert_eq!(left, 0, "nothing is left of the one that did not fit");
}

#[test]
fn a_version_at_hand_stays_for_as_long_as_it_is_held_and_costs_no_download() {
    let (store, folder) = (versions(2), tempfile::tempdir().unwrap());
    let cache = open_with(folder.path(), 1500);
    assert!(cache.at_hand(&store.content("iris", 1)).is_none());
    drop(fetch(&cache, &store, &store.content("iris", 1)).unwrap());
    store.fetched();
    let held = cache.at_hand(&store.content("iris", 1)).unwrap();
    assert_eq!((held.fetched(), store.fetched().0.len()), (0, 0));
    drop(fetch(&cache, &store, &store.content("iris", 2)).unwrap());
    assert!(held.folder().join("model.onnx").exists());
}

/// A file system of so many bytes, where the test may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn of(size: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[test]
fn a_disk_that_is_really_full_is_told_as_such_and_works_again_with_room() {
    let Some(disk) = SmallDisk::of(1 << 20) else {
        eprintln!("SKIPPED a_disk_that_is_really_full…: no right to mount a small file system");
        return;
    };
    let store = Shelf::default();
    for version in 1..=3 {
        store.put(&format!("iris/{version}/model.onnx"), &vec![version as u8; 400_000]);
    }
    let cache = open(disk.0.path());
    let first = fetch(&cache, &store, &store.content("iris", 1)).unwrap();
    let second = fetch(&cache, &store, &store.content("iris", 2)).unwrap();
    let error = fetch(&cache, &store, &store.content("iris", 3)).unwrap_err();
    assert!(matches!(error, CacheError::Full { .. }), "{error}");
    assert_eq!(fs::read(first.folder().join("model.onnx")).unwrap(), vec![1; 400_000]);
    drop(second);
    let third = fetch(&cache, &store, &store.content("iris", 3)).unwrap();
    assert_eq!(fs::read(third.folder().join("model.onnx")).unwrap(), vec![3; 400_000]);
}

fn refusal(directory: &Path) -> String {
    let options = CacheOptions { directory: directory.to_owned(), max_size: 0, repository: String::new() };
    Cache::open(options).unwrap_err().to_string()
}

#[test]
fn a_folder_that_cannot_be_a_cache_is_refused_with_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    let error = refusal(&folder.path().join("file/cache"));
    assert!(error.contains("file/cache") && error.contains("set `models.cache.directory`"), "{error}");
    assert!(refusal(Path::new("/proc/modelmill")).contains("cannot be used"));
    fs::create_dir(folder.path().join("versions")).unwrap();
    assert!(refusal(folder.path()).contains("it holds something else"));
    fs::write(folder.path().join("format"), b"another").unwrap();
    assert!(refusal(folder.path()).contains("another release"));
}
