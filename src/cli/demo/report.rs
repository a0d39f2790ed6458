//! What the traffic has shown: a table, and a verdict.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, TableComponent, presets::NOTHING};

use super::{screen::Screen, traffic::Traffic};
use crate::cli::load::grouped;

/// One model's row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The model.
    pub model: &'static str,
    /// Requests that were sent.
    pub requests: u64,
    /// Requests that were answered.
    pub answers: u64,
    /// Answers beyond the first to a request.
    pub doubled: u64,
    /// Answers that are errors.
    pub errors: u64,
    /// The codes of the errors, and how many there are of each.
    pub codes: Vec<String>,
    /// Answers with another class than they should have.
    pub wrong: u64,
    /// The first of them.
    pub first_fault: Option<String>,
    /// From the first request to the last answer.
    pub duration: Duration,
    /// Milliseconds from the planned sending to the answer: the median, and what 1 of 100 exceeds.
    pub latency: [f64; 2],
}

impl Row {
    /// The account of one lane.
    pub fn of(traffic: &Traffic<'_>) -> Self {
        let tally = traffic.tally.lock();
        let ledger = &tally.ledger;
        Self {
            model: traffic.lane.showcase.name,
            requests: traffic.run.sent(),
            answers: ledger.answered,
            doubled: ledger.doubled,
            errors: ledger.errors.values().sum(),
            codes: ledger.errors.iter().map(|(code, count)| format!("{} {code}", grouped(*count))).collect(),
            wrong: tally.wrong,
            first_fault: tally.first_fault.clone(),
            duration: ledger.last_at.map_or(Duration::ZERO, |last| last - traffic.run.started_at()),
            latency: [0.5, 0.99].map(|quantile| ledger.latencies.value_at_quantile(quantile) as f64 / 1e3),
        }
    }

    /// Requests without an answer.
    pub fn lost(&self) -> u64 {
        self.requests - self.answers
    }

    fn rate(&self) -> f64 {
        if self.duration.is_zero() { 0.0 } else { self.answers as f64 / self.duration.as_secs_f64() }
    }

    fn problems(&self) -> Vec<String> {
        let model = self.model;
        let mut problems = Vec::new();
        let mut tell = |count: u64, what: String| {
            if count > 0 {
                problems.push(format!("{model}: {} {what}", grouped(count)));
            }
        };
        tell(self.lost(), "without an answer".to_owned());
        tell(self.doubled, "answered twice".to_owned());
        tell(self.errors, format!("answered with an error ({})", self.codes.join(", ")));
        let fault = self.first_fault.as_deref().unwrap_or_default();
        tell(self.wrong, format!("with the wrong class ({fault}, for one)"));
        if self.requests == 0 {
            problems.push(format!("{model}: no request was sent"));
        }
        problems
    }
}

/// The rows as a table, a line each.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_style(TableComponent::HeaderLines, '─').set_style(TableComponent::MiddleHeaderIntersections, '─');
    table.set_header(["model", "requests", "answers", "lost", "errors", "rate/s", "p50", "p99"]);
    for row in rows {
        let [p50, p99] = row.latency.map(|milliseconds| format!("{milliseconds:.1} ms"));
        let counts = [row.requests, row.answers, row.lost(), row.errors].map(grouped);
        let mut cells = vec![row.model.to_owned()];
        cells.extend(counts);
        cells.extend([format!("{:.0}", row.rate()), p50, p99]);
        table.add_row(cells);
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    // The frame has a column of its own before the first and after the last.
    table.lines().map(|line| format!(" {}\n", line.trim_end())).collect()
}

/// Whether everything was as it should be, in a line or, if not, in a line for each problem.
pub fn verdict(screen: Screen, rows: &[Row]) -> (bool, String) {
    let problems: Vec<_> = rows.iter().flat_map(Row::problems).collect();
    if problems.is_empty() {
        let answers = grouped(rows.iter().map(|row| row.answers).sum());
        let verdict = format!("✓ {answers} requests, each answered exactly once and with the right class.");
        return (true, format!("  {}\n", screen.good(verdict)));
    }
    (false, problems.iter().map(|problem| format!("  {}\n", screen.bad(format!("✗ {problem}")))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let duration = Duration::from_secs(7);
        Row { model: "iris", requests: 2_100, answers: 2_100, duration, latency: [3.25, 11.0], ..Row::default() }
    }

    const PLAIN: Screen = Screen::plain();

    #[test]
    fn the_table_is_aligned_and_fits_80_columns() {
        let text = table(&[row(), Row { model: "digits", requests: 2_105, ..row() }]);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert!(
            lines.iter().any(|line| line.starts_with("iris") && line.contains("2,100") && line.ends_with("11.0 ms"))
        );
        assert!(lines.iter().any(|line| line.starts_with("model") && line.ends_with("p99")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn all_is_well_only_if_every_request_has_one_right_answer() {
        assert!(verdict(PLAIN, &[row()]).0);
        let cases = [
            (Row { answers: 2_000, ..row() }, "iris: 100 without an answer"),
            (Row { doubled: 2, ..row() }, "iris: 2 answered twice"),
            (Row { errors: 1, codes: vec!["1 INTERNAL".to_owned()], ..row() }, "an error (1 INTERNAL)"),
            (
                Row { wrong: 1, first_fault: Some("iris-7 got `a`".to_owned()), ..row() },
                "class (iris-7 got `a`, for one)",
            ),
            (Row { requests: 0, answers: 0, ..row() }, "no request was sent"),
        ];
        for (row, sentence) in cases {
            let (good, text) = verdict(PLAIN, &[row]);
            assert!(!good && text.contains(sentence), "{text}");
        }
    }
}
