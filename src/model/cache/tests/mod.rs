//! Caches in folders of their own, filled from a bucket in memory.

use std::{fs, os::unix::fs::MetadataExt, sync::Arc, thread, time::SystemTime};

use super::*;
use shelf::{Fault, Shelf, sha256};

mod bounds;
mod processes;
mod shelf;

const MODEL: &[u8] = b"the graph of a model";
const WEIGHTS: &[u8] = b"its weights, outside of the graph";

fn open_with(directory: &Path, max_size: u64) -> Cache {
    let options = CacheOptions { directory: directory.to_owned(), max_size, repository: "s3://models".to_owned() };
    Cache::open(options).unwrap()
}

fn open(directory: &Path) -> Cache {
    open_with(directory, 1 << 30)
}

fn fetch(cache: &Cache, store: &Shelf, content: &Content) -> Result<CachedVersion, CacheError> {
    cache.fetch(store, content, &mut |done, total| {
        assert!(done <= total, "{done} of {total}");
        true
    })
}

/// A bucket with one version of two files.
fn shelf() -> Shelf {
    let shelf = Shelf::default();
    shelf.put("iris/1/model.onnx", MODEL);
    shelf.put("iris/1/data/weights.bin", WEIGHTS);
    shelf
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_version_is_a_folder_with_all_its_files_and_their_digests() {
    for sealed in [false, true] {
        let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
        if sealed {
            store.seal("iris/1");
        }
        let version = fetch(&open(folder.path()), &store, &store.content("iris", 1)).unwrap();
        assert_eq!(fs::read(version.folder().join("model.onnx")).unwrap(), MODEL);
        assert_eq!(fs::read(version.folder().join("data/weights.bin")).unwrap(), WEIGHTS);
        let manifest = fs::read(version.folder().join("manifest.json")).unwrap();
        let manifest = crate::codec::manifest::Manifest::parse(&manifest).unwrap();
        let digests: Vec<_> = manifest.files.iter().map(|file| (file.path.as_str(), file.sha256.clone())).collect();
        assert_eq!(digests, [("data/weights.bin", sha256(WEIGHTS)), ("model.onnx", sha256(MODEL))]);
        assert_eq!(version.fetched(), (MODEL.len() + WEIGHTS.len()) as u64);
    }
}

#[test]
fn what_is_there_is_not_fetched_again_by_a_restart_nor_by_another_worker() {
    for sealed in [false, true] {
        let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
        if sealed {
            store.seal("iris/1");
        }
        let content = store.content("iris", 1);
        let first = open(folder.path());
        assert!(!first.holds(&content));
        let version = fetch(&first, &store, &content).unwrap();
        store.fetched();
        let another = open(folder.path());
        assert!(another.holds(&content));
        assert_eq!(fetch(&another, &store, &content).unwrap().folder(), version.folder());
        drop((first, another, version));
        let restarted = fetch(&open(folder.path()), &store, &store.content("iris", 1)).unwrap();
        assert_eq!((restarted.fetched(), store.fetched().0.len()), (0, 0));
    }
}

#[test]
fn a_content_is_fetched_and_kept_once_for_all_versions_whose_manifests_name_it() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    store.put("iris/2/model.onnx", b"another graph");
    store.put("iris/2/data/weights.bin", WEIGHTS);
    store.seal("iris/1");
    store.seal("iris/2");
    let cache = open(folder.path());
    let first = fetch(&cache, &store, &store.content("iris", 1)).unwrap();
    store.fetched();
    let second = fetch(&cache, &store, &store.content("iris", 2)).unwrap();
    assert_eq!(store.fetched().0, ["iris/2/model.onnx"]);
    let inode = |version: &CachedVersion| version.folder().join("data/weights.bin").metadata().unwrap().ino();
    assert_eq!(inode(&first), inode(&second));
}

#[test]
fn a_file_that_was_uploaded_again_is_fetched_again_though_it_has_the_same_name_and_size() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    let cache = open(folder.path());
    let first = fetch(&cache, &store, &store.content("iris", 1)).unwrap();
    store.put("iris/1/model.onnx", &MODEL.to_ascii_uppercase());
    store.fetched();
    let second = fetch(&cache, &store, &store.content("iris", 1)).unwrap();
    assert_eq!(store.fetched().0, ["iris/1/model.onnx"]);
    assert_eq!(fs::read(first.folder().join("model.onnx")).unwrap(), MODEL, "what is in use stays as it was");
    assert_eq!(fs::read(second.folder().join("model.onnx")).unwrap(), MODEL.to_ascii_uppercase());
}

