//! What a version must pass before it serves: its golden samples, and a warm-up at the batch sizes in use.
//!
//! [`check`] runs on the thread that loads, after the sessions were opened and before anybody may lease them; whether rows
//! may share a run is known by then. [`compatible`] holds a version's signature against that of the one in service.
//!
//! Guarantee: what fails is told in a sentence for whoever made the model. What passes has answered every golden sample
//! rightly, and has been run, as far as it can be tried and the time allows, at every batch size in use.

use std::time::Duration;

pub use signature::compatible;
pub use warm_up::WarmUpReport;

use super::batcher::BatchOptions;
use crate::{
    backend::{BatchAxis, Session},
    codec::json::{GoldenSample, golden_samples},
};

mod golden;
mod signature;
mod warm_up;

/// What `model.yaml` asks for.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// How the sessions are warmed up.
    pub warm_up: WarmUp,
    /// The golden samples, if there are any.
    pub golden: Option<GoldenText>,
}

/// How the sessions of a version are warmed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// The numbers of rows that are run. `None`: 1, 8, 32, 128 and so on up to `max_batch_size`, as far as a run of so many
    /// rows is expected to stay within `target_run_time`, since the batcher forms no others.
    pub batch_sizes: Option<Vec<usize>>,
    /// No run is begun that is expected to end later than this; the sessions share it. Only the first run, of which nothing
    /// is known yet, may take longer.
    pub time_limit: Duration,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self { batch_sizes: None, time_limit: Duration::from_secs(5) }
    }
}

/// Golden samples as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldenText {
    /// The file that they stand in, for sentences.
    pub source: String,
    /// JSON; see [`golden_samples`].
    pub text: String,
}

/// What was done with a version that passed.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// How many golden samples it answered rightly.
    pub goldens: usize,
    /// How its sessions were warmed up.
    pub warm_up: WarmUpReport,
}

/// Why a version may not serve; a sentence for whoever made the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The golden samples cannot be read, or the model answers one of them with something else.
    #[error("{0}")]
    Golden(String),
    /// The model fails at a batch size that is in use.
    #[error("{0}")]
    WarmUp(String),
}

/// Runs the golden samples on the first session, then warms all of them up. Blocks for as long as that takes.
///
/// # Errors
/// The first thing that the version does not pass.
pub fn check(
    sessions: &mut [Box<dyn Session>],
    axis: BatchAxis,
    batch: &BatchOptions,
    options: &CheckOptions,
) -> Result<CheckReport, CheckError> {
    let samples = match &options.golden {
        Some(golden) => samples(golden)?,
        None => Vec::new(),
    };
    if let (Some(first), Some(golden)) = (sessions.first_mut(), &options.golden) {
        for (index, sample) in samples.iter().enumerate() {
            golden::check(&mut **first, axis, sample).map_err(|why| {
                let (number, count, source) = (index + 1, samples.len(), &golden.source);
                CheckError::Golden(format!("golden sample {number} of {count} in `{source}`: {why}"))
            })?;
        }
    }
    let warm_up = warm_up::run(sessions, axis, batch, &options.warm_up, samples.first())?;
    Ok(CheckReport { goldens: samples.len(), warm_up })
}

fn samples(golden: &GoldenText) -> Result<Vec<GoldenSample>, CheckError> {
    let unreadable =
        |why| CheckError::Golden(format!("the golden samples in `{}` cannot be read: {why}", golden.source));
    golden_samples(&golden.text).map_err(unreadable)
}
