//! Every metric there is: its name, type, labels, unit and meaning, said once.
//!
//! Handles are made of these definitions alone, `docs/metrics.md` is held against this list by a test, and a label has only
//! as many values as there are pipelines, model versions that were loaded, partitions or fixed words, never what a request
//! says: series are bounded.

/// One metric family.
#[derive(Debug)]
pub struct Definition {
    /// `modelmill_<noun>_<unit>[_total]`; the process's own figures keep the names that every Prometheus client gives them.
    pub name: &'static str,
    /// What it is and, for a histogram, where its buckets end.
    pub kind: Kind,
    /// Label names, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What one is counted in.
    pub unit: &'static str,
    /// What it means, for `# HELP` and the documentation.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per bucket; the upper bounds of all but the last one, `+Inf`.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word in a `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// From a millisecond (the broker's echo is about four) to five minutes (a backlog that is being worked off).
const LATENCY: Kind =
    Kind::Histogram(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]);

/// From ten microseconds (decoding a small chunk, one run of a regression) to the longest run of a transformer.
const WORK: Kind = Kind::Histogram(&[
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
]);

/// From a model of a few kilobytes on the local disk to gigabytes that are fetched first.
const LOADING: Kind =
    Kind::Histogram(&[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0]);

/// Rows of a batch: beyond a few thousand in one run a row gets dearer again.
const ROWS: Kind =
    Kind::Histogram(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0]);

/// Messages of a chunk; `limits.chunk_messages` caps it.
const MESSAGES: Kind = Kind::Histogram(&[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]);

/// Bytes of a chunk: 1 KiB to 64 MiB.
const BYTES: Kind = Kind::Histogram(&[
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
]);

/// Writes the list once, as constants and as [`ALL`].
macro_rules! catalogue {
    ($($id:ident: $kind:expr, $name:literal, [$($label:literal),*], $unit:literal, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Definition =
                Definition { name: $name, kind: $kind, labels: &[$($label),*], unit: $unit, help: $help };
        )*

        /// The whole list, in the order of the documentation.
        pub static ALL: &[&Definition] = &[$(&$id),*];
    };
}

