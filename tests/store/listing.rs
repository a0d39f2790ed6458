//! What a sweep finds, and what it costs.

use std::fs;

use modelmill::store::{S3Store, Store, StoreError};

use crate::{faults::FaultProxy, put, s3::S3Server};

/// 1,000 models of 3 versions of 3 files.
#[test]
fn nine_thousand_files_take_nine_requests() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    for model in 0..1000 {
        for version in 1..=3 {
            let folder = server.bucket_folder("models").join(format!("prod/model-{model:04}/{version}"));
            fs::create_dir_all(&folder).unwrap();
            for file in ["labels.txt", "manifest.json", "model.onnx"] {
                fs::write(folder.join(file), file).unwrap();
            }
        }
    }
    let proxy = FaultProxy::start(&server.address());
    let store = S3Store::open("s3://models/prod", &server.config_through(&proxy.address())).unwrap();
    let first = store.list().unwrap();
    let requests = proxy.take_requests();
    assert_eq!((first.len(), requests.len()), (9000, 9), "{requests:#?}");
    assert!(first.is_sorted_by(|a, b| a.path < b.path), "sorted, each once");
    assert_eq!((first[0].path.as_str(), first[0].size), ("model-0000/1/labels.txt", 10));
    assert!(
        requests.iter().all(|line| line.starts_with("GET /models/?")),
        "the bucket stands in the path: {requests:#?}"
    );
    assert_eq!(store.list().unwrap(), first, "an unchanged repository looks the same");
}

#[test]
fn a_stamp_changes_with_the_content_and_only_then() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let store = server.store("s3://models");
    let before = put(&store, "iris/1/model.onnx", b"one");
    assert_eq!(put(&store, "iris/1/labels.txt", b"x").size, 1);
    assert!(store.list().unwrap().contains(&before));
    assert_ne!(put(&store, "iris/1/model.onnx", b"two").stamp, before.stamp);
}

#[test]
fn only_what_lies_below_the_prefix_is_there_whatever_its_name() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let all = server.store("s3://models");
    let strange = ["prod/a b+c/1/100%.txt", "prod/Größe/1/model.onnx", "prod/x&y/1/<z>"];
    for path in strange.iter().chain(&["production/iris/1/model.onnx", "prod/iris/1/model.onnx.part"]) {
        all.write(path, path.as_bytes().to_vec(), true).unwrap();
    }
    let store = server.store("s3://models/prod");
    let listed: Vec<_> = store.list().unwrap().into_iter().map(|object| format!("prod/{}", object.path)).collect();
    let mut expected = strange.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(listed, expected);
    for path in strange {
        assert_eq!(store.read(path.strip_prefix("prod/").unwrap(), 100).unwrap(), path.as_bytes());
    }
}

#[test]
fn an_empty_bucket_is_an_empty_repository() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    assert_eq!(server.store("s3://models/none").list().unwrap(), []);
}

#[test]
fn a_small_file_is_read_whole_or_not_at_all() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let store = server.store("s3://models/prod");
    put(&store, "iris/1/manifest.json", b"{}");
    put(&store, "iris/1/empty", b"");
    assert_eq!(store.read("iris/1/manifest.json", 2).unwrap(), b"{}");
    assert_eq!(store.read("iris/1/empty", 0).unwrap(), b"");
    assert!(matches!(store.read("iris/1/manifest.json", 1), Err(StoreError::TooLarge { most: 1, .. })));
    for path in ["iris/1/none", "../prod/iris/1/manifest.json"] {
        assert!(matches!(store.read(path, 9), Err(StoreError::Missing(missing)) if missing == path));
    }
}
