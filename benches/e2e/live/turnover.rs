//! Versions follow one another for long: what memory they leave behind, and how soon each is in service.
//!
//! The next version is uploaded when the one before answers. In service is a version with its first answer; its own load time
//! is what the worker says of it.

use std::{
    sync::mpsc::{self, Receiver},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    IrisAsks, Lane, Live, Setup,
    big::BigAsks,
    flow::{self, Asks, Pace, Seen, Tally},
    log::Log,
    uploads::{self, Repository},
};
use crate::{
    Options,
    cluster::{Cluster, PATIENCE},
    cost::spread,
    report::tag,
};

const MODEL: &str = "changing";

/// The worker looks for new versions so often.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Reloads after which memory is looked at for the first time.
const EARLY: u64 = 10;

/// What is replaced.
struct Kind {
    title: &'static str,
    reloads: u64,
    put: fn(&Repository, u64) -> Instant,
}

/// What came of it.
struct Turnover {
    early_mib: f64,
    late_mib: f64,
    /// Seconds from a complete upload to the first answer, of each version.
    in_service: Vec<f64>,
    /// Seconds of its load.
    loading: Vec<f64>,
}

/// Measures and prints.
///
/// # Panics
/// If a request was lost, failed or was answered wrongly, or a version did not come into service.
pub fn report(cluster: &Cluster, options: &Options) {
    let rate = options.rates.first().copied().unwrap_or(500.0);
    println!("versions that follow one another at {rate:.0} requests/s, poll_interval {POLL_INTERVAL:?}");
    println!(
        "{:<8} {:>7} {:>9} {:>5} {:>7} {:>23} {:>8} {:>22} {:>22} {:>9}",
        "model",
        "reloads",
        "answers",
        "lost",
        "failed",
        "MiB after 10, after all",
        "ratio",
        "in service s (median, most)",
        "load s (median, most)",
        "beyond s"
    );
    let small = Kind {
        title: "iris",
        reloads: options.reloads.unwrap_or(1000),
        put: |repository, version| repository.put(MODEL, version, uploads::iris),
    };
    let big = Kind {
        title: "100 MB",
        reloads: options.reloads.map_or(50, |reloads| reloads.div_ceil(20).max(EARLY + 1)),
        put: |repository, version| repository.put(MODEL, version, uploads::big(version)),
    };
    row(cluster, &small, &IrisAsks::new(), rate);
    row(cluster, &big, &BigAsks, rate);
}

fn row(cluster: &Cluster, kind: &Kind, asks: &impl Asks, rate: f64) {
    let (tally, turnover) = run(cluster, kind, asks, rate);
    let Turnover { early_mib, late_mib, in_service, loading } = turnover;
    let beyond = in_service.iter().zip(&loading).map(|(in_service, loading)| in_service - loading);
    let beyond = beyond.fold(0.0, f64::max) - POLL_INTERVAL.as_secs_f64();
    let (in_service, loading) = (spread(in_service), spread(loading));
    println!(
        "{:<8} {:>7} {:>9} {:>5} {:>7} {:>23} {:>8.3} {:>27} {:>22} {beyond:>9.3}",
        kind.title,
        kind.reloads,
        tally.right,
        tally.lost(),
        tally.failed,
        format!("{early_mib:.0}, {late_mib:.0}"),
        late_mib / early_mib,
        format!("{:.3}, {:.3}", in_service.median, in_service.most),
        format!("{:.3}, {:.3}", loading.median, loading.most),
    );
    tally.must_be_clean();
}

fn run(cluster: &Cluster, kind: &Kind, asks: &impl Asks, rate: f64) -> (Tally, Turnover) {
    let repository = Repository::new();
    (kind.put)(&repository, 1);
    let lane = Lane::new(cluster, tag("turnover"));
    let setup = Setup {
        repository: repository.root().display().to_string(),
        models: format!("poll_interval: {}ms", POLL_INTERVAL.as_millis()),
        predict: format!("{{model: {MODEL}}}"),
    };
    let log = Log::new();
    let live = Live::start(&lane, &setup, |command| log.catch(command));
    let (sender, first_answers) = mpsc::channel();
    let mut newest = 0;
    let note = move |seen: Seen| {
        if seen.version > newest {
            newest = seen.version;
            // Nobody listens any more once the last version has answered.
            let _ = sender.send((newest, Instant::now()));
        }
    };
    let script = |_| replace(&repository, kind, &live, &first_answers);
    let (tally, mut turnover) = flow::run(&lane, asks, Pace::Rate(rate), note, script);
    turnover.loading =
        log.loads().into_iter().filter(|(version, _)| *version > 1).map(|(_, seconds)| seconds).collect();
    assert_eq!(turnover.loading.len(), turnover.in_service.len(), "every version was loaded once");
    (tally, turnover)
}

/// Uploads one version after another, each when the one before is in service.
fn replace(repository: &Repository, kind: &Kind, live: &Live, first_answers: &Receiver<(u64, Instant)>) -> Turnover {
    let mut turnover = Turnover { early_mib: 0.0, late_mib: 0.0, in_service: Vec::new(), loading: Vec::new() };
    wait_for(first_answers, 1);
    for version in 2..kind.reloads + 2 {
        let complete = (kind.put)(repository, version);
        let answered = wait_for(first_answers, version);
        turnover.in_service.push(answered.saturating_duration_since(complete).as_secs_f64());
        // Two stay, as in a repository that somebody looks after.
        repository.delete(MODEL, version - 2);
        if version == EARLY + 1 {
            turnover.early_mib = settled_mib(live);
        }
    }
    turnover.late_mib = settled_mib(live);
    turnover
}

/// Memory once the last version has left it.
fn settled_mib(live: &Live) -> f64 {
    sleep(Duration::from_secs(1));
    live.settled_mib()
}

/// When `version` answered first.
fn wait_for(first_answers: &Receiver<(u64, Instant)>, version: u64) -> Instant {
    loop {
        let (found, answered) = first_answers
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("version {version} is not in service after {PATIENCE:?}: {error}"));
        if found >= version {
            return answered;
        }
    }
}
