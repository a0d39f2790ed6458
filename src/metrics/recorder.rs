//! The recorder: `metrics-exporter-prometheus`, told what the catalogue says.
//!
//! No idle timeout is set, so that every series stays. The exporter (0.18) forgets an idle series although its handle is
//! still held, and the handle counts into nothing from then on (<https://github.com/metrics-rs/metrics/issues/372>): a
//! pipeline whose first dead letter comes after a quiet hour would never show it. Once an exporter is released that spares
//! held series, a timeout here is all that retired ones need to vanish.

use metrics::{Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use super::catalogue::{ALL, Definition, Kind};

/// A recorder that has no series yet, and knows every metric's meaning, unit and buckets.
pub fn build() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for definition in ALL {
        if let Kind::Histogram(bounds) = definition.kind {
            let name = Matcher::Full(definition.name.to_owned());
            builder =
                builder.set_buckets_for_metric(name, bounds).expect("every histogram of the catalogue has buckets");
        }
    }
    let recorder = builder.build_recorder();
    for definition in ALL {
        describe(&recorder, definition);
    }
    recorder
}

fn describe(recorder: &PrometheusRecorder, definition: &'static Definition) {
    let Definition { name, kind, help, .. } = *definition;
    let unit = match definition.unit {
        "seconds" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        _ => Unit::Count,
    };
    match kind {
        Kind::Counter => recorder.describe_counter(name.into(), Some(unit), help.into()),
        Kind::Gauge => recorder.describe_gauge(name.into(), Some(unit), help.into()),
        Kind::Histogram(_) => recorder.describe_histogram(name.into(), Some(unit), help.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::metrics::{LagMetrics, Metrics, counter, gauge, histogram};

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
}
