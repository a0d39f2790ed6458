//! How the clients are configured: defaults that serve latency at low load and throughput at high load, then the user's own.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::ClientConfig;

use super::refusal::of_configuration;

/// What the clients must know; any librdkafka property may be overridden.
#[derive(Clone, Debug, Default)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// librdkafka properties, for all clients.
    pub properties: BTreeMap<String, String>,
}

/// What a producer with transactions says of itself.
#[derive(Clone, Debug)]
pub struct Transactional {
    /// Its `transactional.id`.
    pub id: String,
    /// How long the broker lets a transaction last.
    pub timeout: Duration,
}

/// Records that the consumer fetches ahead for each partition: enough to hide a fetch's round trip at a million records a
/// second, few enough that a hundred partitions of small records stay within some tens of megabytes.
const AHEAD: usize = 4_000;

/// The most that a record may have as far as the client is concerned; a broker takes 100 MiB in one request by default.
const LARGEST_MESSAGE: usize = 64 << 20;

/// So many bytes are handed over at once, however long more of them could be waited for: some hundreds of small records, after
/// which company makes a record no cheaper.
const COMPANY: usize = 64 << 10;

impl KafkaSettings {
    /// For the member of the group, which fetches ahead at most `ahead_bytes`. Records may wait `max_wait` at the broker for
    /// company: a fetch a record costs more than everything that a small model does with it.
    pub fn consumer(&self, ahead_bytes: usize, max_wait: Duration) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("queued.min.messages", AHEAD.to_string())
            .set("queued.max.messages.kbytes", (ahead_bytes / 1024).clamp(1, 2_097_151).to_string())
            // By default a consumer that has fetched enough looks again only after a second.
            .set("fetch.queue.backoff.ms", "10");
        if !max_wait.is_zero() {
            config
                .set("fetch.min.bytes", COMPANY.to_string())
                .set("fetch.wait.max.ms", max_wait.as_millis().to_string());
        }
        // The group protocol of Kafka 4 has its assignor on the broker and refuses the property.
        if self.properties.get("group.protocol").is_none_or(|protocol| protocol != "consumer") {
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        self.finish(config)
    }

    /// For the answers, of which at most `in_flight` records are on their way.
    pub fn producer(&self, in_flight: usize, transactional: Option<&Transactional>) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            // Above any topic's own limit, which then decides: what comes in, as a dead letter goes out again.
            .set("message.max.bytes", LARGEST_MESSAGE.to_string())
            .set("queue.buffering.max.messages", (in_flight * 2).clamp(1_000, 10_000_000).to_string());
        match transactional {
            // A lost broker is waited for: what is in flight is bounded, and nothing is lost by waiting.
            None => drop(config.set("message.timeout.ms", "0")),
            // Within a transaction that cannot be: it ends, and what it held is sent again.
            Some(Transactional { id, timeout }) => {
                config
                    .set("transactional.id", id)
                    .set("transaction.timeout.ms", timeout.as_millis().to_string())
                    .set("message.timeout.ms", timeout.as_millis().to_string());
            }
        }
        self.finish(config)
    }

    /// For listening to a few records now and then, without the group: its id is there because librdkafka assigns partitions
    /// to nobody else, and the worker may use it.
    pub fn listener(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("statistics.interval.ms", "0")
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "1024");
        let mut config = self.finish(config);
        // What the user says of requests does not go for these: each is to be heard at once, and none left out.
        for (key, value) in [
            ("group.id", &*self.group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("fetch.min.bytes", "1"),
        ] {
            config.set(key, value);
        }
        config
    }

    /// For asking what the group has committed, and committing where it begins, without being a member.
    pub fn bystander(&self) -> ClientConfig {
        let mut config = self.admin();
        config.set("group.id", &self.group).set("enable.auto.commit", "false").remove("group.instance.id");
        config
    }

    /// For looking at topics and creating them.
    pub fn admin(&self) -> ClientConfig {
        self.finish(self.base())
    }

    /// What the client library does not take of this, told without the value, which may be a secret; `None` if it takes all.
    pub fn problem(&self) -> Option<String> {
        let clients = [self.consumer(0, Duration::ZERO), self.producer(0, None), self.listener(), self.admin()];
        let refused = clients.iter().find_map(|config| config.create_native_config().err());
        refused.map(|error| format!("the Kafka client refuses its configuration: {}", of_configuration(&error)))
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "modelmill")
            .set("socket.nagle.disable", "true")
            .set("log.connection.close", "false")
            .set("statistics.interval.ms", "15000")
            .set("allow.auto.create.topics", "false");
        config
    }

    fn finish(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_properties_win() {
        let properties = [("linger.ms", "5"), ("client.id", "mine")].map(|(name, value)| (name.into(), value.into()));
        let settings = KafkaSettings { properties: properties.into(), ..KafkaSettings::default() };
        let config = settings.producer(10, None);
        assert_eq!((config.get("linger.ms"), config.get("client.id")), (Some("5"), Some("mine")));
        assert_eq!(config.get("acks"), Some("all"));
    }

    #[test]
    fn requests_gather_at_the_broker_only_if_they_may_wait_and_the_users_own_keys_win() {
        let fetch = |settings: &KafkaSettings, max_wait| {
            let config = settings.consumer(0, Duration::from_millis(max_wait));
            ["fetch.min.bytes", "fetch.wait.max.ms"].map(|key| config.get(key).map(str::to_owned))
        };
        let plain = KafkaSettings::default();
        assert_eq!(fetch(&plain, 0), [None, None], "the client's defaults wake at the first byte");
        assert_eq!(fetch(&plain, 20), [Some("65536".to_owned()), Some("20".to_owned())]);
        let properties = BTreeMap::from([("fetch.min.bytes".to_owned(), "1".to_owned())]);
        let theirs = KafkaSettings { properties, ..KafkaSettings::default() };
        assert_eq!(fetch(&theirs, 20), [Some("1".to_owned()), Some("20".to_owned())]);
    }

    #[test]
    fn a_listener_speaks_to_brokers_as_requests_do_and_hears_each_record_at_once() {
        let properties = [("security.protocol", "SSL"), ("fetch.min.bytes", "65536"), ("auto.offset.reset", "latest")];
        let properties = properties.map(|(name, value)| (name.into(), value.into())).into();
        let settings = KafkaSettings { group: "workers".into(), properties, ..KafkaSettings::default() };
        let config = settings.listener();
        let set = ["security.protocol", "fetch.min.bytes", "auto.offset.reset", "group.id"].map(|key| config.get(key));
        assert_eq!(set, [Some("SSL"), Some("1"), Some("earliest"), Some("workers")]);
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
    }

    #[test]
    fn the_broker_side_protocol_gets_no_assignor() {
        let assignor = "partition.assignment.strategy";
        assert_eq!(KafkaSettings::default().consumer(0, Duration::ZERO).get(assignor), Some("cooperative-sticky"));
        let properties = BTreeMap::from([("group.protocol".to_owned(), "consumer".to_owned())]);
        let settings = KafkaSettings { properties, ..KafkaSettings::default() };
        assert_eq!(settings.consumer(0, Duration::ZERO).get(assignor), None);
    }
}
