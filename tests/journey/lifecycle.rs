//! Stopping: what was taken is answered and committed, and nothing else is; a second signal does not wait.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use modelmill::broker::kafka::client::read_all;
use serde_json::json;

use crate::support::{Ask, Rig, Worker, kafka, proxy::Proxy};

/// Requests whose ids say where they stand: partition and offset.
fn numbered(partitions: i32, each: usize) -> Vec<Ask> {
    let ask = |partition: i32, offset: usize| {
        let id = format!("{partition}/{offset}");
        Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]})).partition(partition)
    };
    (0..each).flat_map(|offset| (0..partitions).map(move |partition| ask(partition, offset))).collect()
}

fn stops_by(signal: i32, label: &str) {
    const PARTITIONS: i32 = 4;
    let Some(rig) = Rig::new(label) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), PARTITIONS, |pipeline| {
        pipeline["timeout"] = json!("1h");
    });
    // Slow enough to be stopped in the middle of it.
    rig.server(|server| server["limits"] = json!({"in_flight_messages": 500, "chunk_messages": 100}));
    lane.send(&numbered(PARTITIONS, 10_000));
    let mut worker = rig.worker();
    lane.receive(500);
    worker.signal(signal);
    let asked = Instant::now();
    assert_eq!(worker.ended().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(20), "shutdown_timeout is 20 s, but it took {:?}", asked.elapsed());
    assert_eq!(worker.lines_with("everything in flight is answered and committed").len(), 1);
    let mut answered = BTreeSet::new();
    for answer in read_all(&rig.brokers, &lane.results).unwrap() {
        assert_eq!(answer.status(), "OK", "{}", answer.text());
        assert!(answered.insert(answer.id().unwrap().into_owned()), "{} is answered twice", answer.text());
    }
    let mut committed = BTreeSet::new();
    for (partition, (offset, _)) in kafka::committed_and_end(&rig.brokers, &rig.group(), &lane.requests) {
        committed.extend((0..offset.unwrap_or(0)).map(|offset| format!("{partition}/{offset}")));
    }
    let differ: Vec<_> = answered.symmetric_difference(&committed).take(10).collect();
    assert!(differ.is_empty(), "{differ:?}: {} answered, {} committed", answered.len(), committed.len());
    assert!(answered.len() < 40_000, "it was stopped while there was work");
}

#[test]
fn sigterm_answers_and_commits_what_is_in_flight() {
    stops_by(libc::SIGTERM, "sigterm");
}

#[test]
fn ctrl_c_answers_and_commits_what_is_in_flight() {
    stops_by(libc::SIGINT, "sigint");
}

/// A worker whose only answer is never acknowledged, and the place it lives in.
fn stuck(label: &str, shutdown_timeout: &str) -> Option<(Rig, Proxy, Worker)> {
    let rig = Rig::new(label)?;
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let proxy = Proxy::open(&rig.brokers);
    rig.server(|server| {
        server["kafka"]["brokers"] = json!(proxy.address());
        server["shutdown_timeout"] = json!(shutdown_timeout);
    });
    let worker = rig.worker();
    proxy.hold_acknowledgements();
    lane.exchange(&numbered(1, 1));
    Some((rig, proxy, worker))
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_in_flight() {
    let Some((_rig, _proxy, mut worker)) = stuck("second", "60s") else { return };
    worker.signal(libc::SIGTERM);
    worker.wait_for_line("asked to stop: ");
    assert!(worker.is_running(), "an answer is in flight");
    let asked = Instant::now();
    // One that comes at once counts as the first; whoever means it tries again.
    while worker.is_running() {
        worker.signal(libc::SIGINT);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(worker.ended().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(2), "at once, but it took {:?}", asked.elapsed());
}

#[test]
fn signals_that_come_twice_at_once_are_one_wish() {
    let Some((_rig, _proxy, mut worker)) = stuck("twice", "5s") else { return };
    worker.signal(libc::SIGTERM);
    worker.signal(libc::SIGINT);
    assert_eq!(worker.ended().code(), Some(0), "it stopped as it was asked to, and not at once");
    assert_eq!(worker.lines_with("asked to stop").len(), 1, "{:#?}", worker.log());
}

#[test]
fn a_worker_that_cannot_finish_ends_within_its_time_and_commits_nothing_unanswered() {
    let Some((rig, _proxy, mut worker)) = stuck("unfinished", "5s") else { return };
    let took = worker.stop();
    assert!(took < Duration::from_secs(6), "shutdown_timeout is 5 s, but it took {took:?}");
    assert_eq!(worker.lines_with("a successor answers the rest").len(), 1, "{:#?}", worker.log());
    let requests = format!("{}.iris.requests", rig.name);
    for (partition, (committed, _)) in kafka::committed_and_end(&rig.brokers, &rig.group(), &requests) {
        assert_eq!(committed.unwrap_or(0), 0, "partition {partition}");
    }
}
