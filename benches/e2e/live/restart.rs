//! A restart with a warm cache: a model of 100 MB on a real S3 server, served by a worker whose disk cache is empty, and by the
//! next one, which finds it there.

use std::{path::Path, time::Instant};

use super::{
    Lane, Live, Setup,
    big::{self, BigAsks},
    flow::{self, Pace, Seen},
    front::Front,
};
use crate::{Options, cluster::Cluster, cost::spread, report::tag, s3::S3Server};

const MODEL: &str = "table";

/// Requests a second, for a second, that the worker must answer rightly.
const RATE: f64 = 200.0;

/// One start of a worker.
struct Start {
    /// From the start of the process to ready.
    seconds: f64,
    requests: u64,
    downloads: u64,
    mib: f64,
}

/// Measures and prints.
///
/// # Panics
/// If the second start downloads anything, or an answer is missing or wrong.
pub fn report(cluster: &Cluster, options: &Options) {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let folder = server.bucket_folder("models").join(MODEL).join("1");
    std::fs::create_dir_all(&folder).unwrap();
    big::write(&folder.join("model.onnx"), 1).expect("there is room for 100 MB");
    manifest(&folder);
    let front = Front::open(&server.address());
    let pairs: Vec<_> = (0..options.runs).map(|_| pair(cluster, &server, &front)).collect();
    println!("start of a worker with a model of 100 MB in a bucket; medians of {} runs in turn", options.runs);
    println!(
        "{:<6} {:>8} {:>18} {:>18} {:>14}",
        "cache", "ready s", "requests to store", "of them downloads", "MiB received"
    );
    for (name, of) in [("cold", (|pair| &pair.0) as fn(&(Start, Start)) -> &Start), ("warm", |pair| &pair.1)] {
        let median = |figure: fn(&Start) -> f64| spread(pairs.iter().map(|pair| figure(of(pair))).collect()).median;
        println!(
            "{name:<6} {:>8.2} {:>18} {:>18} {:>14.3}",
            median(|start| start.seconds),
            median(|start| start.requests as f64),
            median(|start| start.downloads as f64),
            median(|start| start.mib)
        );
    }
    assert!(pairs.iter().all(|(cold, warm)| cold.downloads > 0 && warm.downloads == 0), "a restart downloads nothing");
}

/// The folder's `manifest.json`, as `modelmill manifest` writes it.
fn manifest(folder: &Path) {
    let done =
        std::process::Command::new(env!("CARGO_BIN_EXE_modelmill")).arg("manifest").arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A start with an empty cache, and another with what the first has left there.
fn pair(cluster: &Cluster, server: &S3Server, front: &Front) -> (Start, Start) {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let setup = Setup {
        repository: "s3://models".to_owned(),
        models: format!("cache: {{directory: \"{}\"}}", cache.path().display()),
        predict: format!("{{model: {MODEL}}}"),
    };
    (start(cluster, server, front, &setup), start(cluster, server, front, &setup))
}

fn start(cluster: &Cluster, server: &S3Server, front: &Front, setup: &Setup) -> Start {
    let lane = Lane::new(cluster, tag("restart"));
    front.passed();
    let started = Instant::now();
    let live = Live::start(&lane, setup, |command| {
        server.environment(command);
        command.env("AWS_ENDPOINT_URL", format!("http://{}", front.address));
    });
    let seconds = started.elapsed().as_secs_f64();
    let (tally, ()) = flow::run(
        &lane,
        &BigAsks,
        Pace::Rate(RATE),
        |_: Seen| {},
        |start| {
            std::thread::sleep((start + std::time::Duration::from_secs(1)).saturating_duration_since(Instant::now()));
        },
    );
    tally.must_be_clean();
    drop(live);
    let passed = front.passed();
    Start {
        seconds,
        requests: passed.requests,
        downloads: passed.downloads,
        mib: passed.bytes as f64 / f64::from(1 << 20),
    }
}
