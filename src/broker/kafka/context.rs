//! What librdkafka tells about itself, as few log lines as it takes.
//!
//! The client reports every failed attempt to connect, several times a second, and recovers by itself. We say once that the
//! brokers are gone and once that they are back; an error that no retry cures stops the worker.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rdkafka::{
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::Notify;

use crate::error::WorkerError;

/// An error that no retry cures, told once to whoever waits for it.
#[derive(Default)]
pub struct FatalError {
    reason: Mutex<Option<String>>,
    told: Notify,
}

impl FatalError {
    /// Tells the error; the first one stays.
    pub fn tell(&self, reason: String) {
        self.reason.lock().get_or_insert(reason);
        self.told.notify_waiters();
    }

    /// Waits for an error.
    pub async fn wait(&self) -> WorkerError {
        loop {
            let told = self.told.notified();
            if let Some(reason) = self.reason.lock().clone() {
                return WorkerError::Broker(reason);
            }
            told.await;
        }
    }
}

/// The log of one client.
pub struct ClientLog {
    /// `consumer` or `producer`, for people.
    role: &'static str,
    fatal: Arc<FatalError>,
    unreachable: AtomicBool,
}

impl ClientLog {
    /// A log that tells fatal errors to `fatal`.
    pub fn new(role: &'static str, fatal: Arc<FatalError>) -> Self {
        Self { role, fatal, unreachable: AtomicBool::new(false) }
    }

    /// A line of the client's own log: for those who debug it. What matters arrives as an error, too.
    pub fn line(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        let role = self.role;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", role, facility, "{text}");
            }
            _ => tracing::debug!(target: "librdkafka", role, facility, "{text}"),
        }
    }

    /// An error event.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let role = self.role;
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId) => self.fatal.tell(reason.to_owned()),
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL,
            ) => {
                if !self.unreachable.swap(true, Ordering::Relaxed) {
                    tracing::warn!(role, reason, "cannot reach the Kafka brokers; retrying until they answer");
                }
            }
            _ => tracing::warn!(role, reason, "{error}"),
        }
    }

    /// The brokers answer. Cheap: called for every chunk.
    pub fn reached(&self) {
        if self.unreachable.load(Ordering::Relaxed) && self.unreachable.swap(false, Ordering::Relaxed) {
            tracing::info!(role = self.role, "the Kafka brokers answer again");
        }
    }
}

/// Implements [`rdkafka::ClientContext`] for a context whose field `log` is a [`ClientLog`].
macro_rules! log_through {
    ($context:ty) => {
        impl rdkafka::ClientContext for $context {
            fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
                self.log.line(level, facility, text);
            }

            fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
                self.log.error(&error, reason);
            }

            fn stats(&self, statistics: rdkafka::Statistics) {
                self.statistics(&statistics);
            }
        }
    };
}
pub(super) use log_through;
