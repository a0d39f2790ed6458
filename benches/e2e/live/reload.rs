//! Hot reload: a model of 100 MB is replaced again and again while requests flow.
//!
//! One run has three parts: a half without uploads, the uploads, another half without. Latencies with uploads are held
//! against those without of the same run, before and after, so that a drift of the machine meets both alike. The versions lie
//! ready before: to upload one is to rename its file, which takes no time from anybody.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Lane, Latencies, Live, Setup,
    big::BigAsks,
    flow::{self, Pace, Seen},
    uploads::{self, Repository, Staged},
};
use crate::{Options, cluster::Cluster, report::tag};

const MODEL: &str = "table";

/// Requests under way when it is found out what the worker can do, and for how long.
const WINDOW: usize = 20_000;
const ALL_OUT: Duration = Duration::from_secs(8);

/// Requests at the start that are not counted: connections and caches.
const WARM_UP: Duration = Duration::from_secs(5);

/// When there are uploads, after the start.
#[derive(Clone, Copy)]
struct Plan {
    /// How long there are none before, and then again.
    half: Duration,
    /// How long there are.
    uploads: Duration,
}

impl Plan {
    fn begin(self) -> Duration {
        WARM_UP + self.half
    }

    fn end(self) -> Duration {
        self.begin() + self.uploads + self.half
    }

    /// Whether a request that is due then meets uploads; `None` in the warm-up.
    fn is_with(self, since: Duration) -> Option<bool> {
        (since >= WARM_UP).then(|| (self.begin()..self.begin() + self.uploads).contains(&since))
    }
}

/// Measures and prints.
///
/// # Panics
/// If a request was lost, failed or was answered wrongly, or a version never answered.
pub fn report(cluster: &Cluster, options: &Options) {
    let reloads = options.reloads.unwrap_or(20);
    let uploads = Duration::from_secs_f64(options.seconds.unwrap_or(60.0));
    let repository = Repository::new();
    repository.put(MODEL, 1, uploads::big(1));
    let stage = |version| repository.stage(MODEL, version, uploads::big(version));
    let staged: Vec<_> = (2..reloads + 2).map(stage).collect();
    let lane = Lane::new(cluster, tag("reload"));
    let setup = Setup {
        repository: repository.root().display().to_string(),
        models: "poll_interval: 1s".to_owned(),
        predict: format!("{{model: {MODEL}}}"),
    };
    let most = most(cluster, &setup);
    let rate = options.rates.first().copied().unwrap_or(most * 0.6);
    let live = Live::start(&lane, &setup, |_| {});
    let plan = Plan { half: uploads / 2, uploads };
    let (mut without, mut with, mut versions) = (Latencies::new(), Latencies::new(), vec![false; staged.len() + 2]);
    let note = |seen: Seen| {
        versions[seen.version as usize] = true;
        match plan.is_with(seen.since) {
            Some(true) => with.add(seen.latency),
            Some(false) => without.add(seen.latency),
            None => {}
        }
    };
    let script = |start| replace(&repository, &staged, plan, start);
    let (tally, ()) = flow::run(&lane, &BigAsks, Pace::Rate(rate), note, script);
    println!("a worker beside broker and client on this machine answers {most:.0} requests/s");
    let (seconds, percent) = (uploads.as_secs_f64(), rate / most * 100.0);
    println!("a model of 100 MB, replaced {reloads} times in {seconds:.0} s, at {rate:.0} requests/s ({percent:.0} %)");
    println!("{:<10} {:>10} {:>9} {:>9} {:>9}", "reloads", "answers", "p50 ms", "p99 ms", "p99.9 ms");
    println!("{:<10} {:>10} {without}", "without", without.count());
    println!("{:<10} {:>10} {with}", "with", with.count());
    println!(
        "p99 with / without {:.2}; lost {}, failed {}, wrong {}; {} of {} versions answered; {:.0} MiB resident at the most",
        with.millis(0.99) / without.millis(0.99),
        tally.lost(),
        tally.failed,
        tally.wrong,
        versions.iter().skip(1).filter(|answered| **answered).count(),
        reloads + 1,
        live.running.peak_mib()
    );
    tally.must_be_clean();
    assert!(versions.iter().skip(1).all(|answered| *answered), "every version must have been in service");
}

/// Uploads one version after another while the plan says so.
fn replace(repository: &Repository, staged: &[Staged], plan: Plan, start: Instant) {
    let until = |time: Instant| sleep(time.saturating_duration_since(Instant::now()));
    let every = plan.uploads / staged.len() as u32;
    for (index, staged) in (0..).zip(staged) {
        until(start + plan.begin() + every * index);
        repository.upload(MODEL, u64::from(index) + 2, staged);
    }
    until(start + plan.end());
}

/// Requests a second that a worker answers beside the broker and a client that checks every answer. It also warms up the
/// broker's virtual machine, which falls seconds behind at first.
fn most(cluster: &Cluster, setup: &Setup) -> f64 {
    let lane = Lane::new(cluster, tag("most"));
    let _live = Live::start(&lane, setup, |_| {});
    let (tally, ()) = flow::run(&lane, &BigAsks, Pace::Window(WINDOW), drop, |_| sleep(ALL_OUT));
    tally.must_be_clean();
    tally.right as f64 / ALL_OUT.as_secs_f64()
}
