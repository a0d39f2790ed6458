//! Steps: functions over the columns of a group, before and after `predict`.
//!
//! A pipeline's `steps:` is one list of [`StepConfig`]s. What a step needs from the model's version (a labels file, say) is
//! read when that version is loaded: [`StepConfig::build`] gives a [`Step`], [`Step::check`] follows names and datatypes
//! through the list, so that a wrong column name is found before the first request, and [`Step::apply`] is all that
//! happens to a group. A step sees columns, not requests: what it refuses row by row goes to [`Refusals`], and the request
//! that owns the row is answered with an error while its neighbours go on.
//!
//! Every step takes tensors of any rank, with the first axis as instances, and columns without rows. Adding a step is one
//! file in a folder here, one variant of [`StepConfig`] with an arm in each of its `match`es, and its heading in
//! `docs/steps.md`.

use crate::tensor::Columns;

pub use config::StepConfig;
pub use features::PerFeature;
pub use files::VersionFiles;
pub use schema::{KnownColumn, Schema};

mod config;
mod features;
mod files;
pub mod fit;
mod place;
pub mod predict;
pub mod program;
mod real;
mod schema;
pub mod scores;
pub mod table;
pub mod text;

#[cfg(test)]
mod testing;

/// Why a step cannot be built, does not fit its columns, or failed on a whole group.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct StepError(pub String);

/// The rows that a step could not process, with a sentence for each; the request that owns such a row fails.
#[derive(Debug, Default)]
pub struct Refusals(Vec<(usize, String)>);

impl Refusals {
    /// Refuses one row. The step leaves any valid value in its place. Of several reasons that come one after another for
    /// the same row, the first is kept.
    pub fn row(&mut self, row: usize, why: impl Into<String>) {
        if self.0.last().is_none_or(|(last, _)| *last != row) {
            self.0.push((row, why.into()));
        }
    }

    /// What was refused, in the order in which it was.
    pub fn into_rows(self) -> Vec<(usize, String)> {
        self.0
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A function over columns, ready to run.
pub trait Step: Send + Sync {
    /// Follows the step through names and datatypes: reads what it needs from `schema`, writes what it makes.
    ///
    /// # Errors
    /// If a column is missing or of a datatype that the step cannot work on; names what there is.
    fn check(&self, schema: &mut Schema) -> Result<(), StepError>;

    /// Changes the columns of a group. Rows are independent: what happens to one never depends on another.
    ///
    /// # Errors
    /// If no row of the group can be processed (a column is missing or of the wrong datatype or shape).
    fn apply(&self, columns: &mut Columns, refusals: &mut Refusals) -> Result<(), StepError>;
}

/// What a step's properties can do; implemented beside each step.
pub(crate) trait Properties {
    /// What is wrong with the properties themselves, one sentence each.
    fn problems(&self) -> Vec<String>;

    /// The step, with what it needs from the files of a model version.
    ///
    /// # Errors
    /// If a file is missing or does not say what it should, or the properties have problems.
    fn build(&self, files: &VersionFiles) -> Result<Box<dyn Step>, StepError>;
}
