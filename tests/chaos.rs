//! The chaos harness in its short form: some twenty faults in two minutes or so, each kind at least once. `make chaos` is the
//! long one; [docs/chaos.md](../docs/chaos.md) says what befalls whom and what is promised.

#[path = "chaos/mod.rs"]
mod chaos;
#[path = "support/s3.rs"]
mod s3;
#[allow(dead_code, unused_imports, reason = "of what the journeys need, this uses a part")]
#[path = "support/mod.rs"]
mod support;

use std::sync::{Mutex, PoisonError};

use chaos::options::{Delivery, Options};

/// One after another: two clusters at once on few cores recover more slowly than the account of doubles allows.
static TURN: Mutex<()> = Mutex::new(());

/// One run with a Kafka of its own; on where the journeys are.
fn short(delivery: Delivery) {
    if support::brokers().is_none() {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(chaos::run(&Options::short(delivery)), "the promise of {} was not kept", delivery.name());
}

#[test]
fn no_request_is_lost_and_what_is_answered_twice_was_in_flight() {
    short(Delivery::AtLeastOnce);
}

#[test]
fn in_transactions_no_request_is_lost_and_none_is_answered_twice() {
    short(Delivery::ExactlyOnce);
}
