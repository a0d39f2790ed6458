//! Two hundred thousand requests that wait on eight partitions: each is answered once and rightly, by one worker, by two,
//! and by two of which one is told to stop half-way.

use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::support::{Rig, Worker, backlog::Backlog, kafka, wait_for};

const REQUESTS: usize = 200_000;
const PARTITIONS: i32 = 8;

/// One at a time: they want the whole machine.
static TURN: Mutex<()> = Mutex::new(());

/// A rig whose workers read the backlog and answer to a topic of the rig's own.
fn rig(label: &str, backlog: &Backlog) -> (Rig, String) {
    let rig = Rig::new(label).unwrap();
    rig.server(|server| {
        // A member hears of another that joins at its next heart-beat.
        server["kafka"]["properties"] = json!({"heartbeat.interval.ms": "100"});
    });
    let results = backlog.pipeline(&rig, |_| {});
    (rig, results)
}

/// Everything that was answered is committed.
fn assert_committed(rig: &Rig, backlog: &Backlog) {
    for (partition, (committed, end)) in kafka::committed_and_end(&rig.brokers, &rig.group(), &backlog.topic) {
        assert_eq!(committed, Some(end), "partition {partition} of {PARTITIONS}");
    }
}

fn answered_by(worker: &Worker) -> usize {
    worker.metric("modelmill_requests_total", &[r#"outcome="OK""#]) as usize
}

#[test]
fn one_worker_answers_every_request_once() {
    let Some(backlog) = Backlog::shared(REQUESTS, PARTITIONS) else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (rig, results) = rig("one", &backlog);
    let mut tally = backlog.tally(&results);
    let mut worker = rig.worker();
    tally.wait_for(REQUESTS);
    worker.stop();
    tally.finish();
    assert_eq!((tally.answered(), tally.doubled()), (REQUESTS, 0), "{}", tally.account());
    assert_committed(&rig, &backlog);
}

#[test]
fn two_workers_answer_every_request_once_between_them() {
    let Some(backlog) = Backlog::shared(REQUESTS, PARTITIONS) else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (rig, results) = rig("two", &backlog);
    let mut tally = backlog.tally(&results);
    let (first, second) = (rig.start(), rig.start());
    let mut workers = [first, second];
    workers.iter().for_each(Worker::wait_until_ready);
    tally.wait_for(REQUESTS);
    let shares = workers.each_ref().map(answered_by);
    for worker in &mut workers {
        worker.stop();
    }
    tally.finish();
    assert_eq!((tally.answered(), tally.doubled()), (REQUESTS, 0), "{}", tally.account());
    assert!(shares.iter().all(|share| *share > 0), "both had a share: {shares:?}");
    assert_committed(&rig, &backlog);
}

#[test]
fn a_worker_that_is_told_to_stop_half_way_leaves_the_rest_to_the_other() {
    let Some(backlog) = Backlog::shared(REQUESTS, PARTITIONS) else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (rig, results) = rig("leaving", &backlog);
    let mut tally = backlog.tally(&results);
    let (mut leaving, mut staying) = (rig.start(), rig.start());
    leaving.wait_until_ready();
    staying.wait_until_ready();
    tally.wait_for(REQUESTS / 2);
    wait_for("a share of each", || (answered_by(&leaving) > 0 && answered_by(&staying) > 0).then_some(()));
    let before = tally.answered();
    leaving.stop();
    assert!(before < REQUESTS, "it was told to stop while there was work");
    tally.wait_for(REQUESTS);
    staying.stop();
    tally.finish();
    assert_eq!((tally.answered(), tally.doubled()), (REQUESTS, 0), "{}", tally.account());
    assert_committed(&rig, &backlog);
}
