//! In which order answers come: that of their partition or of their keys, where a pipeline says so, however unevenly the models
//! run that make them.

use std::collections::{BTreeMap, BTreeSet};

use modelmill::broker::kafka::client::Record;
use serde_json::json;

use crate::support::{Ask, Rig, murmur2};

const REQUESTS: usize = 600;
const PARTITIONS: i32 = 4;
const RESULT_PARTITIONS: i32 = 3;
const KEYS: usize = 7;

/// Rounds of the fixture's loop: some milliseconds, in which the fast model answers dozens.
const SLOW: u32 = 40_000;

fn partition(id: usize) -> i32 {
    i32::try_from(id).unwrap() % PARTITIONS
}

/// It fails by itself, in the middle of its group.
fn is_late(id: usize) -> bool {
    id % 10 == 5
}

fn key(id: usize) -> String {
    // The requests of a key have one partition, as a producer would have it.
    format!("key-{}-{}", partition(id), id / 5 % KEYS)
}

/// A request of one in ten goes to a slow model, and another comes too late.
fn ask(id: usize) -> Ask {
    let (model, spins) = if id.is_multiple_of(10) { ("slow", SLOW) } else { ("fast", 0) };
    let one = |name: &str, value: u32| json!({"name": name, "datatype": "INT64", "shape": [1, 1], "data": [value]});
    let ask = Ask::json(&json!({"id": id.to_string(), "inputs": [one("x", 7), one("spins", spins)]}));
    let ask = if is_late(id) { ask.header("timeout-ms", "1").at(1_000_000) } else { ask };
    ask.header("model-name", model).key(key(id)).partition(partition(id))
}

/// The answers by the partition that they stand in, in their order; all are there, once.
fn answers(label: &str, ordering: &str, delivery: &str) -> Option<BTreeMap<i32, Vec<usize>>> {
    let rig = Rig::new(label)?;
    for model in ["slow", "fast"] {
        rig.model(model, 1, "tests/data/fixtures/spin/1");
    }
    rig.server(|server| {
        server["delivery"] = json!(delivery);
        // Many chunks, side by side.
        server["limits"] = json!({"chunk_messages": 10});
        server["inference"] = json!({"sessions": 1, "threads": 1});
    });
    let lane = rig.lane_with("order", json!([{"predict": {"model": "{request.model}"}}]), PARTITIONS, |pipeline| {
        pipeline["output"]["ordering"] = json!(ordering);
    });
    let asks: Vec<_> = (0..REQUESTS).map(ask).collect();
    // They wait already, so that the worker takes them as fast as it can.
    lane.send(&asks);
    let mut worker = rig.worker();
    let mut records = lane.receive(REQUESTS);
    worker.stop();
    lane.assert_nothing_more();
    records.sort_by_key(|record| (record.partition, record.offset));
    let id = |record: &Record| -> usize { record.id().unwrap().parse().unwrap() };
    let distinct: BTreeSet<_> = records.iter().map(id).collect();
    assert_eq!(distinct.len(), REQUESTS, "each once");
    let failed = |record: &&Record| record.header("status").is_some_and(|status| status == b"DEADLINE_EXCEEDED");
    let failed: Vec<_> = records.iter().filter(failed).map(id).collect();
    assert!(failed.len() == REQUESTS / 10 && failed.into_iter().all(is_late), "those that came too late");
    let mut by_partition: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for record in &records {
        by_partition.entry(record.partition).or_default().push(id(record));
    }
    Some(by_partition)
}

/// The ids of one kind, in the order of their answers; all of them in one partition of the results, which is returned.
fn stands_together(answers: &BTreeMap<i32, Vec<usize>>, is_one: impl Fn(usize) -> bool) -> (i32, Vec<usize>) {
    let of = |ids: &[usize]| ids.iter().copied().filter(|id| is_one(*id)).collect::<Vec<_>>();
    let mut found: Vec<_> = answers.iter().map(|(partition, ids)| (*partition, of(ids))).collect();
    found.retain(|(_, ids)| !ids.is_empty());
    assert_eq!(found.len(), 1, "they stand in one partition: {found:?}");
    found.remove(0)
}

#[test]
fn without_an_order_a_slow_model_holds_nobody_up() {
    let Some(answers) = answers("order-none", "none", "at_least_once") else { return };
    let in_order = |source: i32| {
        let of = |ids: &Vec<usize>| ids.iter().copied().filter(|id| partition(*id) == source).collect::<Vec<_>>();
        answers.values().map(of).all(|ids| ids.is_sorted())
    };
    assert!(!(0..PARTITIONS).all(in_order), "were all in order, the other tests would show nothing");
}

fn comes_in_the_order_of_partitions(label: &str, delivery: &str) {
    let Some(answers) = answers(label, "partition", delivery) else { return };
    for source in 0..PARTITIONS {
        let (target, ids) = stands_together(&answers, |id| partition(id) == source);
        assert_eq!(target, source % RESULT_PARTITIONS, "the partition of the same number");
        assert!(ids.is_sorted(), "partition {source}: {ids:?}");
    }
}

#[test]
fn answers_come_in_the_order_of_their_request_partition() {
    comes_in_the_order_of_partitions("order-partition", "at_least_once");
}

#[test]
fn answers_come_in_the_order_of_their_request_partition_in_transactions_too() {
    comes_in_the_order_of_partitions("order-exactly", "exactly_once");
}

#[test]
fn answers_to_requests_of_one_key_come_in_their_order_and_in_the_partition_of_the_key() {
    let Some(answers) = answers("order-key", "key", "at_least_once") else { return };
    let keys: BTreeSet<_> = (0..REQUESTS).map(key).collect();
    for wanted in keys {
        let (target, ids) = stands_together(&answers, |id| key(id) == wanted);
        assert_eq!(target, murmur2::partition(wanted.as_bytes(), RESULT_PARTITIONS), "{wanted}");
        assert!(ids.is_sorted(), "{wanted}: {ids:?}");
    }
}
