//! Records about the worker itself, for whoever follows them: nobody waits for these, and none of them stops anything.

use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer},
};

use super::settings::KafkaSettings;

/// The most records that wait for a broker; more are not announced.
const WAITING: &str = "10000";

/// How long the last records are waited for when the worker stops.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

/// Announces records in one topic.
pub struct Announcer {
    producer: ThreadedProducer<Quiet>,
    topic: String,
}

impl Announcer {
    /// Records go to `topic`, which need not be there yet.
    ///
    /// # Errors
    /// If the client's settings are wrong.
    pub fn new(settings: &KafkaSettings, topic: &str) -> Result<Self, KafkaError> {
        let mut config: ClientConfig = settings.admin();
        // Several states in a second are one request; a broker that is away for long is not waited for.
        for (key, value) in
            [("queue.buffering.max.messages", WAITING), ("linger.ms", "50"), ("message.timeout.ms", "300000")]
        {
            if !settings.properties.contains_key(key) {
                config.set(key, value);
            }
        }
        Ok(Self { producer: config.create_with_context(Quiet)?, topic: topic.to_owned() })
    }

    /// Announces a record; comes back at once.
    pub fn announce(&self, key: &str, value: &str) {
        if let Err((error, _)) = self.producer.send(BaseRecord::to(&self.topic).key(key).payload(value)) {
            tracing::warn!(topic = self.topic, key, %error, "an event is not announced");
        }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        // Who does not answer now is not waited for.
        drop(self.producer.flush(FAREWELL));
    }
}

/// The other clients of the worker say all there is to say about brokers.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the client of events");
    }
}

impl ProducerContext<NoCustomPartitioner> for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = delivered {
            tracing::warn!(topic = record.topic(), %error, "an event was not announced");
        }
    }
}
