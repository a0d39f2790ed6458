//! What the worker holds in its hands: chunks, what is in flight, commits, partitions and their lag.

use std::{collections::HashMap, time::Duration};

use metrics::{Counter, Gauge, Histogram};

use super::{TransientGauge, catalogue, counter, gauge, histogram};

/// What the consumer group did with this worker's partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceEvent {
    /// Partitions were given.
    Assigned,
    /// Partitions were asked back.
    Revoked,
    /// Partitions were taken without asking, since the group thought the worker dead.
    Lost,
}

impl RebalanceEvent {
    /// Every event.
    pub const ALL: [Self; 3] = [Self::Assigned, Self::Revoked, Self::Lost];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
        }
    }
}

/// How transactions end.
#[derive(Debug)]
pub struct TransactionMetrics {
    committed: Histogram,
    aborted: Histogram,
}

impl TransactionMetrics {
    /// The worker's series.
    #[expect(clippy::new_without_default, reason = "series are registered, which a default would hide")]
    pub fn new() -> Self {
        let series = |outcome| histogram(&catalogue::TRANSACTIONS, &[outcome]);
        Self { committed: series("committed"), aborted: series("aborted") }
    }

    /// What a transaction held is there for its readers, so long after it was begun.
    pub fn committed(&self, took: Duration) {
        self.committed.record(took.as_secs_f64());
    }

    /// Nothing of it will ever be seen.
    pub fn aborted(&self, took: Duration) {
        self.aborted.record(took.as_secs_f64());
    }
}

/// The series of one worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    in_flight_messages: Gauge,
    in_flight_bytes: Gauge,
    chunk_messages: Histogram,
    chunk_bytes: Histogram,
    commits_ok: Counter,
    commits_failed: Counter,
    rebalances: [Counter; RebalanceEvent::ALL.len()],
}

impl WorkerMetrics {
    /// The worker's series.
    #[expect(clippy::new_without_default, reason = "series are registered, which a default would hide")]
    pub fn new() -> Self {
        Self {
            in_flight_messages: gauge(&catalogue::IN_FLIGHT_MESSAGES, &[]),
            in_flight_bytes: gauge(&catalogue::IN_FLIGHT_BYTES, &[]),
            chunk_messages: histogram(&catalogue::CHUNK_MESSAGES, &[]),
            chunk_bytes: histogram(&catalogue::CHUNK_BYTES, &[]),
            commits_ok: counter(&catalogue::COMMITS, &["ok"]),
            commits_failed: counter(&catalogue::COMMITS, &["failed"]),
            rebalances: RebalanceEvent::ALL.map(|event| counter(&catalogue::REBALANCES, &[event.as_str()])),
        }
    }

    /// A poll handed over a chunk.
    pub fn chunk(&self, messages: usize, bytes: usize) {
        self.chunk_messages.record(messages as f64);
        self.chunk_bytes.record(bytes as f64);
    }

    /// So much is in flight now.
    pub fn in_flight(&self, messages: usize, bytes: usize) {
        self.in_flight_messages.set(messages as f64);
        self.in_flight_bytes.set(bytes as f64);
    }

    /// The broker took a commit, or refused it.
    pub fn committed(&self, ok: bool) {
        let result = if ok { &self.commits_ok } else { &self.commits_failed };
        result.increment(1);
    }

    /// The group gave or took partitions.
    pub fn rebalanced(&self, event: RebalanceEvent) {
        self.rebalances[event as usize].increment(1);
    }
}

/// What the worker died with.
#[derive(Debug)]
pub struct SuspectMetrics {
    suspected: Gauge,
    condemned: Counter,
}

impl SuspectMetrics {
    /// The worker's series.
    #[expect(clippy::new_without_default, reason = "series are registered, which a default would hide")]
    pub fn new() -> Self {
        Self { suspected: gauge(&catalogue::SUSPECTED, &[]), condemned: counter(&catalogue::CONDEMNED, &[]) }
    }

    /// So many messages have not come again yet.
    pub fn suspected(&self, messages: u64) {
        self.suspected.set(messages as f64);
    }

    /// A message is not run again.
    pub fn condemned(&self) {
        self.condemned.increment(1);
    }
}

/// How many partitions the worker has; [`crate::admin::Status`] keeps it in step.
#[derive(Debug)]
pub struct AssignmentMetrics {
    partitions: Gauge,
}

impl AssignmentMetrics {
    /// The worker's series.
    #[expect(clippy::new_without_default, reason = "a series is registered, which a default would hide")]
    pub fn new() -> Self {
        Self { partitions: gauge(&catalogue::ASSIGNED, &[]) }
    }

    /// The worker has so many partitions now.
    pub fn partitions(&self, partitions: usize) {
        self.partitions.set(partitions as f64);
    }
}

/// The lag of each assigned partition.
#[derive(Debug, Default)]
pub struct LagMetrics {
    by_partition: HashMap<(String, i32), TransientGauge>,
}

impl LagMetrics {
    /// So many messages of a partition are unfinished.
    pub fn set(&mut self, topic: &str, partition: i32, messages: u64) {
        let series = self
            .by_partition
            .entry((topic.to_owned(), partition))
            .or_insert_with(|| TransientGauge::new(&catalogue::LAG, &[topic, &partition.to_string()]));
        series.set(messages as f64);
    }

    /// A partition is no longer this worker's: its lag falls to 0, and another worker reports it from now on.
    pub fn forget(&mut self, topic: &str, partition: i32) {
        self.by_partition.remove(&(topic.to_owned(), partition));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_the_worker_observes_is_seen() {
        let metrics = Metrics::default();
        let worker = metrics.scope(WorkerMetrics::new);
        worker.chunk(1000, 200_000);
        worker.in_flight(1500, 300_000);
        worker.in_flight(500, 100_000);
        worker.committed(true);
        worker.committed(true);
        worker.committed(false);
        worker.rebalanced(RebalanceEvent::Lost);
        let text = metrics.render();
        for line in [
            "modelmill_chunk_messages_bucket{le=\"500\"} 0",
            "modelmill_chunk_messages_bucket{le=\"1000\"} 1",
            "modelmill_chunk_bytes_sum 200000",
            "modelmill_in_flight_messages 500",
            "modelmill_in_flight_bytes 100000",
            "modelmill_commits_total{result=\"ok\"} 2",
            "modelmill_commits_total{result=\"failed\"} 1",
            "modelmill_rebalances_total{event=\"lost\"} 1",
            "modelmill_rebalances_total{event=\"assigned\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_revoked_partition_has_no_lag_here() {
        let (metrics, mut lag) = (Metrics::default(), LagMetrics::default());
        metrics.scope(|| {
            lag.set("requests", 0, 10);
            lag.set("requests", 1, 20);
            lag.set("requests", 2, 30);
            lag.set("requests", 1, 21);
        });
        lag.forget("requests", 0);
        lag.forget("requests", 2);
        let text = metrics.render();
        let mut shown: Vec<_> = text.lines().filter(|line| line.starts_with("modelmill_consumer_lag")).collect();
        shown.sort_unstable();
        assert_eq!(
            shown,
            [
                "modelmill_consumer_lag_messages{topic=\"requests\",partition=\"0\"} 0",
                "modelmill_consumer_lag_messages{topic=\"requests\",partition=\"1\"} 21",
                "modelmill_consumer_lag_messages{topic=\"requests\",partition=\"2\"} 0",
            ]
        );
    }
}
