//! Several workers of one group over one backlog: what all of them together spend a request.
//!
//! The workers join while the topic is empty, are stopped (SIGSTOP) while it is filled, and go on together, so that each
//! finds the same backlog in its partitions whatever their number.

use std::time::Instant;

use super::{
    check,
    cluster::Cluster,
    contestant::{Contestant, Post, Running},
    workload::Workload,
};

/// What `workers` of a contestant spend together on `count` requests.
pub struct Shared {
    /// CPU-µs a request.
    pub cpu_micros: f64,
    pub per_second: f64,
}

/// Runs `workers` processes of one group over a backlog of `count` requests.
pub fn run(
    cluster: &Cluster,
    workload: &Workload,
    contestant: Contestant,
    tag: &str,
    workers: usize,
    count: usize,
) -> Shared {
    let (requests, results) = (format!("{tag}-requests"), format!("{tag}-results"));
    cluster.create(&requests);
    cluster.create(&results);
    let post = Post {
        brokers: cluster.brokers.clone(),
        group: results.clone(),
        requests: vec![requests.clone()],
        results: results.clone(),
        server: String::new(),
        kafka: String::new(),
    };
    let running: Vec<_> = (0..workers).map(|_| contestant.start(&post, workload)).collect();
    cluster.wait_for_group(&results, workers);
    running.iter().for_each(|worker| worker.signal(libc::SIGSTOP));
    cluster.fill(&requests, workload, count);
    let (before, started) = (cpu(&running), Instant::now());
    running.iter().for_each(|worker| worker.signal(libc::SIGCONT));
    cluster.wait_for(&results, count);
    let (spent, took) = (cpu(&running) - before, started.elapsed());
    drop(running);
    check::check(cluster, &results, workload, count);
    cluster.delete(&requests);
    cluster.delete(&results);
    Shared { cpu_micros: spent * 1e6 / count as f64, per_second: count as f64 / took.as_secs_f64() }
}

/// Seconds of CPU time of all workers.
fn cpu(running: &[Running]) -> f64 {
    running.iter().map(|worker| worker.cpu().as_secs_f64()).sum()
}
