//! `server.yaml`: how this process runs.
//!
//! Each struct is one map of the file and has one place for its defaults; the descriptions are those of the JSON Schema and
//! of `docs/configuration.md`.

use std::{net::SocketAddr, num::NonZeroUsize};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    auto::Auto,
    batching::BatchingConfig,
    crash_journal::CrashJournalConfig,
    kafka::KafkaConfig,
    models::ModelsConfig,
    problem::{KeyPath, Problem},
    schema_registry::SchemaRegistryConfig,
    transaction::TransactionConfig,
    units::{HumanDuration, HumanSize},
};

/// How this process runs: the broker, the models, and the bounds within which it works.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The broker, and how this worker takes part in its consumer group.
    pub kafka: KafkaConfig,
    /// What a crash may do to answers.
    #[serde(default)]
    pub delivery: Delivery,
    /// How the transactions of `delivery: exactly_once` go.
    #[serde(default)]
    pub transaction: TransactionConfig,
    /// Where the worker writes down which requests it has in hand, so that after a crash it finds the one that caused it.
    #[serde(default)]
    pub crash_journal: CrashJournalConfig,
    /// Where models come from and which versions are in service.
    pub models: ModelsConfig,
    /// Where the schemas of pipelines are that read or write Avro, or read protobuf messages of schemas of their own. `null`: there
    /// are no such pipelines.
    #[serde(default)]
    pub schema_registry: Option<SchemaRegistryConfig>,
    /// How rows of several requests become one run of a model.
    #[serde(default)]
    pub batching: BatchingConfig,
    /// How much may be in flight before no more is taken from Kafka.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// The pool of threads on which requests are decoded and prepared, and answers written.
    #[serde(default)]
    pub compute: ComputeConfig,
    /// What a model version may use of this machine.
    #[serde(default)]
    pub inference: InferenceConfig,
    /// Health, readiness and metrics over HTTP.
    #[serde(default)]
    pub admin: AdminConfig,
    /// How long a starting worker tries to reach Kafka and to be let in by it; then it says what is wrong and exits 1.
    #[serde(default = "a_minute")]
    pub startup_timeout: HumanDuration,
    /// How long a stopping worker may take to finish what is in flight; it exits 0 within this time.
    #[serde(default = "half_a_minute")]
    pub shutdown_timeout: HumanDuration,
}

fn a_minute() -> HumanDuration {
    HumanDuration::from_secs(60)
}

fn half_a_minute() -> HumanDuration {
    HumanDuration::from_secs(30)
}

impl ServerConfig {
    /// The defaults around the three things that have none.
    pub fn new(brokers: impl Into<String>, group: impl Into<String>, repository: impl Into<String>) -> Self {
        Self {
            kafka: KafkaConfig::new(brokers, group),
            delivery: Delivery::default(),
            transaction: TransactionConfig::default(),
            crash_journal: CrashJournalConfig::default(),
            models: ModelsConfig::new(repository),
            schema_registry: None,
            batching: BatchingConfig::default(),
            limits: LimitsConfig::default(),
            compute: ComputeConfig::default(),
            inference: InferenceConfig::default(),
            admin: AdminConfig::default(),
            startup_timeout: a_minute(),
            shutdown_timeout: half_a_minute(),
        }
    }

    /// The most requests that are taken and not yet answered.
    pub fn in_flight_messages(&self) -> usize {
        let default = match self.delivery {
            Delivery::AtLeastOnce => 20_000,
            Delivery::ExactlyOnce => 100_000,
        };
        self.limits.in_flight_messages.map_or(default, NonZeroUsize::get)
    }

    /// Every rule that the types alone cannot hold.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = self.kafka.problems();
        problems.extend(self.transaction.problems());
        problems.extend(self.crash_journal.problems());
        problems.extend(self.models.problems());
        problems.extend(self.schema_registry.iter().flat_map(SchemaRegistryConfig::problems));
        problems.extend(self.batching.problems());
        problems.extend(self.limits.problems(self.in_flight_messages()));
        if self.startup_timeout.is_zero() {
            problems.push(Problem::new("startup_timeout", "must be longer than 0, or nothing could be tried"));
        }
        if self.shutdown_timeout.is_zero() {
            problems.push(Problem::new("shutdown_timeout", "must be longer than 0, or nothing could be finished"));
        }
        problems
    }
}

