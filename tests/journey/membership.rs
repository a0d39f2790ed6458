//! Static membership: a rolling restart of a group under load moves no partition, and the others notice nothing of it.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Ask, Lane, Rig, Worker, by_id, wait_for};

const WORKERS: usize = 4;
const PARTITIONS: i32 = 8;

/// What the log says of each rebalance that a worker takes part in.
const REBALANCED: &str = "the group has shared out its partitions";

/// How often the load sends a request to each partition.
const PAUSE: Duration = Duration::from_millis(20);

/// A worker of the group. `HOSTNAME` tells them apart, as the names of the pods of a StatefulSet do.
fn member(rig: &Rig, number: usize) -> Worker {
    let mut command = rig.command();
    command.env("HOSTNAME", format!("mill-{number}"));
    Worker::start(command)
}

/// The partitions of a worker, by the series of its lag, which it has for those that are its own.
fn partitions(worker: &Worker, lane: &Lane) -> BTreeSet<String> {
    let (_, text) = worker.page("/metrics");
    let topic = format!("topic=\"{}\"", lane.requests);
    let lag = text.lines().filter(|line| line.starts_with("modelmill_consumer_lag_messages{") && line.contains(&topic));
    lag.map(|line| line.split("partition=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
}

/// Each worker's partitions, once every partition has one owner.
fn shared_out(workers: &[Worker], lane: &Lane) -> Vec<BTreeSet<String>> {
    wait_for("an owner of each partition", || {
        let shares: Vec<_> = workers.iter().map(|worker| partitions(worker, lane)).collect();
        let all: BTreeSet<_> = shares.iter().flatten().collect();
        let count: usize = shares.iter().map(BTreeSet::len).sum();
        (all.len() == PARTITIONS as usize && count == all.len()).then_some(shares)
    })
}

fn rebalances(workers: &[Worker]) -> Vec<usize> {
    workers.iter().map(|worker| worker.lines_with(REBALANCED).len()).collect()
}

/// Sends to every partition until it is told to stop; says how many.
fn load(lane: &Lane, sent: &AtomicUsize, stop: &AtomicBool) {
    for round in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let ask = |partition| {
            let id = format!("{round}-{partition}");
            Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]})).partition(partition)
        };
        lane.send(&(0..PARTITIONS).map(ask).collect::<Vec<_>>());
        sent.fetch_add(PARTITIONS as usize, Ordering::AcqRel);
        thread::sleep(PAUSE);
    }
}

/// Ends the load, also when the test fails: nobody would wait for its end otherwise.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn a_rolling_restart_moves_nothing(label: &str, properties: &Value) {
    let Some(rig) = Rig::new(label) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), PARTITIONS, |_| {});
    rig.server(|server| server["kafka"]["properties"] = properties.clone());
    let mut workers: Vec<_> = (0..WORKERS).map(|number| member(&rig, number)).collect();
    workers.iter().for_each(Worker::wait_until_ready);
    // The lag of a partition is known when something of it was done.
    let (sent, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sender = Lane::open(&rig.brokers, lane.requests.clone(), lane.results.clone(), lane.dead_letters.clone());
    let (sent_by, stopped) = (&sent, &stop);
    thread::scope(|scope| {
        let load = scope.spawn(move || load(&sender, sent_by, stopped));
        let end = End(stopped);
        let before = shared_out(&workers, &lane);
        assert!(before.iter().all(|share| share.len() == 2), "two for each of the four: {before:?}");
        let noticed = rebalances(&workers);
        for number in 0..WORKERS {
            workers[number].stop();
            workers[number] = member(&rig, number);
            workers[number].wait_until_ready();
            // It answers what waited for it.
            let goal = sent.load(Ordering::Acquire) + 2 * PARTITIONS as usize;
            wait_for("requests after the restart", || (sent.load(Ordering::Acquire) > goal).then_some(()));
            assert_eq!(shared_out(&workers, &lane), before, "after the restart of worker {number}");
            for (other, worker) in workers.iter().enumerate().filter(|(other, _)| *other > number) {
                let lines = worker.lines_with(REBALANCED).len();
                assert_eq!(lines, noticed[other], "worker {other} notices a restart of worker {number}");
            }
            assert_eq!(rebalances(&workers[..=number]), vec![1; number + 1], "each is given its partitions once");
        }
        drop(end);
        load.join().unwrap();
    });
    let answers = by_id(lane.receive(sent.load(Ordering::Acquire)));
    assert!(answers.values().all(|answer| answer.status() == "OK"));
    for worker in &mut workers {
        worker.stop();
    }
    lane.assert_nothing_more();
}

#[test]
fn a_rolling_restart_of_static_members_moves_no_partition() {
    a_rolling_restart_moves_nothing("static", &json!({"group.instance.id": "${HOSTNAME}"}));
}

#[test]
fn nor_does_it_by_the_protocol_of_kafka_4() {
    let properties = json!({"group.instance.id": "${HOSTNAME}", "group.protocol": "consumer"});
    a_rolling_restart_moves_nothing("static-4", &properties);
}

/// A lane with one worker of the name `mill-0` that is ready, of the protocol that `properties` say.
fn named(label: &str, properties: &Value) -> Option<(Rig, Lane, Worker)> {
    let rig = Rig::new(label)?;
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    rig.server(|server| server["kafka"]["properties"] = properties.clone());
    let first = member(&rig, 0);
    first.wait_until_ready();
    Some((rig, lane, first))
}

/// That it ended with exit code 1 and one line that says what to do.
fn assert_ended_by_its_name(worker: &mut Worker) {
    assert_eq!(worker.ended().code(), Some(1));
    let log = worker.log();
    let said: Vec<_> = log.iter().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(said.len(), 1, "{log:#?}");
    assert!(said[0].contains("each worker needs a group.instance.id of its own"), "{said:?}");
}

fn assert_answers(lane: &Lane) {
    let answers = lane.exchange(&[Ask::json(&json!({"id": "a", "instances": [[6.3, 3.4, 5.6, 2.4]]}))]);
    assert_eq!(answers["a"].status(), "OK");
}

#[test]
fn of_two_workers_of_one_name_the_later_one_goes_on() {
    let properties = json!({"group.instance.id": "${HOSTNAME}"});
    let Some((rig, lane, mut first)) = named("same-name", &properties) else { return };
    let mut second = member(&rig, 0);
    second.wait_until_ready();
    assert_ended_by_its_name(&mut first);
    assert_answers(&lane);
    second.stop();
}

#[test]
fn of_two_workers_of_one_name_the_earlier_one_goes_on_by_the_protocol_of_kafka_4() {
    let properties = json!({"group.instance.id": "${HOSTNAME}", "group.protocol": "consumer"});
    let Some((rig, lane, mut first)) = named("same-name-4", &properties) else { return };
    let mut second = member(&rig, 0);
    assert_ended_by_its_name(&mut second);
    assert_answers(&lane);
    // One that was killed has not given its name back before its session is over.
    first.signal(libc::SIGKILL);
    first.ended();
    assert_ended_by_its_name(&mut member(&rig, 0));
}
