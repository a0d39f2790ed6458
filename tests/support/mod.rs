//! A rig for journeys: topics of their own on a real Kafka, workers as real processes, a client at the other end.
//!
//! Guarantee: whatever a test starts is gone when it ends, also when it fails: processes are killed, folders removed, topics
//! deleted. Every wait has a deadline and says what was missing.

pub mod acls;
pub mod backlog;
pub mod java;
pub mod kafka;
pub mod lane;
pub mod murmur2;
pub mod proxy;
pub mod rig;
pub mod secured;
pub mod worker;

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

pub use lane::{Ask, Lane, by_id, json};
pub use rig::Rig;
pub use worker::Worker;

/// How long anything is waited for before it counts as missing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks at something that cannot tell of itself.
const GLANCE: Duration = Duration::from_millis(20);

/// The Kafka that the tests are to use. Without one the test is skipped, which is said aloud, and where it must not happen
/// is a failure.
///
/// # Panics
/// If there is no Kafka and `CI` is `true`.
pub fn brokers() -> Option<String> {
    let named = std::env::var("MODELMILL_TEST_KAFKA").ok().filter(|brokers| !brokers.is_empty());
    if named.is_none() {
        skip("MODELMILL_TEST_KAFKA names no Kafka (`make test` starts one)");
    }
    named
}

/// Says aloud that a test is skipped.
///
/// # Panics
/// If `CI` is `true`.
pub fn skip(why: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} must not be skipped: {why}");
    // Past the test harness, which keeps what a test prints to itself if it passes.
    io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).unwrap();
}

/// Waits until `look` finds something.
///
/// # Panics
/// If it has not within [`PATIENCE`]; `what` is what was missing.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Some(found) => return found,
            None if Instant::now() > deadline => panic!("not within {PATIENCE:?}: {what}"),
            None => thread::sleep(GLANCE),
        }
    }
}
