//! Steps: functions over the columns of a group, before and after `predict`.
//!
//! A pipeline's `steps:` is one list of [`StepConfig`]s. What a step needs from the model's version (a labels file, say) is
//! read when that version is loaded: [`StepConfig::build`] gives a [`Step`], [`Step::check`] follows names and datatypes
//! through the list, so that a wrong column name is found before the first request, and [`Step::apply`] is all that
//! happens to a group. A step sees columns, not requests: what it refuses row by row goes to [`Refusals`], and the request
//! that owns the row is answered with an error while its neighbours go on.
//!
//! Adding a step is one file in a folder here, one variant of [`StepConfig`] and one arm in each of its `match`es.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tensor::Columns;

pub use schema::{KnownColumn, Schema};

pub mod predict;
pub mod program;
mod schema;
pub mod scores;
pub mod table;
pub mod text;

/// Why a step cannot be built, does not fit its columns, or failed on a whole group.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct StepError(pub String);

/// The rows that a step could not process, with a sentence for each; the request that owns such a row fails.
#[derive(Debug, Default)]
pub struct Refusals(Vec<(usize, String)>);

impl Refusals {
    /// Refuses one row. The step leaves any valid value in its place.
    pub fn row(&mut self, row: usize, why: impl Into<String>) {
        self.0.push((row, why.into()));
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

/// The files that lie beside `model.onnx` in the version nearest to a step.
pub struct VersionFiles {
    /// The version's folder.
    pub folder: PathBuf,
}

impl VersionFiles {
    /// The text of a file of the version.
    ///
    /// # Errors
    /// If the name leaves the folder, or the file is not there or no UTF-8.
    pub fn text(&self, name: &str) -> Result<String, StepError> {
        let inside =
            std::path::Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside || name.is_empty() {
            return Err(StepError(format!("`{name}` is no file name inside the model's version")));
        }
        std::fs::read_to_string(self.folder.join(name)).map_err(|error| {
            StepError(format!("the file `{name}`, which must lie beside model.onnx, cannot be read: {error}"))
        })
    }
}

/// One entry of a pipeline's `steps:`, a map with one key: the step's name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum StepConfig {
    /// Turns text into lower case.
    Lowercase(text::lowercase::Config),
    /// Runs a model of the repository on the columns that it takes.
    Predict(predict::Config),
}

impl StepConfig {
    /// The step's name in the configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lowercase(_) => "lowercase",
            Self::Predict(_) => "predict",
        }
    }

    /// What is wrong with the step's own properties, one sentence each; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        match self {
            Self::Lowercase(_) => Vec::new(),
            Self::Predict(config) => config.problems(),
        }
    }

    /// The step, with what it needs from the files of a model version; `None` for `predict`, which the program runs itself.
    ///
    /// # Errors
    /// If a file is missing or does not say what it should.
    pub fn build(&self, _files: &VersionFiles) -> Result<Option<Box<dyn Step>>, StepError> {
        Ok(match self {
            Self::Lowercase(config) => Some(Box::new(text::lowercase::Lowercase::new(config))),
            Self::Predict(_) => None,
        })
    }
}
