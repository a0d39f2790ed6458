//! What one sees while the traffic runs: a bar for each model on a terminal, a line from time to time elsewhere.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::{screen::Screen, traffic::Traffic};
use crate::cli::{load::grouped, print};

/// How often a line is written where nothing can move.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows how far the traffic is.
pub enum Progress {
    /// Bars that move.
    Bars(MultiProgress, Vec<ProgressBar>),
    /// Lines; when the traffic began and when the next one is due.
    Lines(Instant, Duration),
}

impl Progress {
    /// For so many requests to each model.
    pub fn new(screen: Screen, traffic: &[Traffic<'_>], requests: u64) -> Self {
        if !screen.live {
            return Self::Lines(Instant::now(), LINE_EVERY);
        }
        let style = "  {prefix:<11}{bar:30.green/black.bright}  {human_pos:>7} answers  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed").progress_chars("━━─");
        let all = MultiProgress::new();
        let bars = traffic.iter().map(|traffic| {
            let bar = all.add(ProgressBar::new(requests).with_finish(ProgressFinish::Abandon));
            bar.set_style(style.clone());
            bar.set_prefix(traffic.lane.showcase.name);
            bar
        });
        let bars = bars.collect();
        Self::Bars(all, bars)
    }

    /// Shows the present state.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub fn show(&mut self, traffic: &[Traffic<'_>]) -> anyhow::Result<()> {
        match self {
            Self::Bars(_, bars) => {
                for (bar, traffic) in bars.iter().zip(traffic) {
                    let tally = traffic.tally.lock();
                    let median = tally.ledger.latencies.value_at_quantile(0.5) as f64 / 1e3;
                    bar.set_message(format!("p50 {median:.1} ms"));
                    bar.set_position(tally.ledger.answered);
                }
                Ok(())
            }
            Self::Lines(begun, due) if begun.elapsed() >= *due => {
                let sent: u64 = traffic.iter().map(|traffic| traffic.run.sent()).sum();
                let waiting: u64 = traffic.iter().map(Traffic::waiting).sum();
                let (seconds, sent, answered) = (due.as_secs(), grouped(sent), grouped(sent - waiting));
                *due += LINE_EVERY;
                print(format!("  {seconds:>3} s  {sent} requests, {answered} answers\n"))
            }
            Self::Lines(..) => Ok(()),
        }
    }

    /// Leaves the bars as they are: that is how far it came. Ctrl-C has moved the cursor, so nothing is drawn any more.
    pub fn leave(self) {
        if let Self::Bars(all, _) = self {
            all.set_draw_target(ProgressDrawTarget::hidden());
            eprintln!();
        }
    }

    /// Makes room for the result.
    pub fn wipe(self) {
        if let Self::Bars(all, bars) = self {
            bars.iter().for_each(ProgressBar::finish_and_clear);
            // What cannot be wiped stays where it is.
            let _ = all.clear();
        }
    }
}
