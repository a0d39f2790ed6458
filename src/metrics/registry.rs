//! The series that exist now. A series lives as long as somebody holds its handle.
//!
//! So the batcher of a retired model version, an unassigned partition or a removed pipeline takes its series along by being
//! dropped, and the number of series is bounded by what is in service. A gauge goes at once, since its value is no longer
//! true; counters and histograms stay for [`LINGER`], so that a scrape still sees their last increments.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

use super::{
    catalogue::{ALL, Definition, Kind},
    exposition::{Family, Reading},
    histogram::FixedHistogram,
};

/// How long a counter or histogram outlives its last handle: Prometheus looks back five minutes.
const LINGER: Duration = Duration::from_secs(300);

/// All series of one process, or of one test.
#[derive(Debug, Default)]
pub struct Registry {
    series: Mutex<Series>,
}

#[derive(Debug, Default)]
struct Series {
    /// By place in the catalogue and label values: the order in which they are shown.
    by_key: BTreeMap<(usize, Vec<String>), Entry>,
    registered_since_sweep: usize,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    /// When nobody was seen to hold it any more.
    released: Option<Instant>,
}

#[derive(Clone, Debug)]
enum Value {
    Counter(Arc<AtomicU64>),
    /// The bits of an `f64`.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<FixedHistogram>),
}

impl Registry {
    /// What every living series says at `now`, by family.
    pub fn read(&self, now: Instant) -> Vec<Family> {
        let mut series = self.series.lock();
        series.sweep(now);
        let mut families: Vec<Family> = Vec::new();
        for ((place, labels), entry) in &series.by_key {
            let definition = ALL[*place];
            if families.last().is_none_or(|family| family.definition.name != definition.name) {
                families.push(Family { definition, samples: Vec::new() });
            }
            let family = families.last_mut().expect("one was pushed if there was none");
            family.samples.push((labels.clone(), entry.value.read()));
        }
        families
    }

    /// The series of this key; `None` for a name that the catalogue does not have.
    fn enter(&self, key: &Key) -> Option<Value> {
        let place = ALL.iter().position(|definition| definition.name == key.name())?;
        let definition = ALL[place];
        let labels = label_values(definition, key);
        let mut series = self.series.lock();
        series.sweep_sometimes();
        let entry = series
            .by_key
            .entry((place, labels))
            .or_insert_with(|| Entry { value: Value::new(definition.kind), released: None });
        if matches!(entry.value, Value::Gauge(_)) && entry.value.is_unheld() {
            // The next version to carry this name must not begin with the last word of the one before.
            entry.value = Value::new(definition.kind);
        }
        entry.released = None;
        Some(entry.value.clone())
    }
}

impl Series {
    /// Also when nobody scrapes: at most about twice as many series as live, at a cost in proportion to the new ones.
    fn sweep_sometimes(&mut self) {
        self.registered_since_sweep += 1;
        if self.registered_since_sweep > 16 + self.by_key.len() / 2 {
            self.sweep(Instant::now());
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.registered_since_sweep = 0;
        self.by_key.retain(|_, entry| entry.is_wanted(now));
    }
}

impl Entry {
    fn is_wanted(&mut self, now: Instant) -> bool {
        if !self.value.is_unheld() {
            self.released = None;
            return true;
        }
        let released = *self.released.get_or_insert(now);
        !matches!(self.value, Value::Gauge(_)) && now.saturating_duration_since(released) < LINGER
    }
}

impl Value {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(Arc::default()),
            Kind::Gauge => Self::Gauge(Arc::default()),
            Kind::Histogram(bounds) => Self::Histogram(Arc::new(FixedHistogram::new(bounds))),
        }
    }

    /// Whether only the registry itself knows it. Nobody can change that meanwhile but through the registry's lock.
    fn is_unheld(&self) -> bool {
        match self {
            Self::Counter(value) | Self::Gauge(value) => Arc::strong_count(value) == 1,
            Self::Histogram(value) => Arc::strong_count(value) == 1,
        }
    }

    fn read(&self) -> Reading {
        match self {
            Self::Counter(value) => Reading::Count(value.load(Ordering::Relaxed)),
            Self::Gauge(value) => Reading::Number(f64::from_bits(value.load(Ordering::Relaxed))),
            Self::Histogram(value) => Reading::Histogram { buckets: value.cumulative(), sum: value.sum() },
        }
    }
}

