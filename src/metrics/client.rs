//! How the Kafka clients are: what of librdkafka's statistics an operator asks for.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use metrics::{Counter, Gauge};

use super::{catalogue, counter, gauge};

/// Which client of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaClient {
    /// Takes requests.
    Consumer,
    /// Publishes answers.
    Producer,
}

impl KafkaClient {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Producer => "producer",
        }
    }
}

/// One report of a client about itself, every `statistics.interval.ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientStatistics {
    /// Brokers whose connection is up.
    pub brokers_connected: u64,
    /// Bytes received since the client was made.
    pub received_bytes: u64,
    /// Bytes sent since the client was made.
    pub sent_bytes: u64,
    /// Messages in the client's queues.
    pub queued_messages: u64,
    /// Bytes in the client's queues.
    pub queued_bytes: u64,
    /// Average round trip of the slowest broker.
    pub round_trip: Duration,
}

/// The series of one client.
#[derive(Debug)]
pub struct ClientMetrics {
    connected: Gauge,
    brokers_connected: Gauge,
    received: Growing,
    sent: Growing,
    queued_messages: Gauge,
    queued_bytes: Gauge,
    round_trip: Gauge,
}

impl ClientMetrics {
    /// The series of this client; one that replaces another goes on with its counters.
    pub fn new(client: KafkaClient) -> Self {
        let labels = [client.as_str()];
        Self {
            connected: gauge(&catalogue::CLIENT_CONNECTED, &labels),
            brokers_connected: gauge(&catalogue::CLIENT_BROKERS, &labels),
            received: Growing::new(counter(&catalogue::CLIENT_RECEIVED, &labels)),
            sent: Growing::new(counter(&catalogue::CLIENT_SENT, &labels)),
            queued_messages: gauge(&catalogue::CLIENT_QUEUED_MESSAGES, &labels),
            queued_bytes: gauge(&catalogue::CLIENT_QUEUED_BYTES, &labels),
            round_trip: gauge(&catalogue::CLIENT_ROUND_TRIP, &labels),
        }
    }

    /// The client reaches a broker again, or none any more; for what is known before the next report.
    pub fn connected(&self, yes: bool) {
        self.connected.set(f64::from(u8::from(yes)));
    }

    /// The client reports.
    pub fn report(&self, statistics: &ClientStatistics) {
        self.connected(statistics.brokers_connected > 0);
        self.brokers_connected.set(statistics.brokers_connected as f64);
        self.received.is(statistics.received_bytes);
        self.sent.is(statistics.sent_bytes);
        self.queued_messages.set(statistics.queued_messages as f64);
        self.queued_bytes.set(statistics.queued_bytes as f64);
        self.round_trip.set(statistics.round_trip.as_secs_f64());
    }
}

/// A counter that follows a total which starts at 0 with every new client.
#[derive(Debug)]
struct Growing {
    counter: Counter,
    seen: AtomicU64,
}

impl Growing {
    fn new(counter: Counter) -> Self {
        Self { counter, seen: AtomicU64::new(0) }
    }

    fn is(&self, total: u64) {
        let before = self.seen.fetch_max(total, Ordering::Relaxed);
        self.counter.increment(total.saturating_sub(before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_client_that_replaces_another_goes_on_counting() {
        let metrics = Metrics::default();
        let first = metrics.scope(|| ClientMetrics::new(KafkaClient::Producer));
        first.report(&ClientStatistics { sent_bytes: 100, ..Default::default() });
        first.report(&ClientStatistics { sent_bytes: 150, ..Default::default() });
        drop(first);
        let second = metrics.scope(|| ClientMetrics::new(KafkaClient::Producer));
        second.report(&ClientStatistics { sent_bytes: 20, ..Default::default() });
        let text = metrics.render();
        assert!(text.contains("modelmill_kafka_sent_bytes_total{client=\"producer\"} 170\n"), "{text}");
    }

    #[test]
    fn a_client_without_brokers_is_not_connected() {
        let metrics = Metrics::default();
        let client = metrics.scope(|| ClientMetrics::new(KafkaClient::Consumer));
        let round_trip = Duration::from_millis(3);
        client.report(&ClientStatistics { brokers_connected: 2, round_trip, ..Default::default() });
        assert!(metrics.render().contains("modelmill_kafka_connected{client=\"consumer\"} 1\n"));
        assert!(metrics.render().contains("modelmill_kafka_round_trip_seconds{client=\"consumer\"} 0.003\n"));
        client.connected(false);
        assert!(metrics.render().contains("modelmill_kafka_connected{client=\"consumer\"} 0\n"));
    }
}
