//! What models cost: their runs, their queues, their loads, and which versions there are.

use std::{collections::HashMap, time::Duration};

use metrics::{Counter, Histogram};
use parking_lot::Mutex;

use super::{TransientGauge, catalogue, counter, histogram};

/// The series of one model version, held by its batcher: when it is retired, its gauges fall to 0, and all go a minute later.
#[derive(Debug)]
pub struct ModelMetrics {
    batch_rows: Histogram,
    inference: Histogram,
    failures: Counter,
    queue: Histogram,
    queue_rows: TransientGauge,
    row_cost: TransientGauge,
    batch_target: TransientGauge,
}

impl ModelMetrics {
    /// The series of this version of this model.
    pub fn new(model: &str, version: u64) -> Self {
        let version = version.to_string();
        let labels = [model, &version];
        Self {
            batch_rows: histogram(&catalogue::BATCH_ROWS, &labels),
            inference: histogram(&catalogue::INFERENCE_DURATION, &labels),
            failures: counter(&catalogue::INFERENCE_FAILURES, &labels),
            queue: histogram(&catalogue::QUEUE_DURATION, &labels),
            queue_rows: TransientGauge::new(&catalogue::QUEUE_ROWS, &labels),
            row_cost: TransientGauge::new(&catalogue::ROW_COST, &labels),
            batch_target: TransientGauge::new(&catalogue::BATCH_TARGET, &labels),
        }
    }

    /// The model ran on so many rows, for so long.
    pub fn ran(&self, rows: usize, took: Duration) {
        self.batch_rows.record(rows as f64);
        self.inference.record(took.as_secs_f64());
    }

    /// The model failed a run.
    pub fn failed(&self) {
        self.failures.increment(1);
    }

    /// Rows that were handed over together got a session after this long.
    pub fn queued(&self, waited: Duration) {
        self.queue.record(waited.as_secs_f64());
    }

    /// So many rows wait now.
    pub fn waiting(&self, rows: usize) {
        self.queue_rows.set(rows as f64);
    }

    /// What the batcher believes now: the cost of a row, and the rows that it aims at for a run.
    pub fn learnt(&self, row_cost: Duration, target_rows: usize) {
        self.row_cost.set(row_cost.as_secs_f64());
        self.batch_target.set(target_rows as f64);
    }
}

/// How loads of one model go. Whoever loads a version makes it; [`ModelStateMetrics`] holds its series from one load to the
/// next, for as long as there is the model.
#[derive(Debug)]
pub struct LoadMetrics {
    duration: Histogram,
    failures: Counter,
}

impl LoadMetrics {
    /// The series of this model.
    pub fn new(model: &str) -> Self {
        Self {
            duration: histogram(&catalogue::MODEL_LOAD_DURATION, &[model]),
            failures: counter(&catalogue::MODEL_LOAD_FAILURES, &[model]),
        }
    }

    /// A version may serve, after this long.
    pub fn loaded(&self, took: Duration) {
        self.duration.record(took.as_secs_f64());
    }

    /// A version could not be loaded.
    pub fn failed(&self) {
        self.failures.increment(1);
    }
}

/// How looks at the repository go.
#[derive(Debug)]
pub struct RepositoryMetrics {
    duration: Histogram,
    failures: Counter,
}

impl Default for RepositoryMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl RepositoryMetrics {
    /// The series of this process.
    pub fn new() -> Self {
        Self {
            duration: histogram(&catalogue::REPOSITORY_LOOK_DURATION, &[]),
            failures: counter(&catalogue::REPOSITORY_LOOK_FAILURES, &[]),
        }
    }

    /// A look took so long, or failed.
    pub fn looked(&self, took: Option<Duration>) {
        match took {
            Some(took) => self.duration.record(took.as_secs_f64()),
            None => self.failures.increment(1),
        }
    }
}

/// What the object store's notifications are good for.
#[derive(Debug)]
pub struct NotificationMetrics {
    hastened: Counter,
    ignored: Counter,
}

