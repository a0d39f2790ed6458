//! A worker that is killed loses no request: its successor does again what was not committed.

use serde_json::json;

use crate::support::{Rig, backlog::Backlog, kafka};

const REQUESTS: usize = 50_000;

#[test]
fn a_successor_answers_what_a_killed_worker_left() {
    let Some(backlog) = Backlog::send(REQUESTS, 4) else { return };
    let rig = Rig::new("killed").unwrap();
    let results = format!("{}.results", rig.name);
    kafka::create_topic(&rig.brokers, &results, 4, &[]);
    rig.owns(&results);
    rig.model("iris", 1, "models/iris/1");
    rig.server(|server| {
        // The shortest that a broker allows by default: the group learns of the death after it.
        server["kafka"]["properties"] = json!({"session.timeout.ms": "6000"});
        // Little in flight makes a worker slow enough to be killed at its work.
        server["limits"] = json!({"in_flight_messages": 200, "chunk_messages": 100});
    });
    rig.pipeline_file(
        "iris",
        &json!({
            "name": "iris",
            "input": {"topics": [backlog.topic]},
            "output": {"topic": results},
            "steps": [{"predict": {"model": "iris"}}],
            "timeout": "1h",
        }),
    );
    let mut tally = backlog.tally(&results);
    let mut worker = rig.worker();
    tally.wait_for(REQUESTS / 2);
    worker.signal(libc::SIGKILL);
    assert_eq!(worker.ended().code(), None, "a signal ended it");
    tally.finish();
    let before = tally.answered();
    assert!(before < REQUESTS, "it was killed at its work");
    rig.server(|server| server["kafka"]["properties"] = json!({"session.timeout.ms": "6000"}));
    let mut successor = rig.worker();
    tally.wait_for(REQUESTS);
    successor.stop();
    tally.finish();
    println!("{before} answered before the kill; after it: {}", tally.account());
    assert_eq!(tally.answered(), REQUESTS, "{}", tally.account());
    // What may be repeated is what one commit interval holds, and that is less than all.
    assert!(tally.doubled() <= before, "{}", tally.account());
}
