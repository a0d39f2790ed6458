//! Everything that is counted and timed, as Prometheus reads it.
//!
//! Parts of the worker hold a struct of handles ([`PipelineMetrics`], [`ModelMetrics`], …) that was made once; an
//! observation is then a few atomic additions, paid per chunk, group or batch, and never looks a name up. Handles made where
//! no recorder is installed count nothing and cost nothing, so that tests of other parts need not care. [`catalogue`]
//! says every name once; `docs/metrics.md` explains them.
//!
//! Guarantee: with [`Metrics::upkeep`] every second, which the admin endpoint sees to, memory depends on the number of
//! series alone and not on traffic or on the time between two scrapes. A series is there for as long as what it is about, and
//! a minute more (`recorder`); the gauges of what is gone (a retired version, a revoked partition) fall to 0 for that minute.

use std::{sync::Arc, time::Instant};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata};

use catalogue::Definition;

pub use client::{ClientMetrics, ClientStatistics, KafkaClient};
pub use model::{LoadMetrics, ModelMetrics, ModelStateMetrics, NotificationMetrics, RepositoryMetrics};
pub use pipeline::{PipelineMetrics, Stage};
pub use worker::{AssignmentMetrics, LagMetrics, RebalanceEvent, SuspectMetrics, TransactionMetrics, WorkerMetrics};

pub mod catalogue;
mod client;
mod model;
mod pipeline;
mod process;
mod recorder;
mod text;
mod worker;

/// What a scraper is told that it gets: the Prometheus text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of the process, or of a test; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    recorder: Arc<recorder::Layers>,
}

/// Metrics were installed twice.
#[derive(Debug, thiserror::Error)]
#[error("metrics are installed once for a process, and they were before")]
pub struct AlreadyInstalled;

/// Makes every handle that is created from now on count; to be called once, before the parts are built.
///
/// # Errors
/// If the process has metrics already.
pub fn install() -> Result<Metrics, AlreadyInstalled> {
    let metrics = Metrics::default();
    metrics::set_global_recorder(metrics.recorder.clone()).map_err(|_| AlreadyInstalled)?;
    Ok(metrics)
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self { recorder: Arc::default() };
        metrics.scope(|| gauge(&catalogue::BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1.0));
        metrics
    }
}

impl Metrics {
    /// Runs `build`, whose handles count here and not in the process's metrics: for tests side by side.
    pub fn scope<T>(&self, build: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, build)
    }

    /// All series and the process's figures in the text format of [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let cpu = self.scope(process::observe);
        self.recorder.render(Instant::now()) + &cpu
    }

    /// What is shown in so many seconds, if nothing happens until then.
    #[cfg(test)]
    fn render_after(&self, seconds: u64) -> String {
        self.recorder.render(Instant::now() + std::time::Duration::from_secs(seconds))
    }

    /// Puts what was observed into the buckets of histograms, which hold every single value until then (16 bytes each);
    /// to be called every second or so. Rendering does it too.
    pub fn upkeep(&self) {
        self.recorder.upkeep(Instant::now());
    }
}

const METADATA: Metadata<'static> = Metadata::new("modelmill", Level::INFO, None);

/// The key of a series; `values` stand in the order of the definition's labels.
fn key(definition: &'static Definition, values: &[&str]) -> Key {
    assert_eq!(values.len(), definition.labels.len(), "one value for each label of {}", definition.name);
    let labels = definition.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(definition.name, labels.collect::<Vec<_>>())
}

fn counter(definition: &'static Definition, values: &[&str]) -> Counter {
    metrics::with_recorder(|recorder| recorder.register_counter(&key(definition, values), &METADATA))
}

fn gauge(definition: &'static Definition, values: &[&str]) -> Gauge {
    metrics::with_recorder(|recorder| recorder.register_gauge(&key(definition, values), &METADATA))
}

fn histogram(definition: &'static Definition, values: &[&str]) -> Histogram {
    metrics::with_recorder(|recorder| recorder.register_histogram(&key(definition, values), &METADATA))
}

/// A gauge of something that may go while the process lives: it falls to 0 with its holder, since its last word is no longer
/// true.
#[derive(Debug)]
struct TransientGauge(Gauge);

impl TransientGauge {
    fn new(definition: &'static Definition, values: &[&str]) -> Self {
        Self(gauge(definition, values))
    }

    fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl Drop for TransientGauge {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_by_side_metrics_do_not_mix() {
        let (ours, theirs) = (Metrics::default(), Metrics::default());
        let pipeline = ours.scope(|| PipelineMetrics::new("p"));
        pipeline.rows(3);
        assert!(ours.render().contains("modelmill_rows_total{pipeline=\"p\"} 3\n"));
        assert!(!theirs.render().contains("modelmill_rows_total"));
    }

    #[test]
    fn the_process_and_the_build_are_always_there() {
        let text = Metrics::default().render();
        assert!(
            text.contains(concat!("modelmill_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n")),
            "{text}"
        );
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
    }

    #[test]
    fn the_documentation_lists_every_metric_as_it_is() {
        let page = include_str!("../../docs/metrics.md");
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<_> = catalogue::ALL.iter().map(|definition| documentation_row(definition)).collect();
        assert_eq!(rows, expected, "the table in docs/metrics.md should read:\n{}", expected.join("\n"));
    }

    fn documentation_row(definition: &Definition) -> String {
        let labels: Vec<_> = definition.labels.iter().map(|label| format!("`{label}`")).collect();
        let Definition { name, kind, unit, help, .. } = definition;
        format!("| `{name}` | {} | {} | {unit} | {help} |", kind.as_str(), labels.join(", "))
    }

    #[test]
    fn what_the_documentation_and_the_dashboard_ask_for_is_there() {
        let names = regex::Regex::new(r"\b(?:modelmill|process)_[a-z_]+").unwrap();
        let pages = [include_str!("../../docs/metrics.md"), include_str!("../../docs/grafana-dashboard.json")];
        for name in pages.iter().flat_map(|page| names.find_iter(page)) {
            let name = name.as_str();
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            assert!(
                catalogue::ALL.iter().any(|definition| [name, base].contains(&definition.name)),
                "`{name}` is no metric"
            );
        }
    }
}
