//! A worker that is killed loses no request: its successor does again what was not committed. In transactions, readers see none
//! of it twice.

use serde_json::{Value, json};

use crate::support::{Rig, backlog::Backlog};

const REQUESTS: usize = 50_000;

#[test]
fn a_successor_answers_what_a_killed_worker_left() {
    let Some([before, doubled]) = killed_at_its_work("killed", "at_least_once") else { return };
    // What may be repeated is what one commit interval holds, and that is less than all.
    assert!(doubled <= before, "{doubled} were answered twice, {before} before the kill");
}

#[test]
fn a_successor_answers_nothing_twice_in_transactions() {
    let Some([_, doubled]) = killed_at_its_work("killed-exactly", "exactly_once") else { return };
    assert_eq!(doubled, 0, "answered twice");
}

/// A worker is killed among its requests, and a successor does the rest. Says how many were answered before the kill, and how
/// many twice in the end.
fn killed_at_its_work(label: &str, delivery: &str) -> Option<[usize; 2]> {
    let backlog = Backlog::send(REQUESTS, 4)?;
    let rig = Rig::new(label).unwrap();
    let results = backlog.pipeline(&rig, |_| {});
    let configure = |server: &mut Value| {
        server["delivery"] = json!(delivery);
        // Readers wait for the end of the transaction that the killed worker left open.
        server["transaction"] = json!({"timeout": "5s"});
        // The shortest that a broker allows by default: the group learns of the death after it.
        server["kafka"]["properties"] = json!({"session.timeout.ms": "6000"});
    };
    rig.server(|server| {
        configure(server);
        // Little in flight makes a worker slow enough to be killed at its work.
        server["limits"] = json!({"in_flight_messages": 200, "chunk_messages": 100});
    });
    let mut tally = backlog.tally(&results);
    let mut worker = rig.worker();
    tally.wait_for(REQUESTS / 2);
    worker.signal(libc::SIGKILL);
    assert_eq!(worker.ended().code(), None, "a signal ended it");
    tally.finish();
    let before = tally.answered();
    assert!(before < REQUESTS, "it was killed at its work");
    rig.server(configure);
    let mut successor = rig.worker();
    tally.wait_for(REQUESTS);
    successor.stop();
    tally.finish();
    println!("{before} answered before the kill; after it: {}", tally.account());
    assert_eq!(tally.answered(), REQUESTS, "{}", tally.account());
    Some([before, tally.doubled()])
}
