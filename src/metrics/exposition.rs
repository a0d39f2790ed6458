//! The Prometheus text format, version 0.0.4: families in the catalogue's order, series by label values.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{self, Write};

use super::catalogue::Definition;

/// What a scraper is told that it gets.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric and its series.
#[derive(Debug)]
pub struct Family {
    /// What it is.
    pub definition: &'static Definition,
    /// Label values in the definition's order, each with what the series says.
    pub samples: Vec<(Vec<String>, Reading)>,
}

/// What a series says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Of a counter.
    Count(u64),
    /// Of a gauge, or of a counter of parts of a second.
    Number(f64),
    /// Of a histogram: upper bounds with the number of values at or below them, the last one `+Inf`.
    Histogram {
        /// Cumulative.
        buckets: Vec<(f64, u64)>,
        /// Of all values.
        sum: f64,
    },
}

/// Writes the families as text.
pub fn render(families: &[Family]) -> String {
    let mut text = String::with_capacity(families.len() * 512);
    for family in families {
        write_family(&mut text, family).expect("a string takes everything");
    }
    text
}

fn write_family(text: &mut String, family: &Family) -> fmt::Result {
    let Definition { name, kind, labels, help, .. } = family.definition;
    writeln!(text, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"))?;
    writeln!(text, "# TYPE {name} {}", kind.as_str())?;
    for (values, reading) in &family.samples {
        let labels = LabelSet { names: labels, values, bound: None };
        match reading {
            Reading::Count(count) => writeln!(text, "{name}{labels} {count}")?,
            Reading::Number(number) => writeln!(text, "{name}{labels} {}", Number(*number))?,
            Reading::Histogram { buckets, sum } => {
                for (bound, count) in buckets {
                    writeln!(text, "{name}_bucket{} {count}", LabelSet { bound: Some(*bound), ..labels })?;
                }
                // The last bucket holds all values; reading the number twice could give two numbers.
                let count = buckets.last().map_or(0, |(_, count)| *count);
                writeln!(text, "{name}_sum{labels} {}", Number(*sum))?;
                writeln!(text, "{name}_count{labels} {count}")?;
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct LabelSet<'a> {
    names: &'a [&'static str],
    values: &'a [String],
    bound: Option<f64>,
}

impl fmt::Display for LabelSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '{';
        for (name, value) in self.names.iter().zip(self.values) {
            write!(f, "{separator}{name}=\"{}\"", Escaped(value))?;
            separator = ',';
        }
        if let Some(bound) = self.bound {
            write!(f, "{separator}le=\"{}\"", Number(bound))?;
            separator = ',';
        }
        if separator == ',' { f.write_char('}') } else { Ok(()) }
    }
}

/// A label value, in which backslash, quote and line feed are escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A number as Go's `ParseFloat` reads it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            finite_or_nan => write!(f, "{finite_or_nan}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::catalogue;

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_its_sum_and_count() {
        let buckets = vec![(0.001, 2), (f64::INFINITY, 3)];
        let samples = vec![(vec!["p".to_owned()], Reading::Histogram { buckets, sum: 1.5 })];
        let text = render(&[Family { definition: &catalogue::REQUEST_LATENCY, samples }]);
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"modelmill_request_latency_seconds_bucket{pipeline="p",le="0.001"} 2"#,
                r#"modelmill_request_latency_seconds_bucket{pipeline="p",le="+Inf"} 3"#,
                r#"modelmill_request_latency_seconds_sum{pipeline="p"} 1.5"#,
                r#"modelmill_request_latency_seconds_count{pipeline="p"} 3"#,
            ]
        );
    }

    #[test]
    fn a_family_says_what_it_is_before_its_samples() {
        let samples = vec![(vec![], Reading::Number(0.25))];
        let text = render(&[Family { definition: &catalogue::IN_FLIGHT_BYTES, samples }]);
        assert!(text.starts_with("# HELP modelmill_in_flight_bytes Bytes of "), "{text}");
        assert!(text.ends_with("\n# TYPE modelmill_in_flight_bytes gauge\nmodelmill_in_flight_bytes 0.25\n"), "{text}");
    }

    /// Reads a label value back as a Prometheus parser does: up to the first quote that no backslash escapes.
    fn unescape(line: &str) -> String {
        let mut characters = line.split_once("pipeline=\"").unwrap().1.chars();
        let mut value = String::new();
        loop {
            match characters.next().unwrap() {
                '"' => return value,
                '\\' => match characters.next().unwrap() {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                other => value.push(other),
            }
        }
    }

    proptest! {
        #[test]
        fn any_label_value_comes_back_from_one_line(value in r#"([\\"\n]|.){0,12}"#) {
            let samples = vec![(vec![value.clone()], Reading::Count(1))];
            let text = render(&[Family { definition: &catalogue::DEAD_LETTERS, samples }]);
            let lines: Vec<_> = text.split_terminator('\n').collect();
            prop_assert_eq!(lines.len(), 3);
            prop_assert_eq!(unescape(lines[2]), value);
        }
    }
}
