//! Steps over columns of scores: what a model says of each class, made into what a caller wants to know.
//!
//! Scores stand in the last axis, one for each class, and instances in the first, so that there are at least two axes. The
//! new columns of these steps are `label`, `labels` and `scores`, unless the configuration says otherwise.

use super::{StepError, schema::KnownColumn};
use crate::tensor::{Column, ShapeText};

pub mod argmax;
mod labels;
pub mod round;
pub mod sigmoid;
pub mod softmax;
pub mod threshold;
pub mod top_k;

/// The axes of a column of scores without the last, and how many scores stand there.
///
/// # Errors
/// If there is but one score for each instance.
fn classes_of(column: &Column) -> Result<(Vec<usize>, usize), StepError> {
    match column.tensor.shape() {
        [outer @ .., width] if !outer.is_empty() => Ok((outer.to_vec(), *width)),
        shape => Err(no_classes(&column.name, &ShapeText(shape).to_string())),
    }
}

/// The axes of a column of scores without the last, as far as they are known; the last is [`KnownColumn::width`].
///
/// # Errors
/// If there will be but one score for each instance.
fn known_outer(column: &KnownColumn) -> Result<Option<Vec<Option<usize>>>, StepError> {
    match column.shape.as_deref() {
        None => Ok(None),
        Some([outer @ .., _]) if !outer.is_empty() => Ok(Some(outer.to_vec())),
        Some(shape) => Err(no_classes(&column.name, if shape.is_empty() { "[]" } else { "[n]" })),
    }
}

fn no_classes(column: &str, shape: &str) -> StepError {
    StepError(format!(
        "column `{column}` has shape {shape}: one score for each instance, but the step needs an axis of several; a \
         single logit wants `sigmoid`, and `threshold` turns its score into a decision"
    ))
}
