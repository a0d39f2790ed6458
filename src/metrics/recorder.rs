//! The recorder: `metrics-exporter-prometheus`, told what the catalogue says, once for what lasts and once for each thing that
//! comes and goes.
//!
//! The exporter (0.18) keeps every series for ever, or forgets idle ones although their handles are still held and count into
//! nothing from then on (<https://github.com/metrics-rs/metrics/issues/372>). Neither will do where model versions come and go
//! by the thousand and a pipeline's first dead letter may come after a quiet week. So the series of one model, of one model
//! version and of one partition are in an exporter of their own ([`Subject`]), which goes as a whole.
//!
//! Guarantee: a series is shown as long as somebody holds a handle of its subject, however quiet it is, and for [`AFTERLIFE`]
//! from the first look at which nobody does, unless very many are released at once; memory depends on the number of held
//! series alone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::Mutex;

use super::{
    catalogue::{ALL, Kind},
    text,
};

/// How long a series is still shown that nobody holds: for every scraper to see how it ended.
pub const AFTERLIFE: Duration = Duration::from_secs(60);

/// So many subjects at most are shown that nobody holds; beyond that, those released first go at once: who replaces a model
/// five times a second should not pay for three hundred versions.
const MOST_RELEASED: usize = 32;

/// A look through all subjects is not repeated before this.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// Labels that name what comes and goes; the first pair or single one that a series has.
const SUBJECTS: [&[&str]; 3] = [&["model", "version"], &["topic", "partition"], &["model"]];

/// See the module.
#[derive(Debug)]
pub struct Layers {
    lasting: Exporter,
    passing: Mutex<Passing>,
}

#[derive(Debug, Default)]
struct Passing {
    by_subject: BTreeMap<Vec<String>, Kept>,
    looked: Option<Instant>,
}

/// A subject, and since when nobody has been holding a handle of it.
#[derive(Debug)]
struct Kept {
    subject: Arc<Subject>,
    released: Option<Instant>,
}

/// The series of one thing that comes and goes.
#[derive(Debug)]
struct Subject {
    exporter: Exporter,
    /// Whether histograms have got values since the last upkeep.
    observed: AtomicBool,
}

#[derive(Debug)]
struct Exporter {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Exporter {
    fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for definition in ALL {
            if let Kind::Histogram(bounds) = definition.kind {
                let name = Matcher::Full(definition.name.to_owned());
                builder =
                    builder.set_buckets_for_metric(name, bounds).expect("every histogram of the catalogue has buckets");
            }
        }
        let recorder = builder.build_recorder();
        Self { handle: recorder.handle(), recorder }
    }
}

impl Default for Layers {
    fn default() -> Self {
        Self { lasting: Exporter::new(), passing: Mutex::default() }
    }
}

impl Layers {
    /// Every series in the text format, sorted by name.
    pub fn render(&self, now: Instant) -> String {
        let mut texts = vec![self.lasting.handle.render()];
        let mut passing = self.passing.lock();
        passing.forget(now);
        texts.extend(passing.by_subject.values().map(|kept| kept.subject.exporter.handle.render()));
        drop(passing);
        text::merge(&texts)
    }

    /// Puts what was observed into the buckets of histograms.
    pub fn upkeep(&self, now: Instant) {
        self.lasting.handle.run_upkeep();
        let mut passing = self.passing.lock();
        passing.forget_now_and_then(now);
        for kept in passing.by_subject.values() {
            if kept.subject.observed.swap(false, Ordering::Acquire) {
                kept.subject.exporter.handle.run_upkeep();
            }
        }
    }

    /// The subject of a series, if it is one that comes and goes.
    fn subject(&self, key: &Key) -> Option<Arc<Subject>> {
        let label = |name: &&str| {
            let label = key.labels().find(|label| label.key() == *name)?;
            Some(format!("{name}={}", label.value()))
        };
        let about = SUBJECTS.iter().find_map(|names| names.iter().map(label).collect::<Option<Vec<_>>>())?;
        let mut passing = self.passing.lock();
        passing.forget_now_and_then(Instant::now());
        let new = || {
            let subject = Subject { exporter: Exporter::new(), observed: AtomicBool::new(false) };
            Kept { subject: Arc::new(subject), released: None }
        };
        let kept = passing.by_subject.entry(about).or_insert_with(new);
        kept.released = None;
        Some(Arc::clone(&kept.subject))
    }
}

impl Passing {
    fn forget_now_and_then(&mut self, now: Instant) {
        if self.looked.is_none_or(|looked| now.duration_since(looked) >= BETWEEN_LOOKS) {
            self.forget(now);
        }
    }

    /// Takes out what nobody has been holding for long enough. Handles are made under the lock or cloned from others: what
    /// nobody holds stays so meanwhile.
    fn forget(&mut self, now: Instant) {
        self.looked = Some(now);
        self.by_subject.retain(|_, Kept { subject, released }| {
            if Arc::strong_count(subject) > 1 {
                *released = None;
                return true;
            }
            now.duration_since(*released.get_or_insert(now)) < AFTERLIFE
        });
        let mut released: Vec<_> = self.by_subject.values().filter_map(|kept| kept.released).collect();
        if released.len() > MOST_RELEASED {
            released.sort_unstable_by(|left, right| right.cmp(left));
            let first = released[MOST_RELEASED];
            self.by_subject.retain(|_, kept| kept.released.is_none_or(|released| released > first));
        }
    }
}

/// A handle that keeps its subject.
struct Held<T> {
    inner: T,
    subject: Arc<Subject>,
}

impl CounterFn for Held<Counter> {
    fn increment(&self, value: u64) {
        self.inner.increment(value);
    }

    fn absolute(&self, value: u64) {
        self.inner.absolute(value);
    }
}

impl GaugeFn for Held<Gauge> {
    fn increment(&self, value: f64) {
        self.inner.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.inner.decrement(value);
    }

    fn set(&self, value: f64) {
        self.inner.set(value);
    }
}

impl HistogramFn for Held<Histogram> {
    fn record(&self, value: f64) {
        self.inner.record(value);
        // Looked at first: written by one core, it would be taken from the others each time.
        if !self.subject.observed.load(Ordering::Relaxed) {
            self.subject.observed.store(true, Ordering::Release);
        }
    }
}

impl Recorder for Layers {
    // The catalogue describes them all.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let Some(subject) = self.subject(key) else { return self.lasting.recorder.register_counter(key, metadata) };
        let inner = subject.exporter.recorder.register_counter(key, metadata);
        Counter::from_arc(Arc::new(Held { inner, subject }))
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let Some(subject) = self.subject(key) else { return self.lasting.recorder.register_gauge(key, metadata) };
        let inner = subject.exporter.recorder.register_gauge(key, metadata);
        Gauge::from_arc(Arc::new(Held { inner, subject }))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let Some(subject) = self.subject(key) else { return self.lasting.recorder.register_histogram(key, metadata) };
        let inner = subject.exporter.recorder.register_histogram(key, metadata);
        Histogram::from_arc(Arc::new(Held { inner, subject }))
    }
}

#[cfg(test)]
mod tests;