/// The key's label values in the order of the definition.
fn label_values(definition: &Definition, key: &Key) -> Vec<String> {
    let value_of = |name: &&str| {
        let label = key.labels().find(|label| label.key() == *name);
        label.map(|label| label.value().to_owned()).unwrap_or_default()
    };
    definition.labels.iter().map(value_of).collect()
}

impl Recorder for Registry {
    // The catalogue describes.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.enter(key) {
            Some(Value::Counter(value)) => Counter::from_arc(value),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.enter(key) {
            Some(Value::Gauge(value)) => Gauge::from_arc(value),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.enter(key) {
            Some(Value::Histogram(value)) => Histogram::from_arc(value),
            _ => Histogram::noop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalogue;

    fn counter(registry: &Registry, pipeline: &'static str) -> Counter {
        let key = Key::from_parts(catalogue::ROWS_ANSWERED.name, &[("pipeline", pipeline)]);
        registry.register_counter(&key, &Metadata::new("", metrics::Level::INFO, None))
    }

    fn gauge(registry: &Registry) -> Gauge {
        let key = Key::from_name(catalogue::IN_FLIGHT_BYTES.name);
        registry.register_gauge(&key, &Metadata::new("", metrics::Level::INFO, None))
    }

    fn names(registry: &Registry, now: Instant) -> Vec<&'static str> {
        registry.read(now).iter().map(|family| family.definition.name).collect()
    }

    #[test]
    fn a_gauge_goes_with_its_handle_and_a_counter_five_minutes_later() {
        let (registry, start) = (Registry::default(), Instant::now());
        let handles = (counter(&registry, "a"), gauge(&registry));
        assert_eq!(names(&registry, start), ["modelmill_rows_total", "modelmill_in_flight_bytes"]);
        drop(handles);
        assert_eq!(names(&registry, start), ["modelmill_rows_total"]);
        assert_eq!(names(&registry, start + LINGER - Duration::from_secs(1)), ["modelmill_rows_total"]);
        assert!(names(&registry, start + LINGER).is_empty());
    }

    #[test]
    fn a_counter_that_is_held_again_goes_on() {
        let (registry, start) = (Registry::default(), Instant::now());
        counter(&registry, "a").increment(3);
        registry.read(start);
        let again = counter(&registry, "a");
        again.increment(4);
        let families = registry.read(start + LINGER * 2);
        assert_eq!(families[0].samples, [(vec!["a".to_owned()], Reading::Count(7))]);
    }

    #[test]
    fn a_gauge_that_is_held_again_starts_afresh() {
        let registry = Registry::default();
        gauge(&registry).set(9.0);
        let again = gauge(&registry);
        let families = registry.read(Instant::now());
        assert_eq!(families[0].samples, [(vec![], Reading::Number(0.0))]);
        drop(again);
    }

    #[test]
    fn two_holders_share_a_series() {
        let registry = Registry::default();
        let (first, second) = (counter(&registry, "a"), counter(&registry, "a"));
        first.increment(1);
        second.increment(1);
        assert_eq!(registry.read(Instant::now())[0].samples, [(vec!["a".to_owned()], Reading::Count(2))]);
    }

    #[test]
    fn series_stay_bounded_although_nobody_scrapes() {
        let registry = Registry::default();
        for version in 0..1000 {
            let key =
                Key::from_parts(catalogue::QUEUE_ROWS.name, vec![metrics::Label::new("version", version.to_string())]);
            registry.register_gauge(&key, &Metadata::new("", metrics::Level::INFO, None)).set(1.0);
        }
        assert!(registry.series.lock().by_key.len() < 50, "{}", registry.series.lock().by_key.len());
    }

    #[test]
    fn a_name_that_is_not_in_the_catalogue_is_not_kept() {
        let registry = Registry::default();
        let key = Key::from_name("made_up_total");
        registry.register_counter(&key, &Metadata::new("", metrics::Level::INFO, None)).increment(1);
        assert!(registry.read(Instant::now()).is_empty());
    }
}
