//! The consuming half of the client: answers in, from every partition of the result topics.
//!
//! Guarantee: it joins no consumer group and commits nothing. Where it begins is settled before it is handed out, so an
//! answer to a request that is sent afterwards cannot be missed.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    ClientError, ClientOptions, Start,
    context::{Context, config},
    record::RecordView,
    topics::partitions,
};
use crate::broker::kafka::{refusal::of_configuration, topics};

/// librdkafka's properties for reading fast and from fixed positions.
pub(super) const PROPERTIES: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // For records that retention has removed before they were read.
    ("auto.offset.reset", "earliest"),
    // The default of one second stalls a fast reader whenever its queue was full.
    ("fetch.queue.backoff.ms", "10"),
];

/// How long to wait before a broker that does not know its leaders yet is asked again.
const LEADER_PAUSE: Duration = Duration::from_millis(50);

/// Reads answers. Belongs to one thread at a time.
pub struct Answers {
    consumer: BaseConsumer<Context>,
}

impl Answers {
    pub(super) fn open(options: &ClientOptions) -> Result<Self, ClientError> {
        let consumer = consumer(options, &[])?;
        partitions(&consumer, &options.request_topic, options)?;
        let mut positions = TopicPartitionList::new();
        for topic in &options.result_topics {
            for partition in partitions(&consumer, topic, options)? {
                positions.add_partition_offset(topic, partition, Offset::Beginning).expect("`Beginning` is an offset");
            }
        }
        if options.start == Start::End && positions.count() > 0 {
            positions = ends(&consumer, &positions, options.connect_timeout)?;
        }
        assign(&consumer, &positions)?;
        consumer.context().connected();
        Ok(Self { consumer })
    }

    /// Waits up to `timeout` for an answer, then shows it and what else is there already, `most` in all. Returns how many
    /// there were; none does not mean that the time is up.
    ///
    /// # Errors
    /// If a result topic has gone or must not be read. Other troubles (a broker away for a while) are waited out.
    pub fn read(
        &self,
        timeout: Duration,
        most: usize,
        mut show: impl FnMut(&RecordView<'_>),
    ) -> Result<usize, ClientError> {
        let mut shown = 0;
        let mut wait = timeout;
        while shown < most {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    show(&RecordView::new(&message));
                    shown += 1;
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => survive(error)?,
            }
        }
        Ok(shown)
    }
}

/// A consumer that is told what to read; `more` are properties on top of the usual.
pub(super) fn consumer(options: &ClientOptions, more: &[(&str, &str)]) -> Result<BaseConsumer<Context>, ClientError> {
    // librdkafka assigns partitions only to a consumer with a group id, although nothing joins that group.
    static CLIENTS: AtomicU32 = AtomicU32::new(0);
    let group = format!("modelmill-client-{}-{}", std::process::id(), CLIENTS.fetch_add(1, Ordering::Relaxed));
    let defaults = [PROPERTIES, &[("group.id", &*group)], more].concat();
    config(&options.brokers, &defaults, &options.properties)
        .create_with_context(Context::default())
        .map_err(|error| ClientError::Configuration(of_configuration(&error)))
}

/// Where each partition of `positions` ends now.
pub(super) fn ends(
    consumer: &BaseConsumer<Context>,
    positions: &TopicPartitionList,
    timeout: Duration,
) -> Result<TopicPartitionList, ClientError> {
    let deadline = Instant::now() + timeout;
    loop {
        match topics::ends(consumer, positions.clone(), deadline.saturating_duration_since(Instant::now())) {
            Ok(ends) => return Ok(ends),
            Err(error) if Instant::now() >= deadline => {
                let topic = positions.elements().first().map_or_else(String::new, |first| first.topic().to_owned());
                return Err(ClientError::Topic { action: "find the end of", topic, reason: error.to_string() });
            }
            // A fresh topic has no leaders for a moment; the log is served meanwhile.
            Err(_) => drop(consumer.poll(LEADER_PAUSE)),
        }
    }
}

pub(super) fn assign(consumer: &BaseConsumer<Context>, positions: &TopicPartitionList) -> Result<(), ClientError> {
    consumer.assign(positions).map_err(|error| {
        let topic = positions.elements().first().map_or_else(String::new, |first| first.topic().to_owned());
        ClientError::Topic { action: "read", topic, reason: error.to_string() }
    })
}

/// Goes on after what passes by itself.
pub(super) fn survive(error: KafkaError) -> Result<(), ClientError> {
    use RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
    match error.rdkafka_error_code() {
        Some(code @ (TopicAuthorizationFailed | UnknownPartition | UnknownTopic | UnknownTopicOrPartition)) => {
            Err(ClientError::Topic { action: "read", topic: "of the results".to_owned(), reason: code.to_string() })
        }
        _ if fatal => {
            Err(ClientError::Topic { action: "read", topic: "of the results".to_owned(), reason: error.to_string() })
        }
        _ => Ok(()),
    }
}
