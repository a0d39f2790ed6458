//! What librdkafka tells its owner: log lines go to `tracing`, the most telling error is kept for the sentence that a failure
//! ends in, and undelivered requests are counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};

use super::Properties;
use crate::broker::kafka::refusal::{Listener, Trouble};

/// Shared by the producer and the consumer of a client; each has its own.
#[derive(Default)]
pub struct Context {
    heard: Listener,
    connected: AtomicBool,
    undelivered: AtomicU64,
    undelivered_reason: Mutex<Option<String>>,
}

impl Context {
    /// The most telling error.
    pub fn heard(&self) -> Option<Trouble> {
        self.heard.heard()
    }

    /// From now on the log says what befalls the connection; until then it is said once, by the error that comes of it.
    pub fn connected(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    /// How many requests the broker did not acknowledge.
    pub fn undelivered(&self) -> u64 {
        self.undelivered.load(Ordering::Relaxed)
    }

    /// Why, for the last of them.
    pub fn undelivered_reason(&self) -> String {
        self.undelivered_reason.lock().clone().unwrap_or_else(|| "no reason was given".to_owned())
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        self.heard.hear_line(facility, message);
        match level {
            _ if facility == "FAIL" && !self.connected.load(Ordering::Relaxed) => {
                tracing::debug!(facility, "librdkafka: {message}");
            }
            // Producer properties on a consumer and the like: one map of properties configures both.
            _ if facility == "CONFWARN" => tracing::debug!(facility, "librdkafka: {message}"),
            Emerg | Alert | Critical => tracing::error!(facility, "librdkafka: {message}"),
            Error | Warning => tracing::warn!(facility, "librdkafka: {message}"),
            Notice | Info => tracing::info!(facility, "librdkafka: {message}"),
            Debug => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka reports an error");
        self.heard.hear(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = delivery {
            self.undelivered.fetch_add(1, Ordering::Relaxed);
            let reason = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
            *self.undelivered_reason.lock() = Some(reason);
        }
    }
}

/// A configuration of `defaults`, overridden by `properties`.
pub fn config(brokers: &str, defaults: &[(&str, &str)], properties: &Properties) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "modelmill-client").set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in defaults {
        config.set(*name, *value);
    }
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}
