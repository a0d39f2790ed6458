//! The chaos harness: workers, brokers and the way between them are broken by a seeded schedule while requests flow, and in the
//! end every request is accounted for.
//!
//! Guarantee: [`run`] says that the promise was kept only if every request that Kafka acknowledged to the client was read back
//! from its topic and has an answer that says what it must; and, in `exactly_once` mode, no second one. Everything that it
//! starts is gone when it returns; the logs stay if the promise was not kept.

mod account;
mod cluster;
mod commits;
mod director;
mod disk;
mod faults;
mod fleet;
mod ledger;
mod node;
pub mod options;
mod random;
mod reader;
mod report;
mod schedule;
mod sender;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde_json::{Value, json};
use tempfile::TempDir;

use account::Bounds;
use cluster::{Cluster, PATIENCE};
use commits::Commits;
use director::Director;
use disk::Disk;
use faults::Kind;
use fleet::{Fleet, SHUTDOWN};
use ledger::Double;
use options::{Delivery, Options, Rebalance};
use reader::{Reader, Topics};
use report::Outcome;
use sender::Sender;

use crate::support::{Worker, kafka};

/// How long the group waits for a silent member.
const SESSION: Duration = Duration::from_secs(4);

/// What a worker may have in flight: little, so that what a crash may double is little, too.
const IN_FLIGHT: usize = 400;

/// How long a worker may have a request in hand, in milliseconds: who took it before it was committed may answer it so much later.
const IN_HAND: u32 = 10_000;

/// The consumer group.
const GROUP: &str = "chaos.workers";

/// Without any answer for so long, what is not answered yet counts as lost.
const SILENCE: Duration = Duration::from_secs(60);

/// Longer than any run.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The model that says what it was told.
const MODEL: &str = "tests/data/fixtures/spin/1";

/// Runs once, prints the table, and says whether the promise was kept.
pub fn run(options: &Options) -> bool {
    let mut folder = Folder::new();
    let seed = options.seed();
    let (mut director, mut sender, mut reader) = start(options, &folder.path(), seed);
    let schedule = schedule::plan(seed, options.faults, &kinds(options, &director), options.pace(), SESSION);
    director.run(&schedule);
    finish_sending(&mut director, &mut sender, &reader, options);
    let took = director.began.elapsed();
    let passed_over = passed_over(&director, &reader);
    see_newest_version(&mut director);
    director.fleet.stop();
    director.problems.extend(reader.finish().err());
    let commits = committed(&mut director, options);
    let ledger = reader.ledger();
    let bounds = Bounds { workers: options.workers + 1, in_flight: IN_FLIGHT, rate: options.rate() };
    let mut problems = std::mem::take(&mut director.problems);
    problems.append(&mut director.fleet.problems);
    problems.extend(disagreements(&ledger, &sender));
    let is_committed = |double: &Double| {
        let place = ledger.place(double.number);
        let since = double.again.saturating_sub(IN_HAND);
        place.is_none_or(|(partition, offset)| commits.cover(partition, offset, since))
    };
    let doubles = account::explain(&ledger.doubles, &director.applied, &bounds, is_committed);
    let outcome = Outcome {
        seed,
        took,
        sent: sender.progress.delivered(),
        lost: ledger.lost().values().map(Vec::len).sum(),
        passed_over,
        doubles,
        faults: std::mem::take(&mut director.applied),
        gave_up: std::mem::take(&mut director.fleet.gave_up),
        problems,
    };
    let table = outcome.table(options, &ledger);
    println!("{table}");
    fs::write(folder.path().join("run.txt"), table + &outcome.timeline()).expect("the folder of the run is ours");
    let kept = outcome.is_kept(options.delivery, &ledger);
    if !kept || options.keep {
        folder.keep();
    }
    kept
}

