//! Stores on a real S3 server, with everything that servers and networks do to those who ask them.
//!
//! Each test starts a server of its own; `make test` sees to the program. Nothing here needs Kafka or ONNX Runtime.

#[path = "store/access.rs"]
mod access;
#[path = "store/containers.rs"]
mod containers;
#[path = "store/downloading.rs"]
mod downloading;
#[path = "support/faults.rs"]
mod faults;
#[path = "store/listing.rs"]
mod listing;
#[path = "store/outages.rs"]
mod outages;
#[path = "store/pushing.rs"]
mod pushing;
#[path = "support/s3.rs"]
mod s3;
#[path = "store/trust.rs"]
mod trust;

use modelmill::store::{Object, S3Store, Store};

/// Puts an object there, and says how it is listed.
fn put(store: &S3Store, path: &str, bytes: &[u8]) -> Object {
    store.write(path, bytes.to_vec(), true).unwrap();
    store.list().unwrap().into_iter().find(|object| object.path == path).unwrap()
}

/// Whether a text gives away what it must not.
fn is_discreet(text: &str) -> bool {
    !text.contains("testsecret") && !text.contains("wrongsecret") && !text.contains('\n')
}
