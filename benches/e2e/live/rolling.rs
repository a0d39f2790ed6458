//! A rolling restart of four workers under load: for how long there are no answers, with and without static membership.
//!
//! Requests come at a steady rate to every partition. One worker after another is asked to stop, ends, and is started again;
//! the next one's turn comes when it is ready and a moment has passed. Two gaps are looked at: the longest time without an
//! answer to any request of one partition, and without any answer at all.

use std::time::{Duration, Instant};

use super::{
    IrisAsks, Lane, Latencies, Live, Setup,
    flow::{self, Pace, Seen},
};
use crate::{
    Options,
    cluster::Cluster,
    cost::{Spread, spread},
    report::tag,
    workload::{Work, Workload},
};

const WORKERS: usize = 4;

/// Requests a second, if nothing else is said: few enough that a busy machine answers them at once, and every 40 ms one to each
/// of eight partitions.
const RATE: f64 = 200.0;

/// After the start, before the first restart, between two, and after the last one: longer than a group by the default protocol takes to
/// hear of a rebalance, which is `heartbeat.interval.ms` (3 s).
const MOMENT: Duration = Duration::from_secs(4);

/// A way of being a member: its name and its lines of `kafka.properties`, `#` standing for the worker's number.
const WAYS: [(&str, &str); 4] = [
    ("dynamic", ""),
    ("static", "group.instance.id: mill-#"),
    ("dynamic, consumer protocol", "group.protocol: consumer"),
    ("static, consumer protocol", "group.protocol: consumer, group.instance.id: mill-#"),
];

/// What one rolling restart was like.
struct Rolled {
    /// The longest time without an answer to a request of some partition, in seconds.
    partition: f64,
    /// And without any answer.
    all: f64,
    /// 99 % of the answers came within so many milliseconds.
    p99: f64,
    /// From SIGTERM to ready again, the longest of the four, in seconds.
    restart: f64,
    doubled: usize,
}

/// Measures and prints.
///
/// # Panics
/// If a request was lost, failed or was answered wrongly.
pub fn report(cluster: &Cluster, options: &Options) {
    let rate = options.rates.first().copied().unwrap_or(RATE);
    println!(
        "rolling restart of {WORKERS} workers at {rate} requests/s over {} partitions; medians of {} runs in turn (least to most)",
        cluster.partitions, options.runs
    );
    let rounds: Vec<Vec<Rolled>> =
        (0..options.runs).map(|_| WAYS.iter().map(|way| roll(cluster, way.1, rate)).collect()).collect();
    println!(
        "{:<28} {:>26} {:>26} {:>9} {:>10} {:>8}",
        "members", "gap of a partition, s", "gap of all, s", "p99 ms", "restart s", "doubled"
    );
    for (at, (name, _)) in WAYS.iter().enumerate() {
        let of = |figure: fn(&Rolled) -> f64| spread(rounds.iter().map(|round| figure(&round[at])).collect());
        let doubled: usize = rounds.iter().map(|round| round[at].doubled).sum();
        println!(
            "{name:<28} {:>26} {:>26} {:>9.0} {:>10.2} {doubled:>8}",
            text(&of(|rolled| rolled.partition)),
            text(&of(|rolled| rolled.all)),
            of(|rolled| rolled.p99).median,
            of(|rolled| rolled.restart).median,
        );
    }
    for (dynamic, is_static) in [(0, 1), (2, 3)] {
        let ratio = |round: &Vec<Rolled>| round[is_static].partition / round[dynamic].partition;
        let ratio = spread(rounds.iter().map(ratio).collect());
        println!("longest gap of a partition, {} : {} = {} ×", WAYS[is_static].0, WAYS[dynamic].0, text(&ratio));
    }
}

fn text(spread: &Spread) -> String {
    format!("{:.2} ({:.2} to {:.2})", spread.median, spread.least, spread.most)
}

fn roll(cluster: &Cluster, properties: &str, rate: f64) -> Rolled {
    let lane = Lane::new(cluster, tag("rolling"));
    let model = Workload::new(Work::Iris).model;
    let repository = model.parent().and_then(std::path::Path::parent);
    let setup = Setup {
        repository: repository.expect("a repository holds the model").display().to_string(),
        models: String::new(),
        predict: "{model: iris}".to_owned(),
    };
    let start = |number: usize| {
        let properties = properties.replace('#', &number.to_string());
        Live::start_as(&lane, &setup, &format!("properties: {{{properties}}}"), |_| {})
    };
    let mut workers: Vec<_> = (0..WORKERS).map(start).collect();
    let partitions = usize::try_from(cluster.partitions).expect("a number of partitions");
    let mut gaps = Gaps::new(partitions);
    let mut latencies = Latencies::new();
    let seen = |seen: Seen| {
        // Until then the group is still sharing out its partitions among workers that have just come.
        if seen.since >= MOMENT {
            gaps.answered(seen.index % partitions, Instant::now());
            latencies.add(seen.latency);
        }
    };
    let (tally, restart) = flow::run(&lane, &IrisAsks::new(), Pace::Rate(rate), seen, |_| {
        std::thread::sleep(2 * MOMENT);
        let mut longest = Duration::ZERO;
        for (number, worker) in workers.iter_mut().enumerate() {
            let asked = Instant::now();
            worker.running.stop();
            *worker = start(number);
            longest = longest.max(asked.elapsed());
            std::thread::sleep(MOMENT);
        }
        longest
    });
    assert_eq!((tally.lost(), tally.wrong, tally.failed), (0, 0, 0), "lost, wrong, failed: {:?}", tally.complaint);
    Rolled {
        partition: gaps.longest_of_one.as_secs_f64(),
        all: gaps.longest_of_all.as_secs_f64(),
        p99: latencies.millis(0.99),
        restart: restart.as_secs_f64(),
        doubled: tally.doubled,
    }
}

/// Times between answers.
struct Gaps {
    last: Vec<Option<Instant>>,
    longest_of_one: Duration,
    longest_of_all: Duration,
}

impl Gaps {
    fn new(partitions: usize) -> Self {
        Self { last: vec![None; partitions], longest_of_one: Duration::ZERO, longest_of_all: Duration::ZERO }
    }

    fn answered(&mut self, partition: usize, now: Instant) {
        if let Some(last) = self.last[partition] {
            self.longest_of_one = self.longest_of_one.max(now - last);
        }
        if let Some(last) = self.last.iter().flatten().max() {
            self.longest_of_all = self.longest_of_all.max(now - *last);
        }
        self.last[partition] = Some(now);
    }
}