#[test]
fn a_cache_shared_by_two_repositories_does_not_take_one_for_the_other() {
    let (store, other, folder) = (shelf(), Shelf::default(), tempfile::tempdir().unwrap());
    other.put("iris/1/model.onnx", &MODEL.to_ascii_uppercase());
    other.put("iris/1/data/weights.bin", WEIGHTS);
    fetch(&open(folder.path()), &store, &store.content("iris", 1)).unwrap();
    let options = CacheOptions { directory: folder.path().into(), max_size: 1 << 30, repository: "s3://b".into() };
    let version = fetch(&Cache::open(options).unwrap(), &other, &other.content("iris", 1)).unwrap();
    assert_eq!(fs::read(version.folder().join("model.onnx")).unwrap(), MODEL.to_ascii_uppercase());
}

#[test]
fn a_fetch_that_broke_off_goes_on_where_it_ended_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Shelf::default();
    let model = vec![7; 1 << 20];
    store.put("iris/1/model.onnx", &model);
    let content = store.content("iris", 1);
    store.fails(Fault::Cut(600_000));
    let error = fetch(&open(folder.path()), &store, &content).unwrap_err();
    assert!(matches!(error, CacheError::Store(_)) && error.to_string() == "cut", "{error}");
    let version = fetch(&open(folder.path()), &store, &content).unwrap();
    assert_eq!(fs::read(version.folder().join("model.onnx")).unwrap(), model);
    assert_eq!((version.fetched(), store.fetched().1), (model.len() as u64 - 600_000, model.len() as u64));
    assert_eq!(count(&folder.path().join("parts")), 1, "nothing but the lock stays");
}

#[test]
fn a_fetch_can_be_cancelled_and_goes_on_later() {
    let (store, folder) = (Shelf::default(), tempfile::tempdir().unwrap());
    store.put("iris/1/model.onnx", &vec![7; 1 << 20]);
    let (cache, content) = (open(folder.path()), store.content("iris", 1));
    let cancelled = cache.fetch(&store, &content, &mut |done, _| done < 300_000);
    assert!(matches!(cancelled, Err(CacheError::Cancelled)));
    assert!(store.fetched().1 < 400_000);
    fetch(&cache, &store, &content).unwrap();
    assert!(store.fetched().1 < (1 << 20) - 300_000 + 65_536);
}

#[test]
fn bytes_that_are_not_what_the_manifest_says_are_refused_and_not_kept() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    store.seal("iris/1");
    let (cache, content) = (open(folder.path()), store.content("iris", 1));
    store.fails(Fault::Corrupt);
    let error = fetch(&cache, &store, &content).unwrap_err();
    assert!(matches!(&error, CacheError::Damaged { path, .. } if path == "iris/1/data/weights.bin"), "{error}");
    assert!(!cache.holds(&content));
    assert_eq!((count(&folder.path().join("blobs")), count(&folder.path().join("versions"))), (0, 0));
    fetch(&cache, &store, &content).unwrap();
}

#[test]
fn a_beginning_that_was_damaged_is_thrown_away_and_the_file_fetched_from_its_start() {
    let (store, folder) = (Shelf::default(), tempfile::tempdir().unwrap());
    store.put("iris/1/model.onnx", MODEL);
    store.seal("iris/1");
    let (cache, content) = (open(folder.path()), store.content("iris", 1));
    store.fails(Fault::Cut(10));
    fetch(&cache, &store, &content).unwrap_err();
    let parts = fs::read_dir(folder.path().join("parts")).unwrap().map(|entry| entry.unwrap().path());
    let part = parts.into_iter().find(|path| path.extension().is_none()).unwrap();
    fs::write(part, b"0123456789").unwrap();
    let version = fetch(&cache, &store, &content).unwrap();
    assert_eq!(fs::read(version.folder().join("model.onnx")).unwrap(), MODEL);
}

#[test]
fn a_version_that_changed_since_it_was_listed_is_an_error_of_the_store() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    let content = store.content("iris", 1);
    store.put("iris/1/model.onnx", b"new");
    let error = fetch(&open(folder.path()), &store, &content).unwrap_err();
    assert!(matches!(error, CacheError::Store(crate::store::StoreError::Changed(_))), "{error}");
}