impl Default for NotificationMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl NotificationMetrics {
    /// The series of this process.
    pub fn new() -> Self {
        let series = |result| counter(&catalogue::REPOSITORY_NOTIFICATIONS, &[result]);
        Self { hastened: series("hastened"), ignored: series("ignored") }
    }

    /// A record was heard, and hastens a look or is about something else.
    pub fn heard(&self, hastens: bool) {
        let series = if hastens { &self.hastened } else { &self.ignored };
        series.increment(1);
    }
}

/// States in which a version may be that nobody has tried to load: a thousand of them need no histograms.
const NEVER_LOADED: [&str; 2] = ["aspired", "unloaded"];

/// What is shown of a model.
#[derive(Debug, Default)]
struct Shown {
    /// By version and state.
    states: HashMap<(u64, &'static str), TransientGauge>,
    /// Once a version has been loaded, or should have been.
    loads: Option<LoadMetrics>,
}

/// Which model versions there are and in which state; [`crate::admin::Status`] keeps it in step.
#[derive(Debug, Default)]
pub struct ModelStateMetrics {
    shown: Mutex<HashMap<String, Shown>>,
}

impl ModelStateMetrics {
    /// Shows exactly these versions and states of a model. What was shown of it before and is not among them falls to 0.
    pub fn show(&self, model: &str, versions: impl IntoIterator<Item = (u64, &'static str)>) {
        // Two setters at once must not leave the series of one beside the handles of the other.
        let mut shown = self.shown.lock();
        let mut before = shown.remove(model).unwrap_or_default();
        let mut now = Shown { states: HashMap::new(), loads: before.loads };
        for (version, state) in versions {
            let new = || TransientGauge::new(&catalogue::MODEL_STATE, &[model, &version.to_string(), state]);
            let series = before.states.remove(&(version, state)).unwrap_or_else(new);
            series.set(1.0);
            now.states.insert((version, state), series);
            if !NEVER_LOADED.contains(&state) {
                now.loads.get_or_insert_with(|| LoadMetrics::new(model));
            }
        }
        if !now.states.is_empty() {
            shown.insert(model.to_owned(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_a_batcher_observes_is_seen_under_its_version() {
        let metrics = Metrics::default();
        let model = metrics.scope(|| ModelMetrics::new("iris", 3));
        model.ran(32, Duration::from_millis(2));
        model.queued(Duration::from_millis(1));
        model.waiting(7);
        model.learnt(Duration::from_micros(4), 512);
        model.failed();
        let text = metrics.render();
        for line in [
            r#"modelmill_batch_rows_bucket{model="iris",version="3",le="16"} 0"#,
            r#"modelmill_batch_rows_bucket{model="iris",version="3",le="32"} 1"#,
            r#"modelmill_inference_duration_seconds_sum{model="iris",version="3"} 0.002"#,
            r#"modelmill_queue_duration_seconds_count{model="iris",version="3"} 1"#,
            r#"modelmill_queue_rows{model="iris",version="3"} 7"#,
            r#"modelmill_row_cost_seconds{model="iris",version="3"} 0.000004"#,
            r#"modelmill_batch_target_rows{model="iris",version="3"} 512"#,
            r#"modelmill_inference_failures_total{model="iris",version="3"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn notifications_are_counted_by_what_they_are_good_for() {
        let metrics = Metrics::default();
        let notifications = metrics.scope(NotificationMetrics::new);
        [true, false, true].into_iter().for_each(|hastens| notifications.heard(hastens));
        let text = metrics.render();
        assert!(text.contains("modelmill_repository_notifications_total{result=\"hastened\"} 2\n"), "{text}");
        assert!(text.contains("modelmill_repository_notifications_total{result=\"ignored\"} 1\n"), "{text}");
    }

    #[test]
    fn a_retired_version_leaves_its_gauges_at_0() {
        let metrics = Metrics::default();
        let (old, new) = metrics.scope(|| (ModelMetrics::new("iris", 1), ModelMetrics::new("iris", 2)));
        old.waiting(5);
        new.waiting(6);
        drop(old);
        let text = metrics.render();
        assert!(text.contains("modelmill_queue_rows{model=\"iris\",version=\"1\"} 0\n"), "{text}");
        assert!(text.contains("modelmill_queue_rows{model=\"iris\",version=\"2\"} 6\n"), "{text}");
    }

    #[test]
    fn a_version_is_in_one_state_at_a_time() {
        let (metrics, states) = (Metrics::default(), ModelStateMetrics::default());
        metrics.scope(|| {
            states.show("iris", [(1, "available"), (2, "loading")]);
            states.show("digits", [(1, "available")]);
            states.show("iris", [(1, "retiring"), (2, "available")]);
        });
        let text = metrics.render();
        let mut shown: Vec<_> = text.lines().filter(|line| line.starts_with("modelmill_model_version_state")).collect();
        shown.sort_unstable();
        assert_eq!(
            shown,
            [
                r#"modelmill_model_version_state{model="digits",version="1",state="available"} 1"#,
                r#"modelmill_model_version_state{model="iris",version="1",state="available"} 0"#,
                r#"modelmill_model_version_state{model="iris",version="1",state="retiring"} 1"#,
                r#"modelmill_model_version_state{model="iris",version="2",state="available"} 1"#,
                r#"modelmill_model_version_state{model="iris",version="2",state="loading"} 0"#,
            ]
        );
    }

    #[test]
    fn loads_are_counted_for_as_long_as_there_is_the_model() {
        let (metrics, states) = (Metrics::default(), ModelStateMetrics::default());
        let failures = "modelmill_model_load_failures_total{model=\"iris\"} 1\n";
        metrics.scope(|| {
            states.show("iris", [(1, "aspired")]);
            states.show("digits", [(1, "aspired")]);
            states.show("iris", [(1, "loading")]);
            LoadMetrics::new("iris").failed();
            for state in ["failed", "aspired", "unloaded"] {
                states.show("iris", [(1, state)]);
                let text = metrics.render_after(600);
                assert!(text.contains(failures), "{state}: {text}");
                assert!(!text.contains("load_failures_total{model=\"digits\"}"), "nobody has loaded it: {text}");
            }
            states.show("iris", []);
        });
        metrics.render_after(700);
        assert!(!metrics.render_after(761).contains("model=\"iris\""));
    }

    #[test]
    fn a_thousand_versions_that_came_and_went_leave_no_series() {
        let (metrics, states) = (Metrics::default(), ModelStateMetrics::default());
        let mut served = None;
        let mut lines = |version| {
            metrics.scope(|| {
                states.show("iris", [(version, "loading")]);
                served = Some(ModelMetrics::new("iris", version));
                states.show("iris", [(version, "available")]);
            });
            served.as_ref().expect("it was just made").ran(1, Duration::from_millis(1));
            metrics.render_after(version * 2).lines().filter(|line| line.contains("version=")).count()
        };
        let early = (0..100).map(&mut lines).max();
        let late = (900..1000).map(&mut lines).max();
        assert_eq!(early, late);
        metrics.render_after(3000);
        assert_eq!(metrics.render_after(3061).matches("modelmill_queue_rows{").count(), 1);
    }

    #[test]
    fn loads_are_counted_by_how_they_ended() {
        let metrics = Metrics::default();
        let loads = metrics.scope(|| LoadMetrics::new("iris"));
        loads.loaded(Duration::from_millis(250));
        loads.failed();
        let text = metrics.render();
        assert!(text.contains("modelmill_model_load_duration_seconds_sum{model=\"iris\"} 0.25\n"), "{text}");
        assert!(text.contains("modelmill_model_load_failures_total{model=\"iris\"} 1\n"), "{text}");
    }
}
