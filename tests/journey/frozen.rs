//! A broker that stands still for a minute, as one that is stopped does: connections stay open, and nothing comes through. Longer
//! than the group's session, so that the worker has lost its partitions when the broker goes on.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Rig, backlog::Backlog, kafka, proxy::Proxy};

const REQUESTS: usize = 40_000;
const IN_FLIGHT: usize = 1_000;
const FROZEN: Duration = Duration::from_secs(60);

/// Freezes the broker at a worker's work. Says how many requests may have been answered twice, being in flight or not yet
/// committed, and how many were.
fn frozen(label: &str, delivery: &str) -> Option<[usize; 2]> {
    let backlog = Backlog::send(REQUESTS, 4)?;
    let rig = Rig::new(label).unwrap();
    let proxy = Proxy::open(&rig.brokers);
    rig.server(|server| {
        server["delivery"] = json!(delivery);
        server["kafka"]["brokers"] = json!(proxy.address());
        server["limits"] = json!({"in_flight_messages": IN_FLIGHT, "chunk_messages": 100});
    });
    let results = backlog.pipeline(&rig, |_| {});
    let mut tally = backlog.tally(&results);
    let mut worker = rig.worker();
    tally.wait_for(REQUESTS / 4);
    proxy.hold_everything();
    let since = Instant::now();
    tally.finish();
    let committed = kafka::committed_and_end(&rig.brokers, &rig.group(), &backlog.topic);
    let committed: i64 = committed.values().filter_map(|(committed, _)| *committed).sum();
    let before = tally.answered();
    assert!(before < REQUESTS, "it was frozen at its work");
    // That it goes on and takes no more than it may can only be seen by watching it all the while.
    while since.elapsed() < FROZEN && worker.is_running() {
        // One that ends has closed its door a little before it has gone.
        let Some(health) = worker.try_page("/healthz") else { break };
        assert_eq!(health.0, 200);
        let Some(in_flight) = worker.try_metric("modelmill_in_flight_messages", &[]) else { break };
        assert!(in_flight <= IN_FLIGHT as f64);
        std::thread::sleep(Duration::from_millis(250));
    }
    proxy.release();
    if since.elapsed() < FROZEN {
        // A transaction that cannot be brought to its end in its time ends the worker, and a supervisor starts another.
        assert_eq!(delivery, "exactly_once");
        assert_eq!(worker.ended().code(), Some(1), "{:#?}", worker.log());
        worker = rig.worker();
    }
    tally.wait_for(REQUESTS);
    worker.stop();
    tally.finish();
    println!("{label}: {}", tally.account());
    assert_eq!(tally.answered(), REQUESTS, "{}", tally.account());
    Some([before + IN_FLIGHT - usize::try_from(committed).unwrap(), tally.doubled()])
}

#[test]
fn a_broker_that_stands_still_for_a_minute_costs_no_answer_and_doubles_what_was_not_committed_at_most() {
    let Some([may, doubled]) = frozen("frozen", "at_least_once") else { return };
    assert!(doubled <= may, "{doubled} were answered twice, and {may} may have been");
}

#[test]
fn it_doubles_nothing_in_transactions() {
    let Some([_, doubled]) = frozen("frozen-exactly", "exactly_once") else { return };
    assert_eq!(doubled, 0, "answered twice");
}
