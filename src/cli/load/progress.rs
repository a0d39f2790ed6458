//! A bar on a terminal while a run goes on; nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::quantity::Count;

/// What a person sees meanwhile. Drawn on standard error, and only if that is a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar towards `total`, or a counter where that is not known.
    pub fn new(what: &'static str, total: Option<Count>) -> Self {
        let bar = total.map_or_else(ProgressBar::no_length, |total| ProgressBar::new(total.0));
        let template = if total.is_some() {
            "{prefix} [{wide_bar}] {human_pos}/{human_len} {per_sec}  {msg}"
        } else {
            "{prefix} {spinner} {human_pos} {per_sec}  {msg}"
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// How many requests are on their way.
    pub fn show_sent(&self, sent: u64) {
        if self.0.prefix() == "sending" {
            self.0.set_position(sent);
        } else {
            self.0.set_message(format!("{sent} sent"));
        }
    }

    /// How many answers have come.
    pub fn show_answered(&self, answered: u64) {
        self.0.set_position(answered);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