/// What is promised for every request.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It repeats some and loses none: an offset is committed only when the answers to it and to all before it are
    /// acknowledged by the broker.
    #[default]
    AtLeastOnce,
    /// It repeats none and loses none, for readers with `isolation.level=read_committed`: answers and offsets are committed in
    /// one Kafka transaction.
    ExactlyOnce,
}

/// How much may be in flight before no more is taken from Kafka.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The most bytes of request records that are taken and not yet answered.
    pub in_flight_bytes: HumanSize,
    /// The most requests that are taken and not yet answered. `null`: 20,000, or 100,000 in `exactly_once`, where what is
    /// answered stays in flight until its transaction is committed.
    pub in_flight_messages: Option<NonZeroUsize>,
    /// The most requests that travel together as one chunk.
    pub chunk_messages: NonZeroUsize,
    /// The most bytes that travel together as one chunk; a single larger record travels alone.
    pub chunk_bytes: HumanSize,
    /// The most bytes that a compressed request (`content-encoding: gzip` or `zstd`) may be when it is inflated; a larger one is
    /// answered with `INVALID_REQUEST`. Of all that was compressed, four times as much is decoded and not yet predicted.
    pub inflated_bytes: HumanSize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            in_flight_bytes: HumanSize::from_mib(64),
            in_flight_messages: None,
            chunk_messages: NonZeroUsize::new(1000).expect("1000 is not 0"),
            chunk_bytes: HumanSize::from_mib(4),
            inflated_bytes: HumanSize::from_mib(16),
        }
    }
}

impl LimitsConfig {
    fn problems(&self, in_flight_messages: usize) -> Vec<Problem> {
        let at = KeyPath::from("limits");
        let mut problems = Vec::new();
        if self.chunk_bytes.bytes() == 0 {
            problems
                .push(Problem::new(at.key("chunk_bytes"), "must be at least 1 byte, or no chunk could hold anything"));
        }
        if self.inflated_bytes.bytes() == 0 {
            problems
                .push(Problem::new(at.key("inflated_bytes"), "must be at least 1 byte, or nothing could be inflated"));
        }
        // Rules about two keys stand at their map: they say nothing while one of the two is known to be wrong.
        if self.chunk_bytes > self.in_flight_bytes {
            let sentence = format!(
                "`in_flight_bytes` is {}, less than one chunk (`chunk_bytes` is {}): raise it, or lower `chunk_bytes`",
                self.in_flight_bytes, self.chunk_bytes
            );
            problems.push(Problem::new(at.clone(), sentence));
        }
        if self.chunk_messages.get() > in_flight_messages {
            let sentence = format!(
                "`in_flight_messages` is {in_flight_messages}, less than one chunk (`chunk_messages` is {}): \
                 raise it, or lower `chunk_messages`",
                self.chunk_messages
            );
            problems.push(Problem::new(at, sentence));
        }
        problems
    }
}

/// The pool of threads on which requests are decoded and prepared, and answers written.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ComputeConfig {
    /// Threads of the pool. `auto`: as many as the process may use cores, by its CPU affinity and its cgroup's CPU limit.
    pub threads: Auto,
}

/// What a model version may use of this machine.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceConfig {
    /// The threads that one run may use. More than 1 helps big models on many cores. `auto`: the model's share of the cores,
    /// divided by its sessions; 1 for small models.
    pub threads: Auto,
    /// The copies of each model version that run side by side. Each takes the memory of the model. `auto`: the cores, shared
    /// out among the models; at most 16, and no more than fit into 64MiB by the size of its files, but at least 1.
    pub sessions: Auto,
}

/// Health, readiness and metrics over HTTP.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port to listen on: `127.0.0.1:9644` for this machine alone, `0.0.0.0:9644` or `[::]:9644` for all.
    #[schemars(with = "String", extend("x-kind" = "socket-address", "examples" = ["127.0.0.1:9644"]))]
    pub listen: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9644)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_in_flight_where_it_waits_for_a_transaction_unless_the_file_says_how_much() {
        let mut server = ServerConfig::new("b:9092", "g", "models");
        assert_eq!(server.in_flight_messages(), 20_000);
        server.delivery = Delivery::ExactlyOnce;
        assert_eq!(server.in_flight_messages(), 100_000);
        server.limits.in_flight_messages = NonZeroUsize::new(5_000);
        assert_eq!(server.in_flight_messages(), 5_000);
    }
}
