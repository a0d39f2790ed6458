//! What the project's own client has no call for: topics with settings of their own, and what a group has committed.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::wait_for;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Creates a topic with `settings` of its own.
pub fn create_topic(brokers: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    create_replicated_topic(brokers, name, (partitions, 1), settings);
}

/// The same with so many partitions and replicas of each.
pub fn create_replicated_topic(
    brokers: &str,
    name: &str,
    (partitions, replicas): (i32, i32),
    settings: &[(&str, &str)],
) {
    let admin: AdminClient<DefaultClientContext> = config(brokers).create().unwrap();
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let created = runtime.block_on(admin.create_topics([&topic], &options)).unwrap();
    assert_eq!(created, [Ok(name.to_owned())]);
    // A broker tells that a topic is created before it tells of the topic.
    let there = || (self::partitions(brokers, name) == usize::try_from(partitions).unwrap()).then_some(());
    wait_for("the topic in the broker's metadata", there);
}

/// Writes a record to a topic, so many times, and waits until the broker has all of them.
pub fn publish(brokers: &str, topic: &str, value: &[u8], times: usize) {
    let producer: BaseProducer = config(brokers).create().unwrap();
    for _ in 0..times {
        producer.send(BaseRecord::<(), [u8]>::to(topic).payload(value)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
}

/// How many partitions a topic has; 0 if there is none.
pub fn partitions(brokers: &str, topic: &str) -> usize {
    let consumer: BaseConsumer = config(brokers).create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
    metadata.topics().first().map_or(0, |topic| topic.partitions().len())
}

/// For each partition of a topic that holds anything: what `group` has committed, and where it ends.
pub fn committed_and_end(brokers: &str, group: &str, topic: &str) -> BTreeMap<i32, (Option<i64>, i64)> {
    let consumer: BaseConsumer = config(brokers).set("group.id", group).create().unwrap();
    let count = i32::try_from(partitions(brokers, topic)).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, count - 1);
    let committed = consumer.committed_offsets(list, TIMEOUT).unwrap();
    let offsets = (0..count).map(|partition| {
        let (_, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT).unwrap();
        let offset = committed.find_partition(topic, partition).map(|found| found.offset());
        let offset = if let Some(Offset::Offset(offset)) = offset { Some(offset) } else { None };
        (partition, (offset, end))
    });
    offsets.filter(|(_, (_, end))| *end > 0).collect()
}

/// How many members a group has, as its coordinator knows them.
pub fn members(brokers: &str, group: &str) -> usize {
    let consumer: BaseConsumer = config(brokers).create().unwrap();
    let groups = consumer.fetch_group_list(Some(group), TIMEOUT).unwrap();
    groups.groups().iter().map(|group| group.members().len()).sum()
}

/// A transaction that somebody has begun and not ended.
pub struct OpenTransaction(BaseProducer);

/// Begins a transaction in which `group` commits these offsets, one a partition of `topic`, and leaves it open. Nobody may be in
/// the group.
pub fn open_transaction(brokers: &str, group: &str, topic: &str, offsets: &[i64]) -> OpenTransaction {
    let consumer: BaseConsumer = config(brokers).set("group.id", group).create().unwrap();
    let producer: BaseProducer =
        config(brokers).set("transactional.id", format!("{group}-left-open")).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer.begin_transaction().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        list.add_partition_offset(topic, partition, Offset::Offset(*offset)).unwrap();
    }
    producer.send_offsets_to_transaction(&list, &consumer.group_metadata().unwrap(), TIMEOUT).unwrap();
    OpenTransaction(producer)
}

impl OpenTransaction {
    /// Nothing of it was ever said.
    pub fn abort(self) {
        self.0.abort_transaction(TIMEOUT).unwrap();
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}