/// Brokers, topics, models and workers, and a client at the other end that has begun to send.
fn start(options: &Options, folder: &Path, seed: u64) -> (Director, Sender, Reader) {
    let cluster = Cluster::start(options.nodes, folder, SESSION);
    let brokers = cluster.brokers();
    let partitions = options.partitions;
    let topics = Topics { requests: "chaos.requests".to_owned(), results: "chaos.results".to_owned(), partitions };
    let replicas = i32::try_from(options.nodes).expect("one or three");
    // By default a broker refuses what is said to come from the future.
    let any_time = [("message.timestamp.after.max.ms", "9223372036854775807")];
    for topic in [&topics.requests, &topics.results] {
        kafka::create_replicated_topic(&brokers, topic, (partitions, replicas), &any_time);
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL);
    let wants_disk = options.only.is_empty() || options.only.contains(&Kind::FullDisk);
    let disk = if wants_disk { Disk::new(folder, &model) } else { None };
    let models = disk.as_ref().map_or_else(|| local_models(folder, &model), Disk::models);
    configure(options, folder, &cluster, &topics, &models);
    let fleet = Fleet::start(&options.program, folder, options.workers);
    fleet.workers().for_each(Worker::wait_until_ready);
    let sender = Sender::start(&brokers, &topics.requests, partitions, options.rate(), seed);
    let progress = sender.progress.clone();
    let director = Director::new(cluster, fleet, disk, topics.clone(), GROUP.to_owned(), progress);
    let reader = Reader::start(&brokers, topics, director.began);
    (director, sender, reader)
}

/// A repository in a folder, for where there is no bucket.
fn local_models(folder: &Path, model: &Path) -> Value {
    let version = folder.join("models/spin/1");
    fs::create_dir_all(&version).expect("the folder of the run is new");
    fs::copy(model.join("model.onnx"), version.join("model.onnx")).expect("the model is in the tree");
    json!({"repository": folder.join("models")})
}

/// Writes the pipeline, and a server file for each worker.
fn configure(options: &Options, folder: &Path, cluster: &Cluster, topics: &Topics, models: &Value) {
    let pipeline = json!({
        "name": "spin",
        "input": {"topics": [topics.requests]},
        "output": {"topic": topics.results},
        "steps": [{"predict": {"model": "spin"}}],
        // Longer than any outage here; what is older was dated back.
        "timeout": "1h",
    });
    fs::create_dir(folder.join("pipelines")).expect("the folder of the run is new");
    fs::write(folder.join("pipelines/spin.yaml"), pipeline.to_string()).expect("the folder of the run is ours");
    for worker in 0..=options.workers {
        let properties = group_properties(options, worker);
        let brokers = cluster.brokers_for_workers();
        let server = json!({
            "kafka": {"brokers": brokers, "group": GROUP, "properties": properties},
            "delivery": options.delivery.name(),
            "models": models,
            "limits": {"in_flight_messages": IN_FLIGHT, "chunk_messages": 100},
            "admin": {"listen": "127.0.0.1:0"},
            "crash_journal": {"directory": folder.join("journal")},
            "shutdown_timeout": format!("{}s", SHUTDOWN.as_secs()),
        });
        fs::write(Fleet::server_file(folder, worker), server.to_string()).expect("the folder of the run is ours");
    }
}

fn group_properties(options: &Options, worker: usize) -> Value {
    let mut properties =
        json!({"session.timeout.ms": SESSION.as_millis().to_string(), "heartbeat.interval.ms": "1000"});
    match options.rebalance {
        Rebalance::Cooperative => {}
        Rebalance::Eager => properties["partition.assignment.strategy"] = json!("range"),
        Rebalance::Static => properties["group.instance.id"] = json!(format!("worker-{worker}")),
        // The times are the broker's to say.
        Rebalance::Consumer => properties = json!({"group.protocol": "consumer"}),
    }
    for (name, value) in &options.properties {
        properties[name.as_str()] = json!(value);
    }
    properties
}

