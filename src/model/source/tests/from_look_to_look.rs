//! What one look leaves for the next: files that cannot be read, outages, what did not change, any order of things.

use super::*;

#[test]
fn a_small_file_that_cannot_be_read_keeps_nobody_else_waiting_and_is_tried_again() {
    let mut source = Source::default();
    let mut bucket = Bucket::of(&["a/1/model.onnx", "b/1/model.onnx"]);
    for model in ["a", "b"] {
        bucket.put(&format!("{model}/1/manifest.json"), manifest(&[("model.onnx", 10)]).as_bytes());
    }
    bucket.failing.insert("a/1/manifest.json".to_owned(), StoreError::Denied("403".to_owned()));
    let first = bucket.look(&mut source).unwrap();
    assert!(waits(&version(&first, "a", 1)).contains("cannot be read: 403"));
    assert_eq!(available(&first, "b"), [1]);
    assert_eq!(available(&bucket.look(&mut source).unwrap(), "a"), [1]);
    assert_eq!(bucket.reads, ["a/1/manifest.json", "b/1/manifest.json", "a/1/manifest.json"]);
}

#[test]
fn an_outage_in_the_middle_of_a_look_changes_nothing_and_what_was_read_is_not_read_again() {
    let mut source = Source::default();
    source.manifests.patience = Duration::ZERO;
    let mut bucket = Bucket::of(&["a/1/model.onnx", "b/1/model.onnx", "c/1/model.onnx"]);
    for model in ["a", "b"] {
        bucket.put(&format!("{model}/1/manifest.json"), manifest(&[("model.onnx", 10)]).as_bytes());
    }
    bucket.failing.insert("b/1/manifest.json".to_owned(), StoreError::Unreachable("down".to_owned()));
    assert!(matches!(bucket.look(&mut source), Err(StoreError::Unreachable(_))));
    let repository = bucket.look(&mut source).unwrap();
    assert_eq!((available(&repository, "a"), available(&repository, "b")), (vec![1], vec![1]));
    assert!(available(&repository, "c").is_empty(), "the look that failed does not count as one");
    assert_eq!(bucket.reads, ["a/1/manifest.json", "b/1/manifest.json", "b/1/manifest.json"]);
}

#[test]
fn models_that_did_not_change_are_the_very_same() {
    let mut source = Source::default();
    let mut bucket = Bucket::of(&["a/1/model.onnx", "b/1/model.onnx"]);
    bucket.look(&mut source).unwrap();
    let first = bucket.look(&mut source).unwrap();
    bucket.put("a/2/model.onnx", b"new");
    let second = bucket.look(&mut source).unwrap();
    assert!(Arc::ptr_eq(&first.models["b"], &second.models["b"]));
    assert!(!Arc::ptr_eq(&first.models["a"], &second.models["a"]));
    assert!(Arc::ptr_eq(&version(&first, "a", 1), &version(&second, "a", 1)));
}

#[test]
fn the_order_of_a_listing_does_not_matter() {
    let mut source = Source::default();
    let mut bucket = Bucket::of(&["a/1/model.onnx", "a-b/1/model.onnx", "a/2/x", "a/2/model.onnx"]);
    bucket.look(&mut source).unwrap();
    let mut listing = bucket.list();
    listing.reverse();
    let repository = source.look(listing, &mut |_, _| panic!("nothing is to be read")).unwrap();
    assert_eq!(available(&repository, "a"), [1, 2]);
}

/// The figure of a thousand models: `cargo test --release --lib -- --ignored --nocapture a_look_at_nine_thousand`.
#[test]
#[ignore = "a measurement"]
fn a_look_at_nine_thousand_unchanged_files_is_cheap() {
    let mut bucket = Bucket::default();
    for model in 0..1000 {
        for number in 1..=3 {
            let folder = format!("customer-model-{model:04}/{number}");
            bucket.put(&format!("{folder}/model.onnx"), b"0123456789");
            bucket.put(&format!("{folder}/labels.txt"), b"0123456789");
            bucket.put(&format!("{folder}/manifest.json"), manifest(&[("model.onnx", 10)]).as_bytes());
        }
    }
    let mut source = Source::default();
    let mut measure = |what: &str, listing: Vec<Object>, bucket: &Bucket| {
        let started = std::time::Instant::now();
        let mut reads = 0;
        let mut read = |object: &Object, _| {
            reads += 1;
            Ok(bucket.files[&object.path].0.clone())
        };
        let found = source.look(listing, &mut read).unwrap();
        println!("{what}: {:?}, {reads} reads, {} models", started.elapsed(), found.models.len());
    };
    measure("the first look", bucket.list(), &bucket);
    for _ in 0..5 {
        measure("unchanged", bucket.list(), &bucket);
    }
    bucket.put("customer-model-0500/4/model.onnx", b"new");
    for _ in 0..3 {
        measure("one version without a manifest is new", bucket.list(), &bucket);
    }
}

proptest! {
    /// Whatever comes and goes, a version that is to be loaded was complete, and what lies still is found within two looks.
    #[test]
    fn what_lies_still_for_two_looks_is_found(
        changes in prop::collection::vec((0_u8..3, 1_u64..4, 0_usize..3, any::<bool>()), 0..30),
    ) {
        let mut source = Source::default();
        let mut bucket = Bucket::default();
        for (model, number, file, put) in changes {
            let path = format!("m{model}/{number}/{}", ["model.onnx", "weights.bin", "labels.txt"][file]);
            if put { bucket.put(&path, b"x") } else { bucket.remove(&path) }
            for model in bucket.look(&mut source).unwrap().models.values() {
                for version in model.versions.values() {
                    prop_assert!(version.content.is_some() || version.shortfall.is_some());
                }
            }
        }
        bucket.look(&mut source).unwrap();
        let repository = bucket.look(&mut source).unwrap();
        let mut found: Vec<_> = repository.models.iter().flat_map(|(name, model)| {
            model.available().into_iter().map(move |number| format!("{name}/{number}/model.onnx"))
        }).collect();
        found.sort();
        let there: Vec<_> = bucket.files.keys().filter(|path| path.ends_with("/model.onnx")).cloned().collect();
        prop_assert_eq!(found, there);
        let settled = bucket.look(&mut source).unwrap();
        prop_assert!(settled.models.iter().all(|(name, model)| Arc::ptr_eq(model, &repository.models[name])));
    }
}
