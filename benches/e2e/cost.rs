//! What a request costs with a backlog: CPU time, throughput, memory, start.
//!
//! One request topic is filled once. Then the worker and a rival take turns (A B A B …), each as a process of its own with a
//! group and a result topic of its own, so that drifts of the machine's speed meet them alike. CPU time is read when the first
//! answers are there, and again at the end of the window: start-up does not count.

use std::time::{Duration, Instant};

use super::{
    check,
    cluster::Cluster,
    contestant::{Contestant, Post},
    workload::Workload,
};

/// What one run of one contestant cost.
#[derive(Clone, Copy)]
pub struct Cost {
    /// CPU-µs a request.
    pub cpu_micros: f64,
    pub per_second: f64,
    pub peak_mib: f64,
    /// From the start of the process to the first answer.
    pub first_answer: Duration,
}

/// Contestants over one workload.
pub struct Course<'a> {
    pub cluster: &'a Cluster,
    pub workload: &'a Workload,
    /// Filled with the workload's requests.
    pub requests: &'a str,
    /// How many there are.
    pub count: usize,
    /// Whether a virtual machine is among the contestants.
    pub beside_jvm: bool,
}

impl Course<'_> {
    /// Lets `contestant` answer the backlog and checks what it answers.
    pub fn run(&self, contestant: Contestant, name: &str) -> Cost {
        let results = format!("{}-{name}", self.requests);
        self.cluster.create(&results);
        let post = Post {
            brokers: self.cluster.brokers.clone(),
            group: results.clone(),
            requests: vec![self.requests.to_owned()],
            results: results.clone(),
            server: self.workload.work.server(),
            kafka: String::new(),
        };
        let (from, to) = contestant.window(self.beside_jvm);
        let part = |part: f64| (self.count as f64 * part) as usize;
        let started = Instant::now();
        let running = contestant.start(&post, self.workload);
        self.cluster.wait_for(&results, 1);
        let first_answer = started.elapsed();
        let early = self.cluster.wait_for(&results, part(from));
        let (at_early, cpu_early) = (Instant::now(), running.cpu());
        let late = self.cluster.wait_for(&results, part(to));
        let (at_late, cpu_late) = (Instant::now(), running.cpu());
        let peak_mib = running.peak_mib();
        drop(running);
        if contestant.predicts() {
            check::check(self.cluster, &results, self.workload, part(to));
        } else {
            check::check_echo(self.cluster, &results, self.workload, part(to));
        }
        self.cluster.delete(&results);
        let done = (late - early) as f64;
        Cost {
            cpu_micros: (cpu_late - cpu_early).as_secs_f64() * 1e6 / done,
            per_second: done / (at_late - at_early).as_secs_f64(),
            peak_mib,
            first_answer,
        }
    }
}

/// Runs of two contestants in turn.
#[derive(Default)]
pub struct Pairs(pub Vec<(Cost, Cost)>);

impl Pairs {
    /// The median of a figure of the first contestant, and of the second.
    pub fn medians(&self, figure: impl Fn(&Cost) -> f64) -> (f64, f64) {
        let left = self.0.iter().map(|(left, _)| figure(left)).collect();
        let right = self.0.iter().map(|(_, right)| figure(right)).collect();
        (spread(left).median, spread(right).median)
    }

    /// What the second costs, over what the first costs in the neighbouring run.
    pub fn ratio(&self) -> Spread {
        spread(self.0.iter().map(|(left, right)| right.cpu_micros / left.cpu_micros).collect())
    }
}

/// The middle of some figures, and the ends.
#[derive(Clone, Copy)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

pub fn spread(mut figures: Vec<f64>) -> Spread {
    figures.sort_by(f64::total_cmp);
    Spread { least: figures[0], median: figures[figures.len() / 2], most: figures[figures.len() - 1] }
}
