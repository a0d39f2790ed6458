//! Topics as `demo` and the tests need them: created, deleted, described, read from end to end.

use std::{
    collections::HashMap,
    pin::pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
};

use super::{
    ClientError, ClientOptions, Properties,
    answers::{assign, consumer, ends, survive},
    context::{Context, config},
    record::{Record, RecordView},
};
use crate::broker::kafka::{
    refusal::{Trouble, of_configuration},
    topics::listed,
};

/// How long an operation on topics may take, broker restarts left aside.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Creates topics with so many partitions and waits until each partition has a leader.
///
/// # Errors
/// If one exists already, or the broker refuses.
pub fn create_topics(brokers: &str, topics: &[(&str, i32)], replication: i32) -> Result<(), ClientError> {
    let new: Vec<_> = topics
        .iter()
        .map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(replication)))
        .collect();
    let results = block_on(admin(brokers)?.create_topics(&new, &AdminOptions::new().operation_timeout(Some(TIMEOUT))));
    verdict("create", results, topics.iter().map(|(name, _)| *name))?;
    let options = ClientOptions::reading(brokers, &[]);
    let consumer = consumer(&options, &[])?;
    topics.iter().try_for_each(|(name, _)| partitions_once_created(&consumer, name, &options).map(drop))
}

/// Deletes topics.
///
/// # Errors
/// If one does not exist, or the broker refuses.
pub fn delete_topics(brokers: &str, topics: &[&str]) -> Result<(), ClientError> {
    let results =
        block_on(admin(brokers)?.delete_topics(topics, &AdminOptions::new().operation_timeout(Some(TIMEOUT))));
    verdict("delete", results, topics.iter().copied())
}

/// Every record of a topic from its beginning to its end as it is now, partition by partition in order.
///
/// # Errors
/// If the topic does not exist or cannot be read.
pub fn read_all(brokers: &str, topic: &str) -> Result<Vec<Record>, ClientError> {
    let options = ClientOptions::reading(brokers, &[topic]);
    // An empty partition shows its end at the first fetch; on the embedded broker that waits its full time.
    let consumer = consumer(&options, &[("enable.partition.eof", "true"), ("fetch.wait.max.ms", "10")])?;
    let mut positions = TopicPartitionList::new();
    for partition in partitions(&consumer, topic, &options)? {
        positions.add_partition_offset(topic, partition, Offset::Beginning).expect("`Beginning` is an offset");
    }
    let ends = ends(&consumer, &positions, TIMEOUT)?;
    assign(&consumer, &positions)?;
    let mut records = read_up_to(&consumer, &ends)?;
    records.sort_unstable_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// Reads until each partition has shown its end of before, or that nothing more is there (what transactions leave
/// behind takes offsets and is never shown).
fn read_up_to(consumer: &BaseConsumer<Context>, ends: &TopicPartitionList) -> Result<Vec<Record>, ClientError> {
    let mut open: HashMap<i32, i64> =
        ends.elements().iter().map(|end| (end.partition(), end.offset().to_raw().unwrap_or(0))).collect();
    open.retain(|_, end| *end > 0);
    let mut records = Vec::new();
    let mut deadline = Instant::now() + TIMEOUT;
    while !open.is_empty() && Instant::now() < deadline {
        match consumer.poll(TIMEOUT) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) => survive(error)?,
            Some(Ok(message)) => {
                let Some(end) = open.get(&message.partition()).copied() else { continue };
                if message.offset() < end {
                    records.push(RecordView::new(&message).to_record());
                }
                if message.offset() >= end - 1 {
                    open.remove(&message.partition());
                }
                deadline = Instant::now() + TIMEOUT;
            }
        }
    }
    if open.is_empty() {
        return Ok(records);
    }
    let topic = ends.elements().first().map_or_else(String::new, |end| end.topic().to_owned());
    Err(ClientError::Topic { action: "read", topic, reason: format!("nothing came for {TIMEOUT:?}") })
}

/// The partitions of a topic that must exist.
pub(super) fn partitions(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    options: &ClientOptions,
) -> Result<Vec<i32>, ClientError> {
    let metadata = consumer.fetch_metadata(Some(topic), options.connect_timeout);
    let metadata = metadata.map_err(|error| unreachable_broker(consumer, &error, options))?;
    listed(&metadata).map_err(|refused| match refused {
        None => {
            let brokers = options.brokers.clone();
            ClientError::MissingTopic { topic: topic.to_owned(), brokers, hint: similar(consumer, topic) }
        }
        Some(code) => ClientError::Topic { action: "describe", topic: topic.to_owned(), reason: code.to_string() },
    })
}

/// The partitions of a topic that was created a moment ago and may not be known everywhere yet.
fn partitions_once_created(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    options: &ClientOptions,
) -> Result<Vec<i32>, ClientError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match partitions(consumer, topic, options) {
            Err(ClientError::MissingTopic { .. } | ClientError::Topic { .. }) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(20));
            }
            verdict => return verdict,
        }
    }
}

/// `, but there is …` with the topics whose names are close to `topic`.
fn similar(consumer: &BaseConsumer<Context>, topic: &str) -> String {
    const CLOSE: f64 = 0.8;
    let Ok(metadata) = consumer.fetch_metadata(None, TIMEOUT) else { return String::new() };
    let close = |name: &&str| strsim::jaro_winkler(name, topic) > CLOSE;
    let names: Vec<_> = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name).filter(close).collect();
    if names.is_empty() { String::new() } else { format!(" (there is `{}`)", names.join("`, `")) }
}

fn unreachable_broker(consumer: &BaseConsumer<Context>, error: &KafkaError, options: &ClientOptions) -> ClientError {
    // Errors wait in the consumer's queue among log lines until somebody looks.
    let deadline = Instant::now() + Duration::from_millis(500);
    while consumer.context().heard().is_none() && Instant::now() < deadline {
        drop(consumer.poll(Duration::from_millis(10)));
    }
    let code = || error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
    let (brokers, waited) = (options.brokers.clone(), options.connect_timeout);
    match consumer.context().heard() {
        Some(Trouble::Rejected(reason)) => ClientError::Rejected { brokers, reason },
        Some(Trouble::Unreachable(reason)) => ClientError::Unreachable { brokers, waited, reason },
        None => ClientError::Unreachable { brokers, waited, reason: code() },
    }
}

fn admin(brokers: &str) -> Result<AdminClient<Context>, ClientError> {
    config(brokers, &[], &Properties::new())
        .create_with_context(Context::default())
        .map_err(|error| ClientError::Configuration(of_configuration(&error)))
}

fn verdict<'a>(
    action: &'static str,
    results: KafkaResult<Vec<TopicResult>>,
    mut topics: impl Iterator<Item = &'a str>,
) -> Result<(), ClientError> {
    let failed = |topic: String, reason: String| Err(ClientError::Topic { action, topic, reason });
    match results {
        Err(error) => failed(topics.next().unwrap_or_default().to_owned(), error.to_string()),
        Ok(results) => match results.into_iter().find_map(Result::err) {
            Some((topic, code)) => failed(topic, code.to_string()),
            None => Ok(()),
        },
    }
}

/// Waits for a future that another thread completes; works inside and outside of any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
