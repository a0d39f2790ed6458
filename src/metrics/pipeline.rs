//! What a pipeline did for its requests.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::{catalogue, counter, histogram};
use crate::error::ErrorCode;

/// The stages of the journey that are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A chunk, from bytes to columns.
    Decode,
    /// A group, through the steps around `predict`.
    Steps,
    /// A group, waiting for a session.
    Queue,
    /// A batch, in the model.
    Inference,
    /// A chunk, from columns to bytes.
    Encode,
    /// A chunk, until the broker has acknowledged its answers.
    Publish,
}

impl Stage {
    /// Every stage, in the order of the journey.
    pub const ALL: [Self; 6] = [Self::Decode, Self::Steps, Self::Queue, Self::Inference, Self::Encode, Self::Publish];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Steps => "steps",
            Self::Queue => "queue",
            Self::Inference => "inference",
            Self::Encode => "encode",
            Self::Publish => "publish",
        }
    }
}

/// The series of one pipeline. All of them are there from the start, at 0, so that a rate sees the first error.
#[derive(Debug)]
pub struct PipelineMetrics {
    ok: Counter,
    errors: [Counter; ErrorCode::ALL.len()],
    rows: Counter,
    latency: Histogram,
    stages: [Histogram; Stage::ALL.len()],
    dead_letters: Counter,
}

impl PipelineMetrics {
    /// The series of the pipeline of this name.
    pub fn new(pipeline: &str) -> Self {
        Self {
            ok: counter(&catalogue::REQUESTS, &[pipeline, "OK"]),
            errors: ErrorCode::ALL.map(|code| counter(&catalogue::REQUESTS, &[pipeline, code.as_str()])),
            rows: counter(&catalogue::ROWS_ANSWERED, &[pipeline]),
            latency: histogram(&catalogue::REQUEST_LATENCY, &[pipeline]),
            stages: Stage::ALL.map(|stage| histogram(&catalogue::STAGE_DURATION, &[pipeline, stage.as_str()])),
            dead_letters: counter(&catalogue::DEAD_LETTERS, &[pipeline]),
        }
    }

    /// `requests` were answered with a result, or with an error of this code.
    pub fn answered(&self, error: Option<ErrorCode>, requests: u64) {
        match error {
            None => self.ok.increment(requests),
            Some(code) => self.errors[code as usize].increment(requests),
        }
    }

    /// So many rows were answered.
    pub fn rows(&self, rows: u64) {
        self.rows.increment(rows);
    }

    /// `requests` took the same time from their records' timestamp to the acknowledgement: one observation for all of them,
    /// none if there are none.
    pub fn latency(&self, took: Duration, requests: usize) {
        if requests > 0 {
            self.latency.record(took.as_secs_f64());
        }
    }

    /// Requests were acknowledged at `now`; `timestamps` are those of their records. Both are milliseconds since the Unix
    /// epoch. One observation for each run of equal timestamps, of which a busy topic is made: an observation takes tens of
    /// nanoseconds, which is much beside what a request costs.
    ///
    /// A record without a timestamp (a negative one) is left out; one from the future (a clock that is wrong) took no time.
    pub fn latencies(&self, now: i64, timestamps: impl IntoIterator<Item = i64>) {
        let mut run = (NO_TIMESTAMP, 0);
        for timestamp in timestamps {
            if timestamp == run.0 {
                run.1 += 1;
            } else {
                self.latency_run(now, run);
                run = (timestamp, 1);
            }
        }
        self.latency_run(now, run);
    }

    fn latency_run(&self, now: i64, (timestamp, requests): (i64, usize)) {
        if timestamp >= 0 {
            let milliseconds = now.saturating_sub(timestamp).max(0).unsigned_abs();
            self.latency(Duration::from_millis(milliseconds), requests);
        }
    }

    /// A chunk, group or batch spent this long in a stage.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].record(took.as_secs_f64());
    }

    /// So many messages went to the dead-letter topic.
    pub fn dead_letters(&self, messages: u64) {
        self.dead_letters.increment(messages);
    }
}

/// Kafka's timestamp of a record that has none.
const NO_TIMESTAMP: i64 = -1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Metrics;

    fn pipeline() -> (Metrics, PipelineMetrics) {
        let metrics = Metrics::default();
        let pipeline = metrics.scope(|| PipelineMetrics::new("p"));
        (metrics, pipeline)
    }

    fn line(metrics: &Metrics, start: &str) -> String {
        let text = metrics.render();
        text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} in {text}")).to_owned()
    }

    #[test]
    fn an_outcome_is_counted_under_its_own_code() {
        let (metrics, pipeline) = pipeline();
        pipeline.answered(None, 5);
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            pipeline.answered(Some(code), index as u64);
        }
        assert!(line(&metrics, "modelmill_requests_total{pipeline=\"p\",outcome=\"OK\"}").ends_with(" 5"));
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            let series = format!("modelmill_requests_total{{pipeline=\"p\",outcome=\"{code}\"}} {index}");
            assert_eq!(line(&metrics, &series), series);
        }
    }

    #[test]
    fn a_stage_is_timed_under_its_own_name() {
        let (metrics, pipeline) = pipeline();
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            pipeline.stage(stage, Duration::from_secs(index as u64));
        }
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            let name = stage.as_str();
            let sum = format!("modelmill_stage_duration_seconds_sum{{pipeline=\"p\",stage=\"{name}\"}}");
            assert_eq!(line(&metrics, &sum), format!("{sum} {index}"));
        }
    }

    #[test]
    fn a_record_without_a_timestamp_is_left_out_and_one_from_the_future_took_no_time() {
        let (metrics, pipeline) = pipeline();
        pipeline.latencies(1_000, [-1, -1, 500, 2_000]);
        assert!(line(&metrics, "modelmill_request_latency_seconds_count").ends_with(" 2"));
        assert!(line(&metrics, "modelmill_request_latency_seconds_sum").ends_with(" 0.5"));
        assert!(
            line(&metrics, "modelmill_request_latency_seconds_bucket{pipeline=\"p\",le=\"0.001\"}").ends_with(" 1")
        );
    }

    proptest! {
        #[test]
        fn a_chunk_is_observed_once_for_each_run_of_equal_timestamps(
            mut timestamps in prop::collection::vec(0_i64..4, 0..50),
        ) {
            let ((together, chunk), (singly, requests)) = (pipeline(), pipeline());
            chunk.latencies(5, timestamps.iter().copied());
            timestamps.dedup();
            for timestamp in timestamps {
                requests.latency(Duration::from_millis(5 - timestamp as u64), 1);
            }
            for bound in ["0.001", "0.0025", "0.005", "+Inf"] {
                let bucket = format!("modelmill_request_latency_seconds_bucket{{pipeline=\"p\",le=\"{bound}\"}}");
                prop_assert_eq!(line(&together, &bucket), line(&singly, &bucket));
            }
        }
    }
}
