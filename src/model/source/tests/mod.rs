//! Looks at repositories in memory: what is complete, what is read, and what stays.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;

use super::*;

mod from_look_to_look;

/// A repository in memory that counts what is read of it.
#[derive(Default)]
struct Bucket {
    files: BTreeMap<String, (Vec<u8>, u64)>,
    uploads: u64,
    reads: Vec<String>,
    failing: HashMap<String, StoreError>,
}

impl Bucket {
    fn of(paths: &[&str]) -> Self {
        let mut bucket = Self::default();
        paths.iter().for_each(|path| bucket.put(path, b"0123456789"));
        bucket
    }

    fn put(&mut self, path: &str, bytes: &[u8]) {
        self.uploads += 1;
        self.files.insert(path.to_owned(), (bytes.to_vec(), self.uploads));
    }

    fn remove(&mut self, prefix: &str) {
        self.files.retain(|path, _| !path.starts_with(prefix));
    }

    fn list(&self) -> Vec<Object> {
        let object = |(path, (bytes, stamp)): (&String, &(Vec<u8>, u64))| Object {
            path: path.clone(),
            size: bytes.len() as u64,
            stamp: format!("e{stamp}"),
        };
        self.files.iter().map(object).collect()
    }

    fn look(&mut self, source: &mut Source) -> Result<Repository, StoreError> {
        let listing = self.list();
        let Self { files, reads, failing, .. } = self;
        source.look(listing, &mut |object, most| {
            reads.push(object.path.clone());
            match failing.remove(&object.path) {
                Some(error) => Err(error),
                None if object.size > most => Err(StoreError::TooLarge { path: object.path.clone(), most }),
                None => Ok(files[&object.path].0.clone()),
            }
        })
    }
}

