//! What librdkafka tells about itself, as few log lines as it takes.
//!
//! The client reports every failed attempt to connect, several times a second, and recovers by itself. We say once that the
//! brokers are gone and once that they are back; an error that no retry cures stops the worker; any other, such as a right
//! that was taken away, is told once a minute while it lasts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::Notify;

use crate::{
    error::WorkerError,
    metrics::{ClientMetrics, ClientStatistics, KafkaClient},
};

/// How often the same error is told.
const AGAIN: Duration = Duration::from_secs(60);

/// An error that no retry cures, told once to whoever waits for it.
#[derive(Default)]
pub struct FatalError {
    error: Mutex<Option<WorkerError>>,
    told: Notify,
}

impl FatalError {
    /// Tells the error; the first one stays.
    pub fn tell(&self, error: WorkerError) {
        self.error.lock().get_or_insert(error);
        self.told.notify_waiters();
    }

    /// Tells that the client has failed for good, with what to do where that is known.
    pub fn tell_of_client(&self, reason: String) {
        self.tell(WorkerError::Broker(last_words(reason)));
    }

    /// Waits for an error.
    pub async fn wait(&self) -> WorkerError {
        loop {
            let told = self.told.notified();
            if let Some(error) = self.error.lock().clone() {
                return error;
            }
            told.await;
        }
    }
}

/// Why a client has failed for good, with what to do where that is known.
fn last_words(reason: String) -> String {
    // What becomes of two members of one name, by the classic protocol and by that of Kafka 4.
    let is_of_names = ["group.instance.id", "instance ID"].iter().any(|words| reason.contains(words));
    if is_of_names { format!("{reason}; each worker needs a group.instance.id of its own") } else { reason }
}

/// Whether the brokers are out of reach, as the worker's clients share it: what happens to all of them is told once.
#[derive(Debug, Default)]
pub struct Reach {
    is_lost: AtomicBool,
}

/// What one client tells: its log, its errors, its figures.
pub struct ClientLog {
    /// `consumer` or `producer`, for people.
    role: &'static str,
    fatal: Arc<FatalError>,
    reach: Arc<Reach>,
    unreachable: AtomicBool,
    outage: Mutex<Outage>,
    /// When each kind of other error was told last.
    told: Mutex<Vec<(RDKafkaErrorCode, Instant)>>,
    metrics: ClientMetrics,
}

/// What is known of an outage, which is one when all brokers are away, and told when something says why.
#[derive(Default)]
struct Outage {
    all_down: bool,
    reason: Option<String>,
}

impl ClientLog {
    /// A log that tells fatal errors to `fatal`.
    pub fn new(client: KafkaClient, fatal: Arc<FatalError>, reach: Arc<Reach>) -> Self {
        let metrics = ClientMetrics::new(client);
        let (unreachable, outage) = (AtomicBool::new(false), Mutex::default());
        Self { role: client.as_str(), fatal, reach, unreachable, outage, told: Mutex::default(), metrics }
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
            Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId) => {
                self.fatal.tell_of_client(reason.to_owned())
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => self.trouble(|outage| outage.all_down = true),
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL,
            ) => self.trouble(|outage| outage.reason = Some(reason.to_owned())),
            code if self.is_new(code) => tracing::warn!(role, reason, "{error}"),
            _ => tracing::debug!(role, reason, "{error}"),
        }
    }

    /// Whether an error is to be told: the client repeats it with every try, several times a second.
    pub fn is_new(&self, code: Option<RDKafkaErrorCode>) -> bool {
        let Some(code) = code else { return true };
        let mut told = self.told.lock();
        told.retain(|(_, last)| last.elapsed() < AGAIN);
        let is_new = told.iter().all(|(known, _)| *known != code);
        if is_new {
            told.push((code, Instant::now()));
        }
        is_new
    }

    /// Takes note of a trouble; the one that completes the picture is told, by the first client that sees it.
    fn trouble(&self, note: impl FnOnce(&mut Outage)) {
        let mut outage = self.outage.lock();
        note(&mut outage);
        let Outage { all_down: true, reason: Some(reason) } = &*outage else { return };
        if self.unreachable.swap(true, Ordering::Relaxed) {
            return;
        }
        self.metrics.connected(false);
        if !self.reach.is_lost.swap(true, Ordering::Relaxed) {
            tracing::warn!(role = self.role, reason, "cannot reach the Kafka brokers; retrying until they answer");
        }
    }

    /// The brokers answer: they took an answer or a commit. Records say nothing, as the client may have had them since before
    /// the outage. Cheap: called for every answer.
    pub fn reached(&self) {
        if self.unreachable.load(Ordering::Relaxed) && self.unreachable.swap(false, Ordering::Relaxed) {
            *self.outage.lock() = Outage::default();
            self.metrics.connected(true);
            if self.reach.is_lost.swap(false, Ordering::Relaxed) {
                tracing::info!(role = self.role, "the Kafka brokers answer again");
            }
        }
    }
}

impl ClientLog {
    /// The client's own statistics, every `statistics.interval.ms`.
    pub fn statistics(&self, statistics: &rdkafka::Statistics) {
        let up = statistics.brokers.values().filter(|broker| broker.nodeid >= 0 && broker.state == "UP");
        if up.clone().next().is_some() {
            // Without traffic, nothing else tells that a broker is back.
            self.outage.lock().all_down = false;
            self.reached();
        }
        let slowest = up.clone().filter_map(|broker| Some(broker.rtt.as_ref()?.avg)).max().unwrap_or(0);
        let whole = |number: i64| u64::try_from(number).unwrap_or(0);
        self.metrics.report(&ClientStatistics {
            brokers_connected: up.count() as u64,
            received_bytes: whole(statistics.rx_bytes),
            sent_bytes: whole(statistics.tx_bytes),
            queued_messages: statistics.msg_cnt,
            queued_bytes: statistics.msg_size,
            round_trip: Duration::from_micros(whole(slowest)),
        });
    }
}

/// Implements [`rdkafka::ClientContext`] for a context whose field `log` is a [`ClientLog`]; the context may look at the
/// client's statistics, too.
macro_rules! log_through {
    ($context:ty) => {
        log_through!($context, |_: &Self, _: &rdkafka::Statistics| {});
    };
    ($context:ty, $look:expr) => {
        impl rdkafka::ClientContext for $context {
            fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
                self.log.line(level, facility, text);
            }

            fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
                self.log.error(&error, reason);
            }

            fn stats(&self, statistics: rdkafka::Statistics) {
                self.log.statistics(&statistics);
                ($look)(self, &statistics);
            }
        }
    };
}
pub(super) use log_through;
