//! `modelmill push` as a shell sees it, into a real bucket.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use modelmill::{codec::manifest::Manifest, store::Store};
use tempfile::TempDir;

use crate::{
    faults::{Fault, FaultProxy, noise},
    is_discreet, put,
    s3::S3Server,
};

const TARGET: &str = "s3://models/prod/iris/3";

/// A version with a file that goes in parts.
fn version() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("model.onnx"), noise(20 << 20)).unwrap();
    fs::write(folder.path().join("data/labels.txt"), "setosa\nversicolor\n").unwrap();
    fs::write(folder.path().join("vocabulary"), "").unwrap();
    folder
}

fn push(server: &S3Server, folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("MODELMILL_")) {
        command.env_remove(name);
    }
    server.environment(&mut command);
    let output = command.arg("push").arg(folder).arg(TARGET).args(more).output().unwrap();
    for stream in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(stream).contains("testsecret"));
    }
    output
}

/// What it said, if it went well.
fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Why it did not go well.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_version_is_sent_with_its_manifest_last_and_comes_back_byte_for_byte() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let proxy = FaultProxy::start(&server.address());
    let folder = version();
    let text = said(&push(&server, folder.path(), &["--endpoint", &format!("http://{}", proxy.address())]));
    assert!(
        text.contains("model.onnx  sent\n") && text.ends_with(&format!("{TARGET} is complete: 20.0 MiB sent\n")),
        "{text}"
    );

    let requests = proxy.take_requests();
    let at =
        |part: &str| requests.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{requests:#?}"));
    let last = |part: &str| requests.iter().rposition(|line| line.contains(part)).unwrap();
    assert!(at("data/labels.txt") < at("model.onnx") && at("vocabulary") < at("model.onnx"), "{requests:#?}");
    assert!(last("model.onnx") < last("PUT /models/prod/iris/3/manifest.json"), "{requests:#?}");
    assert!(last("PUT /models/prod/iris/3/manifest.json") == requests.len() - 1, "{requests:#?}");

    let store = server.store("s3://models/prod");
    let objects = store.list().unwrap();
    let paths: Vec<_> = objects.iter().map(|object| object.path.as_str()).collect();
    assert_eq!(paths, ["iris/3/data/labels.txt", "iris/3/manifest.json", "iris/3/model.onnx", "iris/3/vocabulary"]);
    let manifest = Manifest::parse(&store.read("iris/3/manifest.json", 1 << 20).unwrap()).unwrap();
    for file in manifest.files {
        let object = objects.iter().find(|object| object.path == format!("iris/3/{}", file.path)).unwrap();
        let place = tempfile::tempdir().unwrap();
        store.download(object, &place.path().join("part"), &mut |_| true).unwrap();
        assert!(fs::read(place.path().join("part")).unwrap() == fs::read(folder.path().join(&file.path)).unwrap());
        assert_eq!(object.size, file.size);
    }
}

#[test]
fn a_version_that_is_there_is_neither_sent_again_nor_written_over() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let folder = version();
    said(&push(&server, folder.path(), &[]));
    assert!(said(&push(&server, folder.path(), &[])).contains("is there already, the same in every byte"));

    let other = version();
    fs::write(other.path().join("model.onnx"), "other").unwrap();
    fs::remove_file(other.path().join("vocabulary")).unwrap();
    let error = refused(&push(&server, other.path(), &[]));
    assert!(error.contains("there is a complete version already") && error.contains("--replace"), "{error}");
    assert_eq!(said(&push(&server, other.path(), &["--replace"])).matches("there already").count(), 1);
    let store = server.store(TARGET);
    assert_eq!(store.read("model.onnx", 9).unwrap(), b"other");
    let paths: Vec<_> = store.list().unwrap().into_iter().map(|object| object.path).collect();
    assert_eq!(paths, ["data/labels.txt", "manifest.json", "model.onnx"], "what the new one has not is gone");
}

#[test]
fn files_that_somebody_else_put_there_are_not_written_over() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    put(&server.store(TARGET), "model.onnx", b"by hand");
    let error = refused(&push(&server, version().path(), &[]));
    assert!(error.contains("`model.onnx` is there already, and not from a push of this version"), "{error}");
    assert_eq!(server.store(TARGET).read("model.onnx", 99).unwrap(), b"by hand");
}

#[test]
fn a_push_that_broke_off_is_no_version_and_goes_on() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let proxy = FaultProxy::start(&server.address());
    let folder = version();
    // The manifest and the model lack what comes last.
    said(&push(&server, folder.path(), &[]));
    let store = server.store(TARGET);
    store.remove("manifest.json").unwrap();
    store.remove("model.onnx").unwrap();
    proxy.set(Fault::Unavailable(u32::MAX));
    let through = ["--endpoint", &format!("http://{}", proxy.address())];
    let error = refused(&push(&server, folder.path(), &through));
    assert!(error.contains("503") && is_discreet(error.trim_end()), "{error}");
    assert_eq!(store.list().unwrap().len(), 2);
    proxy.set(Fault::None);
    let text = said(&push(&server, folder.path(), &through));
    assert_eq!((text.matches("there already").count(), text.matches("  sent\n").count()), (2, 1), "{text}");
    assert_eq!(store.list().unwrap().len(), 4);
}

#[test]
fn a_folder_that_is_no_version_sends_nothing() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let folder = version();
    fs::write(folder.path().join("manifest.json"), r#"{"files": []}"#).unwrap();
    let error = refused(&push(&server, folder.path(), &[]));
    assert!(error.contains("is not in manifest.json; remove it, or `modelmill manifest"), "{error}");
    assert_eq!(server.store("s3://models").list().unwrap(), []);
}

#[test]
fn the_server_file_says_how_the_bucket_is_reached() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let folder = version();
    let file = folder.path().join(".server.yaml");
    let (endpoint, credentials) = (server.endpoint(), server.credentials_file());
    let text = format!(
        "kafka: {{brokers: k, group: g}}\nmodels:\n  repository: s3://models/prod\n  s3: {{endpoint: '{endpoint}', \
         credentials_file: {}}}\n",
        credentials.display()
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
    command.env_remove("AWS_ENDPOINT_URL").env_remove("AWS_ACCESS_KEY_ID");
    let output = command.arg("push").arg(folder.path()).arg(TARGET).arg("--server").arg(&file).output().unwrap();
    said(&output);
    assert_eq!(server.store(TARGET).list().unwrap().len(), 4);
}