fn manifest(files: &[(&str, usize)]) -> String {
    let digest = "ab".repeat(32);
    let entry = |(path, size): &(&str, usize)| format!(r#"{{"path": "{path}", "size": {size}, "sha256": "{digest}"}}"#);
    format!(r#"{{"files": [{}]}}"#, files.iter().map(entry).collect::<Vec<_>>().join(", "))
}

fn version(repository: &Repository, model: &str, number: u64) -> Arc<Version> {
    Arc::clone(&repository.models[model].versions[&number])
}

fn available(repository: &Repository, model: &str) -> Vec<u64> {
    repository.models.get(model).map(|model| model.available()).unwrap_or_default()
}

fn waits(version: &Version) -> &str {
    match version.shortfall.as_ref().unwrap() {
        Shortfall::Waits(sentence) => sentence,
        Shortfall::Problem(sentence) => panic!("a problem: {sentence}"),
    }
}

fn problem(version: &Version) -> &str {
    match version.shortfall.as_ref().unwrap() {
        Shortfall::Problem(sentence) => sentence,
        Shortfall::Waits(sentence) => panic!("only waits: {sentence}"),
    }
}

#[test]
fn only_folders_with_positive_numbers_are_versions() {
    let mut bucket = Bucket::of(&[
        "README.md",
        "iris/2/model.onnx",
        "iris/10/model.onnx",
        "iris/10/weights/a.bin",
        "iris-b/1/model.onnx",
        "iris/01/model.onnx",
        "iris/+3/model.onnx",
        "iris/0/model.onnx",
        "iris/99999999999999999999999/model.onnx",
        "iris/draft/model.onnx",
        "iris/notes.txt",
        "loose/notes.txt",
        "a..b/1/model.onnx",
    ]);
    let mut source = Source::default();
    bucket.look(&mut source).unwrap();
    let repository = bucket.look(&mut source).unwrap();
    assert_eq!(repository.models.keys().map(|name| &**name).collect::<Vec<_>>(), ["iris", "iris-b"]);
    assert_eq!(available(&repository, "iris"), [2, 10]);
    let content = version(&repository, "iris", 10).content.clone().unwrap();
    let paths: Vec<_> = content.files.iter().map(|file| content.relative(file)).collect();
    assert_eq!((paths, content.size()), (vec!["model.onnx", "weights/a.bin"], 20));
}

#[test]
fn without_a_manifest_a_version_counts_when_two_looks_saw_the_same() {
    let mut bucket = Bucket::of(&["iris/1/model.onnx"]);
    let mut source = Source::default();
    let first = bucket.look(&mut source).unwrap();
    assert!(waits(&version(&first, "iris", 1)).contains("waits for another look"));
    bucket.put("iris/1/weights.bin", b"half");
    assert_eq!(available(&bucket.look(&mut source).unwrap(), "iris"), [0; 0]);
    bucket.put("iris/1/weights.bin", b"full");
    assert_eq!(available(&bucket.look(&mut source).unwrap(), "iris"), [0; 0], "the stamp alone is a change");
    let found = bucket.look(&mut source).unwrap();
    assert_eq!(available(&found, "iris"), [1]);
    assert_eq!(version(&found, "iris", 1).shortfall, None);
    assert_eq!(bucket.reads, [""; 0]);
}

#[test]
fn looks_that_follow_each_other_too_soon_do_not_make_a_version_complete() {
    let mut bucket = Bucket::of(&["iris/1/model.onnx", "spam/1/model.onnx"]);
    bucket.put("spam/1/manifest.json", manifest(&[("model.onnx", 10)]).as_bytes());
    let mut source = Source::new(Duration::from_secs(3600));
    for _ in 0..3 {
        let repository = bucket.look(&mut source).unwrap();
        assert_eq!((available(&repository, "iris"), available(&repository, "spam")), (vec![], vec![1]));
    }
    source.rest = Duration::ZERO;
    assert_eq!(available(&bucket.look(&mut source).unwrap(), "iris"), [1]);
}

#[test]
fn only_what_another_look_may_find_complete_awaits_one() {
    let mut source = Source::default();
    let awaits = |source: &mut Source, bucket: &mut Bucket| bucket.look(source).unwrap().awaits_look();
    let mut bucket = Bucket::of(&["a/1/weights.bin", "b/1/model.onnx"]);
    bucket.put("b/1/manifest.json", manifest(&[("model.onnx", 10), ("labels.txt", 3)]).as_bytes());
    assert!(!awaits(&mut source, &mut bucket), "a file must come, and nobody knows when");
    bucket.put("a/1/model.onnx", b"0123456789");
    assert!(awaits(&mut source, &mut bucket));
    assert!(!awaits(&mut source, &mut bucket), "it is complete");
    bucket.put("a/1/weights.bin", b"another");
    assert!(awaits(&mut source, &mut bucket), "uploaded again under the same number");
}

#[test]
fn files_without_a_model_are_no_version_however_long_they_lie_there() {
    let mut bucket = Bucket::of(&["iris/1/weights.bin"]);
    let mut source = Source::default();
    for _ in 0..3 {
        let repository = bucket.look(&mut source).unwrap();
        assert_eq!(waits(&version(&repository, "iris", 1)), "incomplete: waits for `model.onnx`");
    }
}

#[test]
fn a_manifest_makes_a_version_complete_in_one_look_and_is_read_once() {
    let mut bucket = Bucket::of(&["iris/1/model.onnx", "iris/1/extra.txt"]);
    bucket.put("iris/1/manifest.json", manifest(&[("model.onnx", 10), ("w/x.bin", 4), ("y", 3)]).as_bytes());
    let mut source = Source::default();
    let first = bucket.look(&mut source).unwrap();
    assert_eq!(
        waits(&version(&first, "iris", 1)),
        "incomplete: waits for `w/x.bin` of 4 bytes as manifest.json says, `y` of 3 bytes as manifest.json says"
    );
    bucket.put("iris/1/w/x.bin", b"123");
    bucket.put("iris/1/y", b"123");
    let second = bucket.look(&mut source).unwrap();
    assert!(waits(&version(&second, "iris", 1)).ends_with("`w/x.bin` of 4 bytes, not 3, as manifest.json says"));
    bucket.put("iris/1/w/x.bin", b"1234");
    let third = bucket.look(&mut source).unwrap();
    let content = version(&third, "iris", 1).content.clone().unwrap();
    let paths: Vec<_> = content.files.iter().map(|file| content.relative(file)).collect();
    assert_eq!(paths, ["model.onnx", "w/x.bin", "y"], "what the manifest does not name is not of the version");
    bucket.look(&mut source).unwrap();
    assert_eq!(bucket.reads, ["iris/1/manifest.json"]);
    bucket.put("iris/1/manifest.json", manifest(&[("model.onnx", 10)]).as_bytes());
    bucket.look(&mut source).unwrap();
    assert_eq!(bucket.reads.len(), 2);
}

#[test]
fn a_broken_manifest_is_a_problem_with_a_sentence() {
    let digest = "a".repeat(64);
    for (text, words) in [
        ("{".to_owned(), "manifest.json is not valid"),
        (manifest(&[("../model.onnx", 1)]), "outside the version's folder"),
        (manifest(&[("weights.bin", 10)]), "does not name `model.onnx`"),
        (manifest(&[("model.onnx", 10), ("model.onnx", 10)]), "names `model.onnx` twice"),
        (manifest(&[("model.onnx", 10)]).replace("ab", "../"), "expected 64 hex digits"),
        (format!("{}{digest}", " ".repeat(3 << 20)), "more than 2097152 bytes"),
    ] {
        let mut bucket = Bucket::of(&["iris/1/model.onnx", "iris/1/weights.bin"]);
        bucket.put("iris/1/manifest.json", text.as_bytes());
        let mut source = Source::default();
        for _ in 0..3 {
            let repository = bucket.look(&mut source).unwrap();
            let version = version(&repository, "iris", 1);
            assert!(problem(&version).contains(words), "{:?}", version.shortfall);
            assert!(version.content.is_none());
        }
        assert_eq!(bucket.reads.len(), 1);
    }
}

#[test]
fn what_is_uploaded_again_has_another_fingerprint() {
    let mut source = Source::default();
    let mut bucket = Bucket::of(&["iris/1/model.onnx", "spam/1/model.onnx"]);
    bucket.put("spam/1/manifest.json", manifest(&[("model.onnx", 10)]).as_bytes());
    let of =
        |repository: &Repository, model| version(repository, model, 1).content.clone().unwrap().fingerprint.clone();
    bucket.look(&mut source).unwrap();
    let first = bucket.look(&mut source).unwrap();
    bucket.put("iris/1/model.onnx", b"0123456789");
    bucket.put("spam/1/model.onnx", b"0123456789");
    let during = bucket.look(&mut source).unwrap();
    assert_eq!(of(&during, "iris"), of(&first, "iris"), "what was complete stays while other files arrive");
    assert!(waits(&version(&during, "iris", 1)).contains("another look"));
    let second = bucket.look(&mut source).unwrap();
    assert_ne!(of(&second, "iris"), of(&first, "iris"));
    assert_eq!(of(&second, "spam"), of(&first, "spam"), "the manifest says that it is the same");
    bucket.put("spam/1/manifest.json", manifest(&[("model.onnx", 10)]).replace("ab", "cd").as_bytes());
    assert_ne!(of(&bucket.look(&mut source).unwrap(), "spam"), of(&first, "spam"));
}

#[test]
fn a_broken_upload_over_a_complete_version_leaves_it_there() {
    let mut source = Source::default();
    let mut bucket = Bucket::of(&["iris/1/model.onnx"]);
    bucket.put("iris/1/manifest.json", manifest(&[("model.onnx", 10)]).as_bytes());
    bucket.look(&mut source).unwrap();
    bucket.put("iris/1/manifest.json", b"nonsense");
    for _ in 0..3 {
        let repository = bucket.look(&mut source).unwrap();
        assert_eq!(available(&repository, "iris"), [1]);
        assert!(problem(&version(&repository, "iris", 1)).contains("not valid"));
    }
}

#[test]
fn a_deleted_version_is_gone_and_remains_of_it_do_not_count() {
    let mut source = Source::default();
    let mut bucket = Bucket::of(&["iris/1/model.onnx", "iris/2/model.onnx", "iris/2/labels.txt", "iris/3/model.onnx"]);
    bucket.look(&mut source).unwrap();
    assert_eq!(available(&bucket.look(&mut source).unwrap(), "iris"), [1, 2, 3]);
    bucket.remove("iris/3/");
    bucket.remove("iris/2/model.onnx");
    assert_eq!(available(&bucket.look(&mut source).unwrap(), "iris"), [1, 2], "it may be on its way again");
    assert_eq!(available(&bucket.look(&mut source).unwrap(), "iris"), [1]);
    bucket.remove("iris/");
    assert!(bucket.look(&mut source).unwrap().models.is_empty());
}

#[test]
fn labels_name_versions_that_are_there_and_wrong_ones_leave_all_as_it_was() {
    let mut source = Source::default();
    let mut bucket = Bucket::of(&["iris/1/model.onnx", "iris/2/model.onnx"]);
    bucket.put("iris/labels.yaml", b"stable: 1\n");
    let first = bucket.look(&mut source).unwrap();
    let words = first.models["iris"].problem.clone().unwrap();
    assert_eq!(words, "labels.yaml: `stable` names version 1, which is not there in full");
    let mut labels = |bucket: &mut Bucket| {
        let model = Arc::clone(&bucket.look(&mut source).unwrap().models["iris"]);
        let labels = model.labels.iter().map(|(label, version)| format!("{label} {version}")).collect::<Vec<_>>();
        (labels.join(", "), model.problem.clone().unwrap_or_default())
    };
    assert_eq!(labels(&mut bucket), ("stable 1".to_owned(), String::new()));
    bucket.put("iris/labels.yaml", b"stable: 7\ncanary: 2\n");
    let (held, why) = labels(&mut bucket);
    assert_eq!(held, "canary 2, stable 1");
    assert!(
        why.ends_with(
            "`stable` names version 7, which is not there in full; until it is, the label stays at version 1"
        )
    );
    bucket.put("iris/labels.yaml", b"stable 2");
    let (held, why) = labels(&mut bucket);
    assert_eq!(held, "canary 2, stable 1");
    assert_eq!(why, "labels.yaml, line 1: `stable 2` is no label: write `stable: 3`; the labels that held before stay");
    bucket.remove("iris/2/");
    assert_eq!(labels(&mut bucket).0, "stable 1");
    bucket.remove("iris/labels.yaml");
    assert_eq!(labels(&mut bucket), (String::new(), String::new()));
}
