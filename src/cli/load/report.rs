//! What a run has shown, for people and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The account of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What its request ids begin with.
    pub run: String,
    /// Requests that the broker took.
    pub sent: u64,
    /// Requests that the broker did not take.
    pub undelivered: u64,
    /// Requests that were answered, with a result or an error.
    pub answered: u64,
    /// Requests that the broker took and nobody answered.
    pub lost: u64,
    /// Answers beyond the first to a request.
    pub doubled: u64,
    /// Error answers by code.
    pub errors: BTreeMap<String, u64>,
    /// Rows in a request, on average.
    pub rows_per_request: f64,
    /// From the first request to the last answer; with a backlog, from the first answer.
    pub seconds: f64,
    /// Answers in that time.
    pub answers_per_second: f64,
    /// From sending to the answer; not with a backlog.
    pub latency: Option<Latency>,
    /// What the processes used that were to be watched.
    pub worker: Option<Worker>,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the answers were faster.
    pub p50_ms: f64,
    /// Nine of ten answers were faster.
    pub p90_ms: f64,
    /// All but one in 100.
    pub p99_ms: f64,
    /// All but one in 1,000.
    pub p99_9_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// Measured from the planned send time (true) or the actual one.
    pub from_plan: bool,
}

impl Latency {
    /// From microseconds; `None` if there were none.
    pub fn of(latencies: &Histogram<u64>, from_plan: bool) -> Option<Self> {
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        let max_ms = latencies.max() as f64 / 1e3;
        let [p50_ms, p90_ms, p99_ms, p99_9_ms] = [0.5, 0.9, 0.99, 0.999].map(at);
        (!latencies.is_empty()).then_some(Self { p50_ms, p90_ms, p99_ms, p99_9_ms, max_ms, from_plan })
    }
}

/// What the watched processes used during the run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Worker {
    /// User and system time per answered request, in microseconds.
    pub cpu_micros_per_request: f64,
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
    /// Bytes in memory after the last answer.
    pub resident_bytes: u64,
    /// The most bytes that were in memory since the processes were started.
    pub peak_resident_bytes: u64,
}

impl Report {
    /// Every request was taken and answered exactly once.
    pub fn is_success(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.undelivered == 0
    }

    /// Takes the time that the answers took.
    pub fn set_duration(&mut self, duration: Duration) {
        self.seconds = duration.as_secs_f64();
        self.answers_per_second = if self.seconds > 0.0 { self.answered as f64 / self.seconds } else { 0.0 };
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let undelivered = if self.undelivered > 0 {
            format!(", {} more not taken by the broker", grouped(self.undelivered))
        } else {
            String::new()
        };
        let rows = self.rows_per_request;
        writeln!(f, "run        {}", self.run)?;
        writeln!(f, "sent       {}, {} each{undelivered}", grouped(self.sent), rows_in_words(rows))?;
        writeln!(f, "answered   {} in {:.2} s", grouped(self.answered), self.seconds)?;
        writeln!(f, "lost       {}", grouped(self.lost))?;
        writeln!(f, "doubled    {}", grouped(self.doubled))?;
        let errors: Vec<_> = self.errors.iter().map(|(code, count)| format!("{code} {}", grouped(*count))).collect();
        writeln!(f, "errors     {}", if errors.is_empty() { "0".to_owned() } else { errors.join(", ") })?;
        let rate = self.answers_per_second;
        write!(f, "rate       {} answers/s, {} rows/s", rounded(rate), rounded(rate * rows))?;
        if let Some(latency) = &self.latency {
            write!(f, "\nlatency    {latency}")?;
        }
        if let Some(worker) = &self.worker {
            write!(f, "\nworker     {worker}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p90_ms, p99_ms, p99_9_ms, max_ms, from_plan } = self;
        write!(f, "p50 {p50_ms:.1}  p90 {p90_ms:.1}  p99 {p99_ms:.1}  p99.9 {p99_9_ms:.1}  max {max_ms:.1} ms, ")?;
        f.write_str(if *from_plan { "from the planned send time" } else { "at full speed, so mostly waiting" })
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (resident, peak) = (mebibytes(self.resident_bytes), mebibytes(self.peak_resident_bytes));
        let (micros, seconds) = (self.cpu_micros_per_request, self.cpu_seconds);
        write!(f, "{micros:.2} CPU-µs a request ({seconds:.2} s), {resident:.0} MiB resident, {peak:.0} MiB at most")
    }
}

fn rows_in_words(rows: f64) -> String {
    match rows {
        1.0 => "1 row".to_owned(),
        whole if whole.fract() == 0.0 => format!("{whole} rows"),
        average => format!("{average:.2} rows"),
    }
}

fn rounded(number: f64) -> String {
    grouped(number.round() as u64)
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_at_a_glance() {
        let mut latencies = Histogram::new(3).unwrap();
        (1..=1000).for_each(|millisecond| latencies.record(millisecond * 1000).unwrap());
        let mut report = Report {
            run: "r".to_owned(),
            sent: 1_234_567,
            answered: 1_234_560,
            lost: 7,
            errors: BTreeMap::from([("INVALID_INPUT".to_owned(), 1200)]),
            rows_per_request: 2.0,
            latency: Latency::of(&latencies, true),
            ..Report::default()
        };
        report.set_duration(Duration::from_secs(10));
        let text = report.to_string();
        assert!(text.contains("sent       1,234,567, 2 rows each\n"), "{text}");
        assert!(text.contains("lost       7\n") && text.contains("errors     INVALID_INPUT 1,200\n"), "{text}");
        assert!(text.contains("rate       123,456 answers/s, 246,912 rows/s"), "{text}");
        assert!(text.contains("p50 500.2  p90 900.1"), "{text}");
        assert!(!report.is_success());
    }

    #[test]
    fn errors_are_answers_but_a_lost_a_doubled_or_an_undelivered_request_is_a_failure() {
        let errors = BTreeMap::from([("INTERNAL".to_owned(), 1)]);
        assert!(Report { errors, ..Report::default() }.is_success());
        assert!(!Report { doubled: 1, ..Report::default() }.is_success());
        assert!(!Report { lost: 1, ..Report::default() }.is_success());
        assert!(!Report { undelivered: 1, ..Report::default() }.is_success());
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
