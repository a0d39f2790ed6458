//! Downloads that break off, go on, and notice what is not the listed object.

use std::fs;

use modelmill::store::{Object, S3Store, Store, StoreError};
use tempfile::TempDir;

use crate::{
    faults::{Fault, FaultProxy, noise},
    put,
    s3::S3Server,
};

const SIZE: usize = 6 << 20;

/// An object behind a proxy, and a place to download it to.
struct Rig {
    server: S3Server,
    proxy: FaultProxy,
    store: S3Store,
    bytes: Vec<u8>,
    object: Object,
    folder: TempDir,
}

impl Rig {
    fn new() -> Option<Self> {
        let server = S3Server::start()?;
        server.bucket("models");
        let bytes = noise(SIZE);
        let object = put(&server.store("s3://models"), "iris/1/model.onnx", &bytes);
        let proxy = FaultProxy::start(&server.address());
        let store = S3Store::open("s3://models", &server.config_through(&proxy.address())).unwrap();
        Some(Self { server, proxy, store, bytes, object, folder: tempfile::tempdir().unwrap() })
    }

    fn part(&self) -> std::path::PathBuf {
        self.folder.path().join("part")
    }

    /// Downloads, and says what was told of the progress.
    fn download(&self) -> (Result<(), StoreError>, Vec<u64>) {
        let mut told = Vec::new();
        let outcome = self.store.download(&self.object, &self.part(), &mut |bytes| {
            told.push(bytes);
            true
        });
        (outcome, told)
    }

    fn has(&self) -> u64 {
        fs::metadata(self.part()).map_or(0, |metadata| metadata.len())
    }

    /// The part is the object, and nothing else is left.
    fn assert_complete(&self) {
        assert!(fs::read(self.part()).unwrap() == self.bytes, "every byte is in its place");
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1);
    }

    fn assert_nothing_left(&self) {
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_download_is_the_object_and_tells_how_far_it_is() {
    let Some(rig) = Rig::new() else { return };
    let (outcome, told) = rig.download();
    outcome.unwrap();
    assert!(told.is_sorted() && told.last() == Some(&(SIZE as u64)), "{told:?}");
    rig.assert_complete();
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    let Some(rig) = Rig::new() else { return };
    rig.proxy.set(Fault::Cut(SIZE / 2));
    let error = rig.download().0.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    let had = rig.has();
    assert!(had > 0 && had <= (SIZE / 2) as u64, "{had} bytes are kept");
    rig.proxy.set(Fault::None);
    let (outcome, told) = rig.download();
    outcome.unwrap();
    assert!(told[0] > had, "it went on and did not begin again: {} after {had}", told[0]);
    rig.assert_complete();
}

#[test]
fn a_cancelled_download_goes_on_where_it_ended() {
    let Some(rig) = Rig::new() else { return };
    let cancelled = rig.store.download(&rig.object, &rig.part(), &mut |bytes| bytes < (SIZE / 3) as u64);
    assert!(matches!(cancelled, Err(StoreError::Cancelled)));
    let had = rig.has();
    assert!(had >= (SIZE / 3) as u64);
    assert!(rig.download().1[0] > had);
    rig.assert_complete();
}

#[test]
fn a_damaged_body_is_noticed_and_not_kept() {
    let Some(rig) = Rig::new() else { return };
    rig.proxy.set(Fault::Corrupt(SIZE / 2));
    let error = rig.download().0.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(path) if path == "iris/1/model.onnx"), "{error}");
    rig.assert_nothing_left();
    rig.proxy.set(Fault::None);
    rig.download().0.unwrap();
    rig.assert_complete();
}

#[test]
fn an_object_that_was_replaced_is_not_the_listed_one() {
    let Some(rig) = Rig::new() else { return };
    put(&rig.server.store("s3://models"), "iris/1/model.onnx", &noise(SIZE + 8)[8..]);
    let error = rig.download().0.unwrap_err();
    assert!(matches!(error, StoreError::Changed(_)), "{error}");
    rig.assert_nothing_left();
}

#[test]
fn an_object_that_is_replaced_meanwhile_never_mixes_with_the_old_one() {
    let Some(mut rig) = Rig::new() else { return };
    rig.proxy.set(Fault::Cut(SIZE / 2));
    rig.download().0.unwrap_err();
    rig.proxy.set(Fault::None);
    let bytes = noise(SIZE + 8)[8..].to_vec();
    let fresh = put(&rig.server.store("s3://models"), "iris/1/model.onnx", &bytes);
    assert!(matches!(rig.download().0, Err(StoreError::Changed(_))));
    rig.assert_nothing_left();
    // And once more with half of the old one there, under the new name.
    fs::write(rig.part(), &rig.bytes[..SIZE / 2]).unwrap();
    (rig.object, rig.bytes) = (fresh, bytes);
    rig.download().0.unwrap();
    rig.assert_complete();
}

#[test]
fn an_object_that_is_gone_is_missing() {
    let Some(rig) = Rig::new() else { return };
    rig.proxy.set(Fault::Cut(SIZE / 2));
    rig.download().0.unwrap_err();
    rig.proxy.set(Fault::None);
    rig.server.store("s3://models").remove("iris/1/model.onnx").unwrap();
    let error = rig.download().0.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error}");
    rig.assert_nothing_left();
}

#[test]
fn a_full_part_is_not_asked_for_again() {
    let Some(rig) = Rig::new() else { return };
    let all = rig.store.download(&rig.object, &rig.part(), &mut |bytes| bytes < SIZE as u64);
    assert!(matches!(all, Err(StoreError::Cancelled)), "cancelled with the last byte");
    rig.proxy.take_requests();
    rig.download().0.unwrap();
    assert_eq!(rig.proxy.take_requests(), [""; 0]);
    rig.assert_complete();
}

#[test]
fn an_empty_object_is_an_empty_file() {
    let Some(mut rig) = Rig::new() else { return };
    rig.object = put(&rig.server.store("s3://models"), "iris/1/empty", b"");
    rig.bytes = Vec::new();
    rig.download().0.unwrap();
    rig.assert_complete();
}
