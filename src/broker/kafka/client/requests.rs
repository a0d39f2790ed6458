//! The producing half of the client: requests out, as fast as they can be written.
//!
//! Guarantee: idempotent and `acks=all`, so a request that is sent once stands in its topic once, and an answer that comes
//! twice is the worker's doing. What the broker did not acknowledge is counted.

use std::time::{Duration, Instant};

use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};

use super::{
    ClientError, ClientOptions,
    context::{Context, config},
};
use crate::broker::kafka::refusal::of_configuration;

/// How long to wait before a full queue is tried again: long enough for librdkafka to send a batch.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// librdkafka's properties for a producer that may send single requests at once or many in batches.
const PROPERTIES: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // As a Java producer would place them.
    ("partitioner", "murmur2_random"),
    // Successes are not reported one by one: at several 100,000 a second that would cost more than the sending.
    ("delivery.report.only.error", "true"),
    // Above the broker's own limit, which then decides, and says so.
    ("message.max.bytes", "67108864"),
    // The default of five minutes outlasts the patience of anybody who watches.
    ("message.timeout.ms", "60000"),
];

/// One request as it is to stand in its topic. Everything may be left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestRecord<'a> {
    /// The record's key; without one, the partition is chosen at random.
    pub key: Option<&'a [u8]>,
    /// The body; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In this order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Exactly this partition.
    pub partition: Option<i32>,
    /// Milliseconds since the Unix epoch; now, if left out.
    pub timestamp: Option<i64>,
}

/// Writes requests to one topic. Can be used from several threads.
pub struct Requests {
    producer: BaseProducer<Context>,
    topic: String,
}

impl Requests {
    /// Waits until the producer knows the cluster. The first request still waits for the id of an idempotent producer,
    /// which librdkafka asks for half a second after it began; `enable.idempotence=false` is without that.
    pub(super) fn open(options: &ClientOptions) -> Result<Self, ClientError> {
        let mut config = config(&options.brokers, PROPERTIES, &options.properties);
        if !options.properties.contains_key("linger.ms") {
            config.set("linger.ms", options.linger.as_millis().to_string());
        }
        let producer: BaseProducer<Context> = config
            .create_with_context(Context::default())
            .map_err(|error| ClientError::Configuration(of_configuration(&error)))?;
        let requests = Self { producer, topic: options.request_topic.clone() };
        requests.producer.client().fetch_metadata(Some(&requests.topic), options.connect_timeout).map_err(|error| {
            ClientError::Topic { action: "describe", topic: requests.topic.clone(), reason: error.to_string() }
        })?;
        requests.context().connected();
        Ok(requests)
    }

    /// Hands a request to the client library; waits while its queue is full.
    ///
    /// # Errors
    /// If the library refuses it for good: it is larger than 64 MiB, the partition does not exist, or the producer has
    /// failed.
    pub fn produce(&self, request: &RequestRecord<'_>) -> Result<(), ClientError> {
        let mut record = self.record(request);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(QUEUE_FULL_PAUSE);
                }
                Err((error, _)) => return Err(self.refused(&error)),
            }
        }
    }

    /// Waits until the broker has acknowledged everything, or refused it.
    ///
    /// # Errors
    /// [`ClientError::Undelivered`] with what has not been acknowledged by then, including what was refused before.
    pub fn flush(&self, timeout: Duration) -> Result<(), ClientError> {
        let deadline = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(QUEUE_FULL_PAUSE);
        }
        match self.undelivered() + u64::try_from(self.producer.in_flight_count()).unwrap_or(0) {
            0 => Ok(()),
            count => {
                let refused = self.undelivered() > 0;
                let reason = if refused {
                    self.context().undelivered_reason()
                } else {
                    format!("no acknowledgement in {timeout:?}")
                };
                Err(ClientError::Undelivered { count, topic: self.topic.clone(), reason })
            }
        }
    }

    /// Lets the client library report what it has to say: failed deliveries, log lines.
    pub fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// How many requests the broker has refused, or has not acknowledged within a minute.
    pub fn undelivered(&self) -> u64 {
        self.context().undelivered()
    }

    fn context(&self) -> &Context {
        self.producer.client().context()
    }

    fn record<'a>(&'a self, request: &RequestRecord<'a>) -> BaseRecord<'a, [u8], [u8]> {
        let mut record = BaseRecord::to(&self.topic);
        record.key = request.key;
        record.payload = request.value;
        record.partition = request.partition;
        record.timestamp = request.timestamp;
        if !request.headers.is_empty() {
            let empty = OwnedHeaders::new_with_capacity(request.headers.len());
            let insert = |headers: OwnedHeaders, (key, value): &(&str, &[u8])| {
                headers.insert(Header { key, value: Some(*value) })
            };
            record.headers = Some(request.headers.iter().fold(empty, insert));
        }
        record
    }

    fn refused(&self, error: &KafkaError) -> ClientError {
        let fatal = self.producer.client().fatal_error().map(|(_, reason)| reason);
        let reason = fatal.unwrap_or_else(|| error.to_string());
        ClientError::Undelivered { count: 1, topic: self.topic.clone(), reason }
    }
}
