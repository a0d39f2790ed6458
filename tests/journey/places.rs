//! Where a worker goes on with partitions of which somebody has left a transaction open, as one that was killed does.

use serde_json::json;

use crate::support::{Ask, Rig, by_id, kafka};

const PARTITIONS: i32 = 4;

fn asks(from: usize, to: usize) -> Vec<Ask> {
    let ask = |id: usize| {
        let ask = Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]}));
        ask.partition(i32::try_from(id).unwrap() % PARTITIONS)
    };
    (from..to).map(ask).collect()
}

#[test]
fn what_is_committed_beside_an_open_transaction_is_not_answered_again_whoever_joins_meanwhile() {
    let Some(rig) = Rig::new("open-transaction") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), PARTITIONS, |_| {});
    rig.server(|server| server["delivery"] = json!("exactly_once"));
    lane.send(&asks(0, 100));
    let mut former = rig.worker();
    assert_eq!(by_id(lane.receive(100)).len(), 100);
    former.stop();
    let left_open = kafka::open_transaction(&rig.brokers, &rig.group(), &lane.requests, &[25; PARTITIONS as usize]);
    // Partitions are shared out anew while their places cannot be told.
    let mut first = rig.worker();
    let mut second = rig.worker();
    let mut third = rig.worker();
    left_open.abort();
    lane.send(&asks(100, 140));
    let answers = by_id(lane.receive(40));
    assert!((100..140).all(|id| answers.contains_key(&id.to_string())), "answered again: {:?}", answers.keys());
    for worker in [&mut first, &mut second, &mut third] {
        worker.stop();
    }
    lane.assert_nothing_more();
}