#[test]
fn threads_that_want_the_same_version_fetch_it_once() {
    let (store, folder) = (Arc::new(Shelf::default()), tempfile::tempdir().unwrap());
    store.put("iris/1/model.onnx", &vec![7; 4 << 20]);
    store.put("iris/1/weights.bin", &vec![8; 4 << 20]);
    let content = store.content("iris", 1);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (store, content, cache) = (Arc::clone(&store), Arc::clone(&content), open(folder.path()));
            thread::spawn(move || fetch(&cache, &store, &content).unwrap())
        })
        .collect();
    let versions: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    assert!(versions.iter().all(|version| version.folder() == versions[0].folder()));
    assert_eq!(store.fetched().0.len(), 2);
}

#[test]
fn bytes_that_decayed_on_the_disk_are_found_by_mend_and_fetched_anew() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    let (cache, content) = (open(folder.path()), store.content("iris", 1));
    let sound = fetch(&cache, &store, &content).unwrap();
    let file = sound.folder().join("model.onnx");
    assert_eq!(cache.mend(sound).unwrap(), [""; 0]);
    // As a failing disk does it: no process could write to a blob by mistake.
    fs::remove_file(&file).unwrap();
    let blob = folder.path().join("blobs").join(sha256(MODEL));
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, MODEL.to_ascii_uppercase()).unwrap();
    fs::hard_link(&blob, &file).unwrap();
    let decayed = fetch(&cache, &store, &content).unwrap();
    assert_eq!(decayed.fetched(), 0, "names and sizes are trusted");
    assert_eq!(cache.mend(decayed).unwrap(), ["model.onnx"]);
    let fresh = fetch(&cache, &store, &content).unwrap();
    assert_eq!(fs::read(fresh.folder().join("model.onnx")).unwrap(), MODEL);
    assert_eq!(fresh.fetched(), MODEL.len() as u64);
}

#[test]
fn a_file_that_was_cut_short_on_the_disk_is_noticed_at_once() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    let (cache, content) = (open(folder.path()), store.content("iris", 1));
    drop(fetch(&cache, &store, &content).unwrap());
    let blob = folder.path().join("blobs").join(sha256(MODEL));
    assert!(blob.metadata().unwrap().permissions().readonly());
    let mut writable = blob.metadata().unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false)]
    writable.set_readonly(false);
    fs::set_permissions(&blob, writable).unwrap();
    fs::OpenOptions::new().write(true).open(&blob).unwrap().set_len(3).unwrap();
    assert!(!cache.holds(&content));
    let version = fetch(&cache, &store, &content).unwrap();
    assert_eq!(fs::read(version.folder().join("model.onnx")).unwrap(), MODEL);
}

#[test]
fn a_path_that_leads_out_of_its_version_is_refused() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    store.put("iris/1/../../escape", b"x");
    let error = fetch(&open(folder.path()), &store, &store.content("iris", 1)).unwrap_err();
    assert!(matches!(error, CacheError::Outside(_)), "{error}");
}

#[test]
fn leftovers_are_removed_and_what_can_go_on_stays() {
    let (store, folder) = (shelf(), tempfile::tempdir().unwrap());
    let cache = open(folder.path());
    drop(fetch(&cache, &store, &store.content("iris", 1)).unwrap());
    let at = |path: &str| folder.path().join(path);
    fs::write(at("blobs/orphan"), b"x").unwrap();
    fs::create_dir(at("versions/.half")).unwrap();
    fs::write(at("versions/gone.use"), b"").unwrap();
    fs::write(at("parts/old"), b"x").unwrap();
    fs::write(at("parts/fresh"), b"x").unwrap();
    fs::write(at("parts/fresh.lock"), b"").unwrap();
    fs::write(at("index/lost"), sha256(b"lost")).unwrap();
    let old = SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 60 * 60);
    fs::File::options().write(true).open(at("parts/old")).unwrap().set_modified(old).unwrap();
    let cache = open(folder.path());
    for gone in ["blobs/orphan", "versions/.half", "versions/gone.use", "parts/old", "parts/fresh.lock", "index/lost"] {
        assert!(!at(gone).exists(), "{gone}");
    }
    assert!(at("parts/fresh").exists());
    assert!(cache.holds(&store.content("iris", 1)));
}
