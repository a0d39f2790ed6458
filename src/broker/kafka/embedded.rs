//! A Kafka broker inside this process: librdkafka's mock cluster. For the demo, which must need nothing installed.
//!
//! **Never test delivery on it.** It keeps at most 5 MiB and 100,000 records a partition and silently drops the older ones, read
//! or not; committing a transaction does nothing; nothing is written to disk, replicated or fenced; it knows no topic
//! administration. A worker that loses or doubles answers can look right on it. Guarantees are shown on a real Kafka;
//! here one shows how things look, and tests what does not depend on the broker.

use std::collections::BTreeMap;

use rdkafka::{
    ClientConfig,
    config::RDKafkaLogLevel,
    mocking::MockCluster,
    producer::{BaseProducer, DefaultProducerContext, Producer},
};

use super::client::ClientError;

/// How long the first member of a group waits for others, in milliseconds. The mock cluster's own default is 3,000.
const GROUP_JOIN_DELAY: i32 = 0;

/// A broker that lives as long as this value; clients inside and outside of the process can connect.
pub struct EmbeddedBroker {
    // The mock cluster belongs to the client that was created with it, and goes with it.
    owner: BaseProducer,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port of the loopback interface, with these topics and numbers of partitions.
    ///
    /// # Errors
    /// If no port is free, or a topic's name or number of partitions is not allowed.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, ClientError> {
        let configuration = |reason: String| ClientError::Configuration(reason);
        let owner: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .set_log_level(RDKafkaLogLevel::Critical)
            .create()
            .map_err(|error| configuration(format!("the embedded broker does not start: {error}")))?;
        let broker = Self { owner };
        // SAFETY: the handle is live as long as `owner` is, and so is the cluster that belongs to it.
        unsafe {
            let cluster = rdkafka_sys::rd_kafka_handle_mock_cluster(broker.owner.client().native_ptr());
            rdkafka_sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, GROUP_JOIN_DELAY);
        }
        for (topic, partitions) in topics {
            broker.cluster().create_topic(topic, *partitions, 1).map_err(|error| ClientError::Topic {
                action: "create",
                topic: (*topic).to_owned(),
                reason: error.to_string(),
            })?;
        }
        Ok(broker)
    }

    /// Where clients connect: `host:port`.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster().bootstrap_servers()
    }

    /// librdkafka properties that every client of this broker needs to be quick, the worker included.
    pub fn client_properties() -> BTreeMap<String, String> {
        // A fetch that finds nothing waits its full time here, whatever is produced meanwhile.
        [("fetch.wait.max.ms", "5")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.owner.client().mock_cluster().expect("a client with `test.mock.num.brokers` has a cluster")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rdkafka::{
        Message,
        consumer::{BaseConsumer, Consumer},
    };

    use super::*;
    use crate::broker::kafka::client::{Client, ClientOptions, RequestRecord};

    fn group_member(broker: &EmbeddedBroker, topic: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.bootstrap_servers()).set("group.id", "g");
        config.set("auto.offset.reset", "earliest").extend(EmbeddedBroker::client_properties());
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&[topic]).unwrap();
        consumer
    }

    #[test]
    fn a_group_reads_its_first_request_without_the_three_seconds_of_an_untuned_mock_cluster() {
        let broker = EmbeddedBroker::start(&[("requests", 2)]).unwrap();
        let client = Client::connect(&ClientOptions::new(&broker.bootstrap_servers(), "requests", &[])).unwrap();
        let started = Instant::now();
        let consumer = group_member(&broker, "requests");
        client.produce(&RequestRecord { value: Some(b"hello"), ..Default::default() }).unwrap();
        let mut value = None;
        while value.is_none() && started.elapsed() < Duration::from_secs(30) {
            let message = consumer.poll(Duration::from_secs(1)).map(Result::unwrap);
            value = message.map(|message| message.payload().unwrap().to_vec());
        }
        assert_eq!(value.unwrap(), b"hello");
        assert!(started.elapsed() < Duration::from_millis(2900), "{:?}", started.elapsed());
        eprintln!("TOOK {:?}", started.elapsed());
    }

    #[test]
    fn the_broker_is_gone_with_its_value() {
        let broker = EmbeddedBroker::start(&[("requests", 1)]).unwrap();
        let address = broker.bootstrap_servers();
        assert!(std::net::TcpStream::connect(&address).is_ok());
        drop(broker);
        assert!(std::net::TcpStream::connect(&address).is_err());
    }

    #[test]
    fn an_impossible_topic_is_refused_by_name() {
        let error = EmbeddedBroker::start(&[("requests", 1), ("requests", 2)]).err().unwrap().to_string();
        assert!(error.contains("`requests`"), "{error}");
    }
}