/// The kinds that are asked for, without those that cannot be here.
fn kinds(options: &Options, director: &Director) -> Vec<Kind> {
    let asked = if options.only.is_empty() { Kind::value_variants() } else { &options.only };
    let possible =
        |kind: &&Kind| kind.is_possible_with(options.nodes) && (director.disk.is_some() || **kind != Kind::FullDisk);
    asked.iter().filter(possible).copied().collect()
}

/// What the group committed; in transactions nothing is excused by it.
fn committed(director: &mut Director, options: &Options) -> Commits {
    if options.delivery == Delivery::ExactlyOnce {
        return Commits::default();
    }
    let brokers = director.cluster.brokers();
    Commits::read(&brokers, GROUP, &director.topics.requests, director.began).unwrap_or_else(|why| {
        director.problems.push(why);
        Commits::default()
    })
}

/// Waits until all requests are sent, and then until they are answered, or nothing comes any more.
fn finish_sending(director: &mut Director, sender: &mut Sender, reader: &Reader, options: &Options) {
    let planned = Duration::from_secs_f64(options.requests as f64 / options.rate());
    director.wait_while(PATIENCE + planned, |director| director.progress.sent() < options.requests);
    sender.finish();
    let (mut before, mut since) = (0, Instant::now());
    director.wait_while(DAY, |director| {
        let answered = reader.ledger().answered_at_all();
        if answered > before {
            (before, since) = (answered, Instant::now());
        }
        answered < director.progress.delivered() && since.elapsed() < SILENCE && !reader.has_failed()
    });
}

/// How many of the requests without an answer lie before what the group has committed: nobody will answer them any more.
fn passed_over(director: &Director, reader: &Reader) -> usize {
    let lost = reader.ledger().lost();
    if lost.is_empty() {
        return 0;
    }
    let committed = kafka::committed_and_end(&director.cluster.brokers(), GROUP, &director.topics.requests);
    for (partition, offsets) in &lost {
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        let place = committed.get(partition);
        println!(
            "lost on partition {partition}: {} from {first} to {last}; committed and end: {place:?}",
            offsets.len()
        );
    }
    let is_passed = |partition: i32, offset: i64| {
        committed.get(&partition).is_some_and(|(committed, _)| committed.is_some_and(|committed| offset < committed))
    };
    let places = lost.iter().flat_map(|(partition, offsets)| offsets.iter().map(|offset| (*partition, *offset)));
    places.filter(|(partition, offset)| is_passed(*partition, *offset)).count()
}

/// After all faults every worker comes to serve the newest version.
fn see_newest_version(director: &mut Director) {
    let is_behind = |director: &mut Director| {
        let Some(disk) = &director.disk else { return false };
        director.fleet.workers().any(|worker| !disk.is_served_by(worker))
    };
    if !director.wait_while(PATIENCE, is_behind) {
        let version = director.disk.as_ref().map_or(0, Disk::version);
        director.problems.push(format!("not every worker came to serve version {version} within {PATIENCE:?}"));
    }
}

/// What the client was told, and what stands in the topics.
fn disagreements(ledger: &ledger::Ledger, sender: &Sender) -> Vec<String> {
    let progress = &sender.progress;
    let counts = BTreeMap::from([
        ("requests that Kafka refused", progress.refused().len()),
        ("requests without a word of Kafka", progress.sent().saturating_sub(progress.delivered())),
        ("requests that Kafka took and does not have", progress.delivered().saturating_sub(ledger.stand_in_topic())),
        ("requests that stand in their topic twice", ledger.sent_again()),
        ("answers to requests that stand nowhere", ledger.unasked()),
    ]);
    counts.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what}: {count}")).collect()
}

/// The folder of a run: configuration, logs, the brokers' data.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("modelmill-chaos.").tempdir();
        Self(folder.expect("there is a place for temporary files"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn keep(&mut self) {
        self.0.disable_cleanup(true);
        println!("the logs of workers and brokers are in {}", self.0.path().display());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            self.keep();
        }
    }
}
