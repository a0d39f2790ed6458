//! What a scraper gets, and what stays in memory.

use std::collections::HashSet;

use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::metrics::{
    LagMetrics, Metrics,
    catalogue::{BATCH_ROWS, DEAD_LETTERS, Definition, INFERENCE_FAILURES, QUEUE_ROWS},
    counter, gauge, histogram,
};

/// One series of each metric, shown without having been observed.
fn everything() -> String {
    let metrics = Metrics::default();
    metrics.scope(|| {
        for definition in ALL.iter().filter(|definition| definition.name.starts_with("modelmill_")) {
            let values = vec!["value"; definition.labels.len()];
            match definition.kind {
                Kind::Counter => drop(counter(definition, &values)),
                Kind::Gauge => drop(gauge(definition, &values)),
                Kind::Histogram(_) => drop(histogram(definition, &values)),
            }
        }
    });
    metrics.render()
}

#[cfg(target_os = "linux")]
#[test]
fn every_metric_is_shown_with_its_meaning_type_and_buckets() {
    let text = everything();
    let lines: HashSet<_> = text.lines().collect();
    for Definition { name, kind, help, labels, .. } in ALL {
        let header = [format!("# HELP {name} {help}"), format!("# TYPE {name} {}", kind.as_str())].join("\n");
        assert_eq!(text.matches(&header).count(), 1, "{header} in {text}");
        if let Kind::Histogram(bounds) = kind {
            let labels: String = labels.iter().map(|label| format!("{label}=\"value\",")).collect();
            for bound in bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]) {
                let bucket = format!("{name}_bucket{{{labels}le=\"{bound}\"}} 0");
                assert!(lines.contains(bucket.as_str()), "{bucket} in {text}");
            }
        }
    }
}

const SAMPLE: &str =
    r#"^[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\})? [0-9.]+$"#;

#[test]
fn a_scraper_can_read_every_line_and_finds_each_series_once() {
    let (sample, text) = (Regex::new(SAMPLE).unwrap(), everything());
    let mut series = HashSet::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        assert!(sample.is_match(line), "{line}");
        assert!(series.insert(line.rsplit_once(' ').unwrap().0), "{line} is there twice");
    }
    assert!(series.len() > ALL.len());
}

proptest! {
    #[test]
    fn any_label_value_stays_on_a_line_that_a_scraper_can_read(value in r#"([\\"\n]|.){0,12}"#) {
        let (metrics, mut lag) = (Metrics::default(), LagMetrics::default());
        metrics.scope(|| lag.set(&value, 0, 1));
        let text = metrics.render();
        let lines: Vec<_> = text.split('\n').filter(|line| line.starts_with("modelmill_consumer_lag")).collect();
        prop_assert_eq!(lines.len(), 1);
        prop_assert!(Regex::new(SAMPLE).unwrap().is_match(lines[0]), "{}", lines[0]);
        if !value.contains('\\') {
            let escaped = value.replace('"', "\\\"").replace('\n', "\\n");
            prop_assert!(lines[0].contains(&format!("{{topic=\"{escaped}\",partition")), "{}", lines[0]);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Handles that count in `layers`.
fn within<T>(layers: &Layers, build: impl FnOnce() -> T) -> T {
    metrics::with_local_recorder(layers, build)
}

#[test]
fn a_series_that_is_held_is_shown_and_counts_however_long_it_is_quiet() {
    let (layers, now) = (Layers::default(), Instant::now());
    let (letters, failures, rows) = within(&layers, || {
        (
            counter(&DEAD_LETTERS, &["p"]),
            counter(&INFERENCE_FAILURES, &["iris", "1"]),
            histogram(&BATCH_ROWS, &["iris", "1"]),
        )
    });
    for hour in 0..3 {
        let text = layers.render(now + hour * 3600 * SECOND);
        assert!(text.contains("modelmill_dead_letters_total{pipeline=\"p\"} 0\n"), "{text}");
        assert!(text.contains("modelmill_batch_rows_count{model=\"iris\",version=\"1\"} 0\n"), "{text}");
    }
    letters.increment(1);
    failures.increment(2);
    rows.record(3.0);
    let text = layers.render(now + 4 * 3600 * SECOND);
    assert!(text.contains("modelmill_dead_letters_total{pipeline=\"p\"} 1\n"), "{text}");
    assert!(text.contains("modelmill_inference_failures_total{model=\"iris\",version=\"1\"} 2\n"), "{text}");
    assert!(text.contains("modelmill_batch_rows_count{model=\"iris\",version=\"1\"} 1\n"), "{text}");
}

#[test]
fn series_that_nobody_holds_are_shown_for_a_minute_and_are_gone_then() {
    let (layers, now) = (Layers::default(), Instant::now());
    within(&layers, || {
        counter(&INFERENCE_FAILURES, &["iris", "1"]).increment(7);
        histogram(&BATCH_ROWS, &["iris", "1"]).record(3.0);
        gauge(&QUEUE_ROWS, &["iris", "1"]).set(2.0);
    });
    for passed in [0, 1, 30, 59] {
        let text = layers.render(now + passed * SECOND);
        assert!(text.contains("modelmill_inference_failures_total{model=\"iris\",version=\"1\"} 7\n"), "{text}");
        assert!(text.contains("modelmill_batch_rows_sum{model=\"iris\",version=\"1\"} 3\n"), "{text}");
    }
    assert_eq!(layers.render(now + 61 * SECOND), "");
}

#[test]
fn a_version_that_comes_back_within_the_minute_goes_on_counting() {
    let (layers, now) = (Layers::default(), Instant::now());
    let failures = || within(&layers, || counter(&INFERENCE_FAILURES, &["iris", "1"]));
    failures().increment(2);
    layers.render(now);
    let again = failures();
    assert!(layers.render(now + 90 * SECOND).contains("version=\"1\"} 2\n"));
    drop(again);
    assert!(layers.render(now + 100 * SECOND).contains("version=\"1\"} 2\n"), "its minute begins anew");
}

#[test]
fn versions_that_came_and_went_leave_nothing_behind_although_nobody_scrapes() {
    let (layers, mut now) = (Layers::default(), Instant::now());
    let held = within(&layers, || histogram(&BATCH_ROWS, &["iris", "held"]));
    for version in 0..1000 {
        within(&layers, || drop(histogram(&BATCH_ROWS, &["iris", &version.to_string()])));
        now += SECOND;
        layers.upkeep(now);
        // Those that are kept, the one that is held, and what came between two looks.
        let left = layers.passing.lock().by_subject.len();
        assert!(left <= MOST_RELEASED + 7, "{left}");
    }
    held.record(1.0);
    let text = layers.render(now);
    assert!(text.contains("modelmill_batch_rows_count{model=\"iris\",version=\"held\"} 1\n"), "{text}");
    assert!(text.contains("version=\"990\"") && !text.contains("version=\"900\""), "the latest are shown");
}

#[test]
fn upkeep_takes_in_what_subjects_have_observed() {
    let layers = Layers::default();
    let rows = within(&layers, || histogram(&BATCH_ROWS, &["iris", "1"]));
    rows.record(77.0);
    layers.upkeep(Instant::now());
    // Only this view shows, without doing the upkeep itself, what has come into a histogram.
    assert!(format!("{layers:?}").contains("sum: 77.0"), "{layers:?}");
}
