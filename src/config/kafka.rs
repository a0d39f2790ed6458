//! The `kafka:` part of `server.yaml`: the broker, and how this worker takes part in its consumer group.

use std::{collections::BTreeMap, fmt, num::NonZeroU16};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    problem::{KeyPath, Problem},
    units::HumanDuration,
};

/// Properties of the client that modelmill itself sets, with what to do instead.
const RESERVED: [(&str, &str); 13] = [
    ("bootstrap.servers", "write `kafka.brokers` instead"),
    ("metadata.broker.list", "write `kafka.brokers` instead"),
    ("group.id", "write `kafka.group` instead"),
    ("auto.commit.interval.ms", "write `kafka.commit_interval` instead"),
    ("auto.offset.reset", "write `kafka.on_start` instead"),
    ("enable.auto.commit", GUARANTEE),
    ("auto.commit.enable", GUARANTEE),
    ("enable.auto.offset.store", GUARANTEE),
    ("acks", GUARANTEE),
    ("request.required.acks", GUARANTEE),
    ("enable.idempotence", GUARANTEE),
    ("transactional.id", GUARANTEE),
    ("partitioner", "answers are partitioned as Java producers do"),
];
const GUARANTEE: &str = "the delivery guarantee rests on it";

/// The broker, and how this worker takes part in its consumer group.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// The brokers to begin with, `host:port`, several with commas between them.
    pub brokers: String,
    /// The consumer group: workers of one group share the partitions of their request topics.
    pub group: String,
    /// Any properties of librdkafka, passed through: security, static membership, tuning.
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
    /// Whether topics that are missing at the start are created.
    #[serde(default)]
    pub create_topics: CreateTopics,
    /// Where the group begins in a request topic of which it has committed nothing.
    #[serde(default)]
    pub on_start: OnStart,
    /// How often the offsets of answered requests are committed: what a crash may repeat.
    #[serde(default = "one_second")]
    pub commit_interval: HumanDuration,
    /// How long the broker may let requests gather before it hands them over: latency paid for less CPU time at moderate rates.
    /// A request waits that long at the most, 64KiB of them not at all; `0ms`: none waits.
    #[serde(default = "no_time")]
    pub max_wait: HumanDuration,
}

fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}

fn no_time() -> HumanDuration {
    HumanDuration::from_millis(0)
}

/// A group whose requests may wait longer is better served by batches that their senders make.
const LONGEST_WAIT: HumanDuration = HumanDuration::from_secs(10);

/// Where the group begins in a request topic of which it has committed nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnStart {
    /// At the first record that is kept: what waits is answered.
    #[default]
    Earliest,
    /// At the end, as it is when the first worker of the group starts: what waits is left alone.
    Latest,
    /// Nowhere: the worker says so and exits 1.
    Committed,
}

/// Whether topics that are missing at the start are created.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CreateTopics {
    /// `true`: create what is missing; `false`: name it and stop.
    pub enabled: bool,
    /// Partitions of a new topic: as many workers can share its work. `null`: as the broker has it.
    pub partitions: Option<NonZeroU16>,
    /// Replicas of a new topic. `null`: as the broker has it.
    pub replication: Option<NonZeroU16>,
}

/// The value of a librdkafka property: text, a whole number or a truth value. Never shown, since it may be a secret.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Property(String);

impl Property {
    /// The value as librdkafka takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Property {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(i64),
            Truth(bool),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
            Written::Truth(truth) => truth.to_string(),
        }))
    }
}

impl JsonSchema for Property {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer", "boolean"]})
    }
}

impl KafkaConfig {
    /// The defaults around a broker and a group.
    pub fn new(brokers: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            group: group.into(),
            properties: BTreeMap::new(),
            create_topics: CreateTopics::default(),
            on_start: OnStart::default(),
            commit_interval: one_second(),
            max_wait: no_time(),
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("kafka");
        let mut problems = Vec::new();
        problems.extend(self.broker_problem().map(|sentence| Problem::new(at.key("brokers"), sentence)));
        if self.group.trim().is_empty() {
            problems.push(Problem::new(at.key("group"), "is empty: name the consumer group of this worker"));
        }
        for name in self.properties.keys() {
            if let Some((_, reason)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
                let sentence = format!("is set by modelmill: {reason}");
                problems.push(Problem::new(at.key("properties").key(name), sentence));
            }
        }
        if self.commit_interval.is_zero() {
            problems.push(Problem::new(at.key("commit_interval"), "must be longer than 0; 1s is the default"));
        }
        if self.max_wait > LONGEST_WAIT {
            let sentence =
                format!("is {}; the most is {LONGEST_WAIT}, since every request may wait so long", self.max_wait);
            problems.push(Problem::new(at.key("max_wait"), sentence));
        }
        if !self.max_wait.is_zero() && self.max_wait < HumanDuration::from_millis(1) {
            problems.push(Problem::new(at.key("max_wait"), "is less than 1ms: write `1ms`, or `0ms` for no wait"));
        }
        problems
    }

    fn broker_problem(&self) -> Option<String> {
        if self.brokers.trim().is_empty() {
            return Some("is empty: write `host:port`, several with commas between them".to_owned());
        }
        let wrong = self.brokers.split(',').map(str::trim).find(|broker| !is_broker(broker))?;
        Some(format!("`{wrong}` is no broker: write `host:port`, several with commas between them"))
    }
}

/// `host`, `host:port` or `PROTOCOL://host:port`, as librdkafka takes them; IPv6 in brackets.
fn is_broker(text: &str) -> bool {
    let address = text.split_once("://").map_or(text, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    };
    let bare = !host.contains([':', '/']) || (host.starts_with('[') && host.ends_with(']'));
    let port_fits = port.is_none_or(|port| port.parse::<NonZeroU16>().is_ok());
    bare && port_fits && !host.is_empty() && !host.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_written_as_librdkafka_takes_them() {
        for right in ["localhost:9092", "kafka", "SSL://kafka-1.example:9093", "[::1]:9092", "[::1]", "10.0.0.1:1"] {
            assert!(is_broker(right), "{right}");
        }
        for wrong in ["", ":9092", "kafka:", "kafka:port", "kafka:0", "kafka:99999", "a b:1", "a:1:2", "http://a/b:1"] {
            assert!(!is_broker(wrong), "{wrong}");
        }
    }

    #[test]
    fn properties_take_numbers_and_truth_values_and_never_show_a_secret() {
        let text = r#"{"brokers": "b", "group": "g",
            "properties": {"session.timeout.ms": 45000, "check.crcs": true, "sasl.password": "hush"}}"#;
        let config: KafkaConfig = serde_json::from_str(text).unwrap();
        let values: Vec<_> = config.properties.values().map(Property::as_str).collect();
        assert_eq!(values, ["true", "hush", "45000"]);
        assert!(!format!("{config:?}").contains("hush"));
    }
}
