//! An answer that cannot be published stops the commit and the worker, not the log: what is unanswered is answered when the way
//! is free again.

use modelmill::broker::kafka::client::delete_topics;
use serde_json::{Value, json};

use crate::support::{Ask, Rig, by_id, kafka, wait_for};

fn asks(from: usize, to: usize) -> Vec<Ask> {
    (from..to).map(|id| Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]})).partition(0)).collect()
}

fn committed(rig: &Rig, topic: &str) -> Option<i64> {
    kafka::committed_and_end(&rig.brokers, &rig.group(), topic).get(&0).and_then(|(committed, _)| *committed)
}

/// The result topic goes while the worker runs, and comes back after it has ended.
fn loses_its_result_topic(label: &str, delivery: &str) {
    let Some(rig) = Rig::new(label) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 1, |pipeline: &mut Value| {
        pipeline["timeout"] = json!("1h");
    });
    rig.server(|server| {
        server["delivery"] = json!(delivery);
        server["transaction"] = json!({"timeout": "5s"});
        // How soon it is noticed.
        server["kafka"]["properties"] = json!({
            "topic.metadata.refresh.interval.ms": "500",
            "topic.metadata.propagation.max.ms": "1000",
        });
    });
    let mut worker = rig.worker();
    lane.send(&asks(0, 50));
    assert_eq!(by_id(lane.receive(50)).len(), 50);
    wait_for("a commit", || (committed(&rig, &lane.requests) == Some(50)).then_some(()));
    delete_topics(&rig.brokers, &[&lane.results]).unwrap();
    lane.send(&asks(50, 100));
    assert_eq!(kafka::members(&rig.brokers, &rig.group()), 1);
    assert_eq!(worker.ended().code(), Some(1));
    assert_eq!(kafka::members(&rig.brokers, &rig.group()), 0, "nobody waits for its session to time out");
    let last = worker.lines_with("the worker cannot go on");
    assert_eq!(last.len(), 1, "{:#?}", worker.log());
    assert!(last[0].contains(&lane.results), "the topic is named: {}", last[0]);
    assert_eq!(committed(&rig, &lane.requests), Some(50), "nothing unanswered is committed");
    kafka::create_topic(&rig.brokers, &lane.results, 3, &[]);
    let results = lane.results.clone();
    let lane = lane.with_results(&results);
    let mut successor = rig.worker();
    let answers = by_id(lane.receive(50));
    successor.stop();
    lane.assert_nothing_more();
    assert!((50..100).all(|id| answers.contains_key(&id.to_string())), "{:?}", answers.keys());
}

#[test]
fn a_result_topic_that_goes_away_stops_the_commit_and_loses_no_answer() {
    loses_its_result_topic("topic-gone", "at_least_once");
}

#[test]
fn a_result_topic_that_goes_away_stops_the_commit_in_transactions_too() {
    loses_its_result_topic("topic-gone-exactly", "exactly_once");
}
