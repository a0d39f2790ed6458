//! Servers that are away, frozen, slow or out of order: every call ends, says so, and the next one may find them well.

use std::{
    fs,
    time::{Duration, Instant},
};

use modelmill::store::{S3Store, Store, StoreError};

use crate::{
    faults::{Fault, FaultProxy, noise},
    is_discreet, put,
    s3::S3Server,
};

/// All tries of a call, with something for a busy machine.
const CALL: Duration = Duration::from_secs(45);

/// A body that stands still or drips, with something for a busy machine.
const BODY: Duration = Duration::from_secs(25);

fn timed<T>(most: Duration, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let outcome = call();
    assert!(began.elapsed() < most, "it took {:?}", began.elapsed());
    outcome
}

fn assert_outage<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    let text = error.to_string();
    assert!(is_discreet(&text), "{text}");
    text
}

/// A server with one object of 4 MiB, and a store that goes through a proxy.
fn behind_a_proxy() -> Option<(S3Server, FaultProxy, S3Store)> {
    let server = S3Server::start()?;
    server.bucket("models");
    put(&server.store("s3://models"), "iris/1/model.onnx", &noise(4 << 20));
    let proxy = FaultProxy::start(&server.address());
    let store = S3Store::open("s3://models", &server.config_through(&proxy.address())).unwrap();
    Some((server, proxy, store))
}

#[test]
fn nobody_there_is_told_at_once_with_the_address() {
    let Some(mut server) = S3Server::start() else { return };
    server.kill();
    let text = assert_outage(timed(Duration::from_secs(20), || server.store("s3://models/prod").list()));
    assert!(text.contains("`s3://models/prod/`") && text.contains(&server.endpoint()), "{text}");
}

#[test]
fn a_frozen_server_ends_a_listing_and_a_thawed_one_answers() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let store = server.store("s3://models");
    put(&store, "iris/1/model.onnx", b"x");
    server.freeze();
    assert_outage(timed(CALL, || store.list()));
    server.thaw();
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn a_server_that_freezes_within_a_body_ends_the_download_and_a_thawed_one_goes_on() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let store = server.store("s3://models");
    // More than what buffers on the way may hold.
    let bytes = noise(64 << 20);
    fs::create_dir_all(server.bucket_folder("models").join("iris/1")).unwrap();
    fs::write(server.bucket_folder("models").join("iris/1/model.onnx"), &bytes).unwrap();
    let object = store.list().unwrap().remove(0);
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let mut frozen = false;
    let outcome = timed(BODY, || {
        store.download(&object, &part, &mut |_| {
            if !frozen {
                server.freeze();
                frozen = true;
            }
            true
        })
    });
    assert_outage(outcome);
    let had = fs::metadata(&part).unwrap().len();
    assert!(had > 0);
    server.thaw();
    let mut first = None;
    let went_on = store.download(&object, &part, &mut |bytes| {
        first.get_or_insert(bytes);
        true
    });
    went_on.unwrap();
    assert!(first.unwrap() > had && fs::read(&part).unwrap() == bytes);
}

#[test]
fn a_server_that_is_killed_within_a_body_and_comes_back_goes_on() {
    let Some(mut server) = S3Server::start() else { return };
    server.bucket("models");
    let store = server.store("s3://models");
    let bytes = noise(64 << 20);
    fs::create_dir_all(server.bucket_folder("models").join("iris/1")).unwrap();
    fs::write(server.bucket_folder("models").join("iris/1/model.onnx"), &bytes).unwrap();
    let object = store.list().unwrap().remove(0);
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let mut killed = false;
    assert_outage(store.download(&object, &part, &mut |_| {
        if !killed {
            server.kill();
            killed = true;
        }
        true
    }));
    assert_outage(store.list());
    let had = fs::metadata(&part).unwrap().len();
    server.restart();
    let mut first = None;
    let went_on = store.download(&object, &part, &mut |bytes| {
        first.get_or_insert(bytes);
        true
    });
    went_on.unwrap();
    assert!(first.unwrap() > had && fs::read(&part).unwrap() == bytes);
}

#[test]
fn a_hiccup_is_not_noticed_and_a_lasting_one_is_an_outage() {
    let Some((_server, proxy, store)) = behind_a_proxy() else { return };
    proxy.set(Fault::Unavailable(2));
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(proxy.take_requests().len(), 3);
    proxy.set(Fault::Unavailable(u32::MAX));
    let text = assert_outage(timed(CALL, || store.list()));
    assert!(text.contains("503"), "{text}");
    proxy.set(Fault::None);
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn a_server_that_takes_requests_and_never_answers_is_an_outage() {
    let Some((_server, proxy, store)) = behind_a_proxy() else { return };
    let object = store.list().unwrap().remove(0);
    proxy.set(Fault::BlackHole);
    let folder = tempfile::tempdir().unwrap();
    // Side by side, as a watcher and a loader ask: none of them waits for another.
    timed(CALL, || {
        std::thread::scope(|scope| {
            scope.spawn(|| assert_outage(store.list()));
            scope.spawn(|| assert_outage(store.download(&object, &folder.path().join("part"), &mut |_| true)));
            scope.spawn(|| assert_outage(store.read("iris/1/model.onnx", u64::MAX)));
        });
    });
}

#[test]
fn a_drip_is_ended_and_what_has_come_is_kept() {
    let Some((_server, proxy, store)) = behind_a_proxy() else { return };
    let object = store.list().unwrap().remove(0);
    proxy.set(Fault::Drip(400));
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let text = assert_outage(timed(BODY, || store.download(&object, &part, &mut |_| true)));
    assert!(text.contains("a second are expected"), "{text}");
    let had = fs::metadata(&part).unwrap().len();
    assert!(had > 1000, "{had}");
    proxy.set(Fault::None);
    store.download(&object, &part, &mut |_| true).unwrap();
    assert!(fs::read(&part).unwrap() == noise(4 << 20));
}

#[test]
fn a_download_that_nothing_comes_of_can_be_cancelled() {
    let Some((_server, proxy, store)) = behind_a_proxy() else { return };
    let object = store.list().unwrap().remove(0);
    proxy.set(Fault::Drip(400));
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let outcome = timed(Duration::from_secs(8), || {
        store.download(&object, &folder.path().join("part"), &mut |_| began.elapsed() < Duration::from_secs(1))
    });
    assert!(matches!(outcome, Err(StoreError::Cancelled)));
}
