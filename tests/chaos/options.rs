//! What a run is: how many faults, how many requests, which promise.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Parser, ValueEnum};

use super::faults::Kind;

/// Breaks workers, brokers and the way between them while requests flow, and counts what became of each request.
#[derive(Clone, Debug, Parser)]
#[command(name = "make chaos ARGS=…")]
pub struct Options {
    /// Decides which fault comes when; the same seed is the same schedule. Without it, a new one.
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many faults.
    #[arg(long, default_value_t = 200)]
    pub faults: usize,
    /// How many requests at least; more are sent while faults are left.
    #[arg(long, default_value_t = 1_000_000)]
    pub requests: usize,
    /// The promise that is tried.
    #[arg(long, value_enum, default_value = "at_least_once")]
    pub delivery: Delivery,
    /// How the group shares its partitions.
    #[arg(long, value_enum, default_value = "cooperative")]
    pub rebalance: Rebalance,
    /// Brokers: one, or three for those faults that need them.
    #[arg(long, default_value_t = 3, value_parser = one_or_three)]
    pub nodes: usize,
    /// Workers of the group; one more may join now and then.
    #[arg(long, default_value_t = 3)]
    pub workers: usize,
    /// Partitions of the request topic and of the result topic.
    #[arg(long, default_value_t = 8)]
    pub partitions: i32,
    /// Seconds between two faults, on average. A fault that must wait for others to be over comes later.
    #[arg(long, default_value_t = 6.0)]
    pub pace: f64,
    /// Only these kinds of faults.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Kind>,
    /// A librdkafka property of the workers, NAME=VALUE; repeat it for more.
    #[arg(long = "property", value_parser = name_and_value)]
    pub properties: Vec<(String, String)>,
    /// The workers' program, for one that was built otherwise.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_modelmill"), hide_default_value = true)]
    pub program: PathBuf,
    /// Keep the logs also if all is well.
    #[arg(long)]
    pub keep: bool,
    // What cargo hands to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// `delivery:` of the server file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

/// How the members of the group come by their partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rebalance {
    /// Only partitions that move are given up.
    Cooperative,
    /// All are given up at every rebalance.
    Eager,
    /// Cooperative, and a member that comes back in time finds its partitions again.
    Static,
    /// The broker shares them out: the protocol of Kafka 4.
    Consumer,
}

impl Options {
    /// Two minutes' worth, for every run of the tests; the seed is always the same.
    pub fn short(delivery: Delivery) -> Self {
        let faults = Kind::value_variants().len() + 4;
        let short = Self::parse_from(["chaos", "--seed", "6", "--requests", "20000", "--pace", "2.5"]);
        Self { delivery, faults, ..short }
    }

    pub fn seed(&self) -> u64 {
        let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.seed.unwrap_or_else(|| since().as_millis() as u64 % 1_000_000)
    }

    pub fn pace(&self) -> Duration {
        Duration::from_secs_f64(self.pace)
    }

    /// Requests a second, so that the requests last as long as the faults if none has to wait.
    pub fn rate(&self) -> f64 {
        let seconds = self.pace * (self.faults.max(1) as f64);
        (self.requests as f64 / seconds).clamp(20.0, 20_000.0)
    }
}

/// # Errors
/// If there is no `=` in it.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// # Errors
/// If it is another number.
fn one_or_three(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("expected 1 or 3".to_owned()),
    }
}

impl Delivery {
    /// As the server file has it.
    pub fn name(self) -> String {
        self.to_possible_value().expect("every mode can be named").get_name().to_owned()
    }
}