catalogue! {
    REQUESTS: Kind::Counter, "modelmill_requests_total", ["pipeline", "outcome"], "requests",
        "Requests whose answer the broker has acknowledged, by outcome: OK or an error code.";
    ROWS_ANSWERED: Kind::Counter, "modelmill_rows_total", ["pipeline"], "rows",
        "Rows (instances) of the requests that were answered.";
    REQUEST_LATENCY: LATENCY, "modelmill_request_latency_seconds", ["pipeline"], "seconds",
        "Time from a request record's timestamp to the broker's acknowledgement of its answer; \
         one observation for each group of requests of a chunk with the same timestamp.";
    STAGE_DURATION: WORK, "modelmill_stage_duration_seconds", ["pipeline", "stage"], "seconds",
        "Time that a chunk, group or batch spent in a stage: decode, steps, queue, inference, encode or publish.";
    DEAD_LETTERS: Kind::Counter, "modelmill_dead_letters_total", ["pipeline"], "messages",
        "Messages that went to the dead-letter topic: those that could not be decoded, and those that killed the worker.";

    BATCH_ROWS: ROWS, "modelmill_batch_rows", ["model", "version"], "rows",
        "Rows of each run of a model.";
    INFERENCE_DURATION: WORK, "modelmill_inference_duration_seconds", ["model", "version"], "seconds",
        "Time of each run of a model.";
    INFERENCE_FAILURES: Kind::Counter, "modelmill_inference_failures_total", ["model", "version"], "runs",
        "Runs that the model failed; a failed batch is halved until the poison request is alone.";
    QUEUE_DURATION: WORK, "modelmill_queue_duration_seconds", ["model", "version"], "seconds",
        "Time that rows waited for a session, once for each group that was handed to the batcher.";
    QUEUE_ROWS: Kind::Gauge, "modelmill_queue_rows", ["model", "version"], "rows",
        "Rows that wait for a session.";
    ROW_COST: Kind::Gauge, "modelmill_row_cost_seconds", ["model", "version"], "seconds",
        "What the batcher has learnt that a row costs.";
    BATCH_TARGET: Kind::Gauge, "modelmill_batch_target_rows", ["model", "version"], "rows",
        "How many rows the batcher aims at for a run, so that it stays near target_run_time.";
    MODEL_STATE: Kind::Gauge, "modelmill_model_version_state", ["model", "version", "state"], "1",
        "1 for the state that a model version is in (aspired, loading, available, unloaded, retiring or failed), 0 for one it has left.";
    MODEL_LOAD_DURATION: LOADING, "modelmill_model_load_duration_seconds", ["model"], "seconds",
        "Time from the start of a load to a version that may serve: fetch, session, checks and warm-up.";
    MODEL_LOAD_FAILURES: Kind::Counter, "modelmill_model_load_failures_total", ["model"], "loads",
        "Versions that could not be loaded; the version in service, if any, goes on.";
    REPOSITORY_LOOK_DURATION: LOADING, "modelmill_repository_look_duration_seconds", [], "seconds",
        "How long each look at the model repository took: a listing, and the manifests that are new.";
    REPOSITORY_LOOK_FAILURES: Kind::Counter, "modelmill_repository_look_failures_total", [], "looks",
        "Looks at the model repository that failed; what serves goes on.";
    REPOSITORY_NOTIFICATIONS: Kind::Counter, "modelmill_repository_notifications_total", ["result"], "records",
        "Records of models.notifications_topic: those that hastened a look, and those that were ignored since they are about other objects.";

    IN_FLIGHT_BYTES: Kind::Gauge, "modelmill_in_flight_bytes", [], "bytes",
        "Bytes of the messages that were consumed and are not yet answered.";
    IN_FLIGHT_MESSAGES: Kind::Gauge, "modelmill_in_flight_messages", [], "messages",
        "Messages that were consumed and are not yet answered.";
    CHUNK_MESSAGES: MESSAGES, "modelmill_chunk_messages", [], "messages",
        "Messages of each chunk that one poll handed over.";
    CHUNK_BYTES: BYTES, "modelmill_chunk_bytes", [], "bytes",
        "Bytes of each chunk that one poll handed over.";
    LAG: Kind::Gauge, "modelmill_consumer_lag_messages", ["topic", "partition"], "messages",
        "Messages of an assigned partition whose answers are not committed yet: unfinished work.";
    SUSPECTED: Kind::Gauge, "modelmill_suspected_messages", [], "messages",
        "Messages that were in flight when the worker last died and have not come again yet; they are run a few at a time.";
    CONDEMNED: Kind::Counter, "modelmill_condemned_messages_total", [], "messages",
        "Messages that were not run again since the worker died with them, the last time with each of them alone.";
    COMMITS: Kind::Counter, "modelmill_commits_total", ["result"], "commits",
        "Offset commits, by result: ok or failed.";
    TRANSACTIONS: LATENCY, "modelmill_transaction_duration_seconds", ["outcome"], "seconds",
        "Transactions of `delivery: exactly_once`, from their first answer to their end, by outcome: committed or aborted.";
    REBALANCES: Kind::Counter, "modelmill_rebalances_total", ["event"], "events",
        "Rebalance events: assigned, revoked or lost.";
    ASSIGNED: Kind::Gauge, "modelmill_assigned_partitions", [], "partitions",
        "Partitions that the consumer group has given to this worker.";

    CLIENT_CONNECTED: Kind::Gauge, "modelmill_kafka_connected", ["client"], "1",
        "1 while the client (consumer or producer) reaches a broker, 0 while it reaches none.";
    CLIENT_BROKERS: Kind::Gauge, "modelmill_kafka_brokers_connected", ["client"], "brokers",
        "Brokers that the client is connected to.";
    CLIENT_RECEIVED: Kind::Counter, "modelmill_kafka_received_bytes_total", ["client"], "bytes",
        "Bytes that the client has received from brokers.";
    CLIENT_SENT: Kind::Counter, "modelmill_kafka_sent_bytes_total", ["client"], "bytes",
        "Bytes that the client has sent to brokers.";
    CLIENT_QUEUED_MESSAGES: Kind::Gauge, "modelmill_kafka_queued_messages", ["client"], "messages",
        "Messages in the client's own queues: fetched and not yet polled, or produced and not yet acknowledged.";
    CLIENT_QUEUED_BYTES: Kind::Gauge, "modelmill_kafka_queued_bytes", ["client"], "bytes",
        "Bytes in the client's own queues.";
    CLIENT_ROUND_TRIP: Kind::Gauge, "modelmill_kafka_round_trip_seconds", ["client"], "seconds",
        "Average round trip of the client's requests, of the slowest broker, over the last statistics interval.";

    BUILD_INFO: Kind::Gauge, "modelmill_build_info", ["version"], "1",
        "Always 1; the label says which modelmill runs.";
    PROCESS_CPU: Kind::Counter, "process_cpu_seconds_total", [], "seconds",
        "User and system CPU time of the process.";
    PROCESS_RESIDENT: Kind::Gauge, "process_resident_memory_bytes", [], "bytes",
        "Resident memory of the process.";
    PROCESS_VIRTUAL: Kind::Gauge, "process_virtual_memory_bytes", [], "bytes",
        "Virtual memory of the process.";
    PROCESS_OPEN_FDS: Kind::Gauge, "process_open_fds", [], "descriptors",
        "Open file descriptors.";
    PROCESS_MAX_FDS: Kind::Gauge, "process_max_fds", [], "descriptors",
        "Most file descriptors that the process may open.";
    PROCESS_THREADS: Kind::Gauge, "process_threads", [], "threads",
        "Threads of the process.";
    PROCESS_START: Kind::Gauge, "process_start_time_seconds", [], "seconds",
        "When the process started, since the Unix epoch.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_unit_and_only_counters_end_in_total() {
        for definition in ALL {
            let counter = matches!(definition.kind, Kind::Counter);
            assert_eq!(definition.name.ends_with("_total"), counter, "{}", definition.name);
            assert!(
                definition.name.starts_with("modelmill_") || definition.name.starts_with("process_"),
                "{}",
                definition.name
            );
            if ["seconds", "bytes"].contains(&definition.unit) {
                assert!(definition.name.trim_end_matches("_total").ends_with(definition.unit), "{}", definition.name);
            }
        }
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = ALL.iter().map(|definition| definition.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn bucket_bounds_rise() {
        for definition in ALL {
            if let Kind::Histogram(bounds) = definition.kind {
                assert!(bounds.is_sorted_by(|a, b| a < b), "{}", definition.name);
            }
        }
    }
}
