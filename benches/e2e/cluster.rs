//! Topics of the broker under test: made, filled, watched, read, and taken away.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::workload::Workload;

/// How long anything may take before the bench gives up.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The broker, and how many partitions topics get.
#[derive(Clone)]
pub struct Cluster {
    pub brokers: String,
    pub partitions: i32,
}

impl Cluster {
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    pub fn create(&self, topic: &str) {
        self.create_all(&[topic.to_owned()], self.partitions);
    }

    pub fn create_all(&self, topics: &[String], partitions: i32) {
        let new: Vec<_> =
            topics.iter().map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(1))).collect();
        let created = block_on(self.admin().create_topics(&new, &AdminOptions::new())).unwrap();
        created.into_iter().for_each(|topic| drop(topic.expect("the topic can be created")));
    }

    pub fn delete(&self, topic: &str) {
        drop(block_on(self.admin().delete_topics(&[topic], &AdminOptions::new())));
    }

    /// Fills `topic` with the first `count` requests of a workload.
    pub fn fill(&self, topic: &str, workload: &Workload, count: usize) {
        self.fill_all(std::slice::from_ref(&topic.to_owned()), self.partitions, workload, count);
    }

    /// Spreads the first `count` requests of a workload over topics and their partitions.
    pub fn fill_all(&self, topics: &[String], partitions: i32, workload: &Workload, count: usize) {
        let mut config = self.config();
        let producer: BaseProducer =
            config.set("linger.ms", "20").set("queue.buffering.max.messages", "1000000").create().unwrap();
        let headers = headers_of(workload);
        for index in 0..count {
            let (key, body) = workload.request(index);
            let topic = &topics[index % topics.len()];
            let partition = (index / topics.len()) as i32 % partitions;
            let mut record = BaseRecord::<str, str>::to(topic).payload(&body).key(&key).partition(partition);
            if let Some(headers) = &headers {
                record = record.headers(headers.clone());
            }
            while let Err((_, again)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = again;
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Records in a topic; those of a partition that has no leader yet are not counted.
    fn count(&self, consumer: &BaseConsumer, topic: &str) -> usize {
        let end =
            |partition| consumer.fetch_watermarks(topic, partition, Duration::from_secs(20)).map_or(0, |ends| ends.1);
        (0..self.partitions).map(end).sum::<i64>() as usize
    }

    /// Waits until a topic holds `count` records; says how many it holds then.
    pub fn wait_for(&self, topic: &str, count: usize) -> usize {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.count(&consumer, topic);
            if found >= count {
                return found;
            }
            assert!(Instant::now() < deadline, "{topic}: {found} of {count} records after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a group has `members`, all with their partitions.
    pub fn wait_for_group(&self, group: &str, members: usize) {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut stable = 0;
        // A cooperative rebalance has two rounds: twice stable in a row is settled.
        while stable < 5 {
            // Until the group has a coordinator, asking for it is an error.
            let is_stable = consumer.fetch_group_list(Some(group), Duration::from_secs(20)).is_ok_and(|groups| {
                groups.groups().iter().any(|group| group.state() == "Stable" && group.members().len() == members)
            });
            stable = if is_stable { stable + 1 } else { 0 };
            assert!(Instant::now() < deadline, "group {group} has not settled with {members} members");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A consumer of a whole topic from its beginning.
    pub fn reader(&self, topic: &str) -> BaseConsumer {
        self.reader_from(topic, |_, _| Offset::Beginning)
    }

    /// A consumer of what comes into a topic from now on.
    pub fn reader_of_new(&self, topic: &str) -> BaseConsumer {
        self.reader_from(topic, |consumer, partition| {
            // A partition that has no leader yet has no records either.
            let ends = consumer.fetch_watermarks(topic, partition, Duration::from_secs(20));
            ends.map_or(Offset::Beginning, |ends| Offset::Offset(ends.1))
        })
    }

    fn reader_from(&self, topic: &str, start: impl Fn(&BaseConsumer, i32) -> Offset) -> BaseConsumer {
        let mut config = self.config();
        // An automatic commit would end a poll without a record.
        config.set("group.id", "reader").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..self.partitions {
            all.add_partition_offset(topic, partition, start(&consumer, partition)).unwrap();
        }
        consumer.assign(&all).unwrap();
        consumer
    }
}

/// The headers that every request of a workload has.
pub fn headers_of(workload: &Workload) -> Option<OwnedHeaders> {
    let with = |headers: OwnedHeaders, (key, value): &(&str, &str)| headers.insert(Header { key, value: Some(*value) });
    let all = workload.headers();
    (!all.is_empty()).then(|| all.iter().fold(OwnedHeaders::new(), with))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
