//! Models that come and go while requests flow: what of it the requests notice, and what it leaves in memory.
//!
//! Each measure has topics, a repository and a worker of its own. Every answer is held against the one that the version which
//! it names must give; a measure in which a request was lost, failed or was answered wrongly ends with that.

use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    check::Answer,
    cluster::{Cluster, PATIENCE},
    contestant::Running,
    workload::{Work, Workload},
};
use flow::{Ask, Asks};

pub mod registered;
pub mod reload;
pub mod restart;
pub mod rolling;
pub mod turnover;

mod big;
mod flow;
mod front;
mod log;
mod states;
mod uploads;

/// The topics of one worker, gone with this.
struct Lane<'a> {
    cluster: &'a Cluster,
    tag: String,
    requests: String,
    results: String,
}

impl<'a> Lane<'a> {
    fn new(cluster: &'a Cluster, tag: String) -> Self {
        let (requests, results) = (format!("{tag}-requests"), format!("{tag}-results"));
        cluster.create(&requests);
        cluster.create(&results);
        Self { cluster, tag, requests, results }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.cluster.delete(&self.requests);
        self.cluster.delete(&self.results);
    }
}

/// How a worker is set up.
struct Setup {
    repository: String,
    /// What else the map `models:` of `server.yaml` says.
    models: String,
    /// The map of the step `predict`.
    predict: String,
}

/// A worker whose admin endpoint is known.
struct Live {
    running: Running,
    admin: SocketAddr,
}

impl Live {
    /// Starts one and waits until it is ready.
    fn start(lane: &Lane<'_>, setup: &Setup, change: impl FnOnce(&mut Command)) -> Self {
        Self::start_as(lane, setup, "", change)
    }

    /// The same with more lines of the map `kafka:` of `server.yaml`.
    fn start_as(lane: &Lane<'_>, setup: &Setup, kafka: &str, change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Taken again by the worker at once.
        let admin = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let (Setup { repository, models, predict }, Lane { cluster, tag, requests, results }) = (setup, lane);
        let server = format!(
            "kafka: {{brokers: \"{}\", group: {tag}, {kafka}}}\nmodels: {{repository: \"{repository}\", {models}}}\n\
             admin: {{listen: \"{admin}\"}}\ncrash_journal: {{directory: \"{}\"}}\n",
            cluster.brokers,
            folder.path().join("journal").display()
        );
        let pipeline = format!(
            "name: live\ninput: {{topics: [{requests}]}}\noutput: {{topic: {results}, headers: never}}\ntimeout: 1h\n\
             steps: [{{predict: {predict}}}]\n"
        );
        let (server_file, pipeline_file) = (folder.path().join("server.yaml"), folder.path().join("pipeline.yaml"));
        std::fs::write(&server_file, server).unwrap();
        std::fs::write(&pipeline_file, pipeline).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        command.arg("worker").arg("--server").arg(server_file).arg("--pipeline").arg(pipeline_file);
        command.env("MODELMILL_LOG", "error");
        change(&mut command);
        let live = Self { running: Running::start(command, folder), admin };
        let deadline = Instant::now() + PATIENCE;
        while live.page("/readyz").is_none() {
            assert!(Instant::now() < deadline, "the worker is not ready after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        live
    }

    /// A page of the admin endpoint; `None` unless its code is 200.
    fn page(&self, path: &str) -> Option<String> {
        ureq::get(format!("http://{}{path}", self.admin)).call().ok()?.body_mut().read_to_string().ok()
    }

    /// Resident memory in MiB: the median of two seconds.
    fn settled_mib(&self) -> f64 {
        let look = |_| {
            std::thread::sleep(Duration::from_millis(50));
            self.running.resident_mib()
        };
        super::cost::spread((0..40).map(look).collect()).median
    }
}

/// Requests of one row of iris, of a model that the pipeline names.
struct IrisAsks(Workload);

impl IrisAsks {
    fn new() -> Self {
        Self(Workload::new(Work::Iris))
    }
}

impl Asks for IrisAsks {
    fn ask(&self, index: usize) -> Ask {
        Ask { body: self.0.request(index).1, header: None }
    }

    fn is_right(&self, index: usize, answer: &Answer<'_>) -> bool {
        answer.is_right(self.0.expected(index))
    }
}

/// Latencies, to the microsecond.
struct Latencies(Histogram<u64>);

impl Latencies {
    fn new() -> Self {
        Self(Histogram::new(3).expect("three digits are possible"))
    }

    fn add(&mut self, latency: Duration) {
        self.0.record(latency.as_micros() as u64).expect("the histogram grows");
    }

    fn count(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds that a part of them took at the most.
    fn millis(&self, part: f64) -> f64 {
        self.0.value_at_quantile(part) as f64 / 1000.0
    }
}

/// Milliseconds that half, 99 % and 99.9 % took at the most, as columns of a table.
impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9.2} {:>9.2} {:>9.2}", self.millis(0.5), self.millis(0.99), self.millis(0.999))
    }
}
