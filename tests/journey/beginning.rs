//! Where a group begins of which nothing is committed: `kafka.on_start`.

use serde_json::{Value, json};

use crate::support::{Ask, Lane, Rig, kafka};

fn rig(label: &str) -> Option<(Rig, Lane)> {
    let rig = Rig::new(label)?;
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    Some((rig, lane))
}

fn begins(rig: &Rig, on_start: &str) {
    rig.server(|server| {
        server["kafka"]["on_start"] = json!(on_start);
        // What a worker has not been asked to commit by its end, it has not committed.
        server["kafka"]["commit_interval"] = json!("1h");
    });
}

/// One request for each of the four partitions.
fn round(name: &str) -> Vec<Ask> {
    let body = |id: String| -> Value { json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]}) };
    (0..4).map(|partition| Ask::json(&body(format!("{name}-{partition}"))).partition(partition)).collect()
}

/// The ids of the next answers, but for their partitions.
fn answered(lane: &Lane, count: usize) -> Vec<String> {
    let answers = lane.receive(count);
    let mut names: Vec<_> =
        answers.iter().map(|answer| answer.id().unwrap().split('-').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// A worker that answers one round, and nothing else before it is asked to stop.
#[track_caller]
fn answers(rig: &Rig, lane: &Lane, name: &str) {
    let mut worker = rig.worker();
    assert_eq!(answered(lane, 4), [name; 4]);
    worker.stop();
}

#[test]
fn by_default_what_waits_is_answered() {
    let Some((rig, lane)) = rig("earliest") else { return };
    lane.send(&round("waiting"));
    answers(&rig, &lane, "waiting");
}

#[test]
fn latest_leaves_what_waits_alone_and_loses_nothing_that_comes_after_the_first_start() {
    let Some((rig, lane)) = rig("latest") else { return };
    begins(&rig, "latest");
    lane.send(&round("waiting"));
    let mut first = rig.worker();
    first.signal(libc::SIGKILL);
    first.ended();
    // Nobody is there, and nothing of it is committed but where the group began: a client that begins at the end would begin
    // behind these.
    lane.send(&round("meanwhile"));
    let mut second = rig.worker();
    assert_eq!(answered(&lane, 4), ["meanwhile"; 4]);
    lane.send(&round("later"));
    assert_eq!(answered(&lane, 4), ["later"; 4]);
    second.stop();
    lane.assert_nothing_more();
    for (partition, (committed, end)) in kafka::committed_and_end(&rig.brokers, &rig.group(), &lane.requests) {
        assert_eq!(committed, Some(end), "partition {partition}");
    }
}

#[test]
fn a_partition_without_requests_so_far_is_no_reason_to_skip_those_that_come() {
    let Some((rig, lane)) = rig("idle-partition") else { return };
    let mut first = rig.worker();
    lane.send(&round("first")[..1]);
    assert_eq!(answered(&lane, 1), ["first"]);
    first.stop();
    // The group has committed something of the topic, so that it has begun there.
    lane.send(&round("meanwhile"));
    begins(&rig, "latest");
    answers(&rig, &lane, "meanwhile");
}

#[test]
fn committed_begins_nowhere_else() {
    let Some((rig, lane)) = rig("committed") else { return };
    begins(&rig, "committed");
    lane.send(&round("first"));
    let mut refused = rig.start();
    assert_eq!(refused.ended().code(), Some(1));
    let sentences = refused.lines_with("error: ");
    assert_eq!(sentences.len(), 1, "{:#?}", refused.log());
    for word in [lane.requests.as_str(), &rig.group(), "kafka.on_start"] {
        assert!(sentences[0].contains(word), "{word}: {sentences:?}");
    }
    begins(&rig, "earliest");
    answers(&rig, &lane, "first");
    begins(&rig, "committed");
    lane.send(&round("second"));
    answers(&rig, &lane, "second");
    lane.assert_nothing_more();
}
