//! What a request costs from topic to topic, beside a floor and beside rivals.
//!
//! Contestants are processes. They answer the same requests in topics of a broker that does nothing else, and every answer is
//! read and held against what the model says. Ratios are those of neighbouring runs, their median and their ends; CPU time
//! is the process's own, user and system, from the kernel.
//!
//! Needs a Kafka at `MODELMILL_TEST_KAFKA` and `ORT_DYLIB_PATH`; `make bench` sees to both. The same program in the modes
//! `floor` and `echo` is two of the contestants.

use std::path::Path;

use clap::{Parser, ValueEnum};

use cluster::Cluster;
use contestant::Contestant;
use workload::Work;

mod check;
mod cluster;
mod contestant;
mod cost;
mod echo;
mod floor;
mod live;
mod pace;
mod quiet;
mod report;
#[path = "../../tests/support/s3.rs"]
mod s3;
mod scale;
mod workload;

/// Measure what a request costs.
#[derive(Parser)]
#[command(name = "make bench ARGS=…")]
pub struct Options {
    /// What to measure.
    #[arg(value_enum, default_values = ["cost"])]
    measures: Vec<Measure>,
    /// The kinds of work; all, if left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    work: Vec<Work>,
    /// Whom to run in turn with the worker.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "floor")]
    against: Vec<Contestant>,
    /// Pairs of neighbouring runs.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 8)]
    partitions: i32,
    /// So many times the usual number of requests.
    #[arg(long, default_value_t = 1.0)]
    times: f64,
    /// Seconds of each run at a rate; 10, and 60 of `reload` and `registered`, if left out.
    #[arg(long)]
    seconds: Option<f64>,
    /// How often a model is replaced; 20 times for `reload`, 1,000 and 50 times for `turnover`, if left out.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    reloads: Option<u64>,
    /// Requests a second. If left out: 3,000 and 30 % and 60 % of what a worker can do for `pace`, 60 % of it for `reload`, 500
    /// for `turnover`, 50 for `registered`, 200 for `rolling`.
    #[arg(long, value_delimiter = ',')]
    rates: Vec<f64>,
    /// Lines of the map `kafka:` in `server.yaml` of the worker, for `pace`; each is a row of its own.
    #[arg(long, default_value = "")]
    kafka: Vec<String>,
    // What cargo hands to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// CPU time a request with a backlog, throughput, memory, start.
    Cost,
    /// The same at 1, 2 and 4 workers of one group.
    Scale,
    /// Latency and CPU time at a rate.
    Pace,
    /// A worker that has nothing to do.
    Idle,
    /// 200 pipelines, 10 of them busy, beside one pipeline with the same load.
    Pipelines,
    /// A model of 100 MB that is replaced while requests flow: what they notice.
    Reload,
    /// Versions that follow one another for long: the memory that they leave behind, and how soon each is in service.
    Turnover,
    /// 1,000 models of which 20 fit in memory.
    Registered,
    /// The start of a worker with a model in a bucket, without and with what it has cached.
    Restart,
    /// Four workers of one group restarted one after another: how long nobody answers, with and without static membership.
    Rolling,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["echo", brokers, group, requests, results, ..] => echo::run(brokers, group, requests, results),
        ["floor", brokers, group, requests, results, model, rows, rest @ ..] => {
            let (rows, with_headers) = (rows.parse().expect("a number of rows"), rest == ["--headers"]);
            floor::run(brokers, group, requests, results, floor::Task { folder: Path::new(model), rows, with_headers });
        }
        _ => measure(Options::parse()),
    }
}

fn measure(options: Options) {
    let Ok(brokers) = std::env::var("MODELMILL_TEST_KAFKA") else {
        println!("skipped: MODELMILL_TEST_KAFKA names no broker; `make bench` starts one");
        return;
    };
    let cluster = Cluster { brokers, partitions: options.partitions };
    for measure in &options.measures {
        match measure {
            Measure::Cost => report::cost(&cluster, &options),
            Measure::Scale => report::scale(&cluster, &options),
            Measure::Pace => report::pace(&cluster, &options),
            Measure::Idle => report::idle(&cluster, &options),
            Measure::Pipelines => report::pipelines(&cluster, &options),
            Measure::Reload => live::reload::report(&cluster, &options),
            Measure::Turnover => live::turnover::report(&cluster, &options),
            Measure::Registered => live::registered::report(&cluster, &options),
            Measure::Restart => live::restart::report(&cluster, &options),
            Measure::Rolling => live::rolling::report(&cluster, &options),
        }
    }
}
