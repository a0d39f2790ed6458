//! A property that is one number for a whole column, or one for each feature of it.
//!
//! Features are the entries of the last axis (`[n, 784]` has 784, `[n, 28, 28, 3]` has 3); a column `[n]` has one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StepError, schema::KnownColumn};
use crate::tensor::{Column, ShapeText, Tensor};

/// One number, or one for each entry of the last axis.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(untagged, expecting = "a number or a list of numbers")]
pub enum PerFeature {
    /// The same for all.
    Same(f64),
    /// One for each entry of the last axis.
    Each(Vec<f64>),
}

impl PerFeature {
    /// The numbers: one for all, or as many as there are features.
    pub(super) fn numbers(&self) -> &[f64] {
        match self {
            Self::Same(number) => std::slice::from_ref(number),
            Self::Each(numbers) => numbers,
        }
    }

    /// What is wrong with the numbers of the property called `property`, as far as it is wrong with any column.
    pub(super) fn problem(&self, property: &str) -> Option<String> {
        if self.numbers().is_empty() {
            return Some(format!("`{property}` is an empty list"));
        }
        let wrong = self.numbers().iter().find(|number| !number.is_finite())?;
        Some(format!("`{property}` holds {wrong}, but must be finite"))
    }

    /// # Errors
    /// If the numbers are not as many as the features of `column`, as far as these are known.
    pub(super) fn check(&self, property: &str, column: &KnownColumn) -> Result<(), StepError> {
        let numbers = self.numbers().len();
        match column.width() {
            Some(width) if numbers != 1 && numbers != width => Err(StepError(format!(
                "`{property}` has {numbers} numbers, but column `{}` has {width} features",
                column.name
            ))),
            _ => Ok(()),
        }
    }

    /// The number of each of `width` features.
    ///
    /// # Errors
    /// If there are not as many.
    pub(super) fn along(&self, property: &str, column: &Column) -> Result<Vec<f64>, StepError> {
        let width = width(&column.tensor);
        match self.numbers() {
            // Without instances, a width can be anything, also more than memory holds.
            [_] if column.tensor.elements().is_empty() => Ok(Vec::new()),
            [number] => Ok(vec![*number; width]),
            numbers if numbers.len() == width => Ok(numbers.to_vec()),
            numbers => Err(StepError(format!(
                "`{property}` has {} numbers, but column `{}` of shape {} has {width} features",
                numbers.len(),
                column.name,
                ShapeText(column.tensor.shape())
            ))),
        }
    }
}

/// How many features a tensor has: the length of its last axis, 1 where the only axis counts instances.
pub(super) fn width(tensor: &Tensor) -> usize {
    tensor.row_shape().last().copied().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Elements;

    #[test]
    fn one_number_serves_every_feature_and_a_list_must_have_one_for_each() {
        let pixels = Column::new("pixels", Tensor::matrix(3, Elements::Fp32(vec![0.0; 6])));
        assert_eq!(PerFeature::Same(2.0).along("mean", &pixels).unwrap(), [2.0, 2.0, 2.0]);
        assert_eq!(PerFeature::Each(vec![1.0, 2.0, 3.0]).along("mean", &pixels).unwrap(), [1.0, 2.0, 3.0]);
        let error = PerFeature::Each(vec![1.0, 2.0]).along("mean", &pixels).unwrap_err();
        assert_eq!(error.0, "`mean` has 2 numbers, but column `pixels` of shape [2, 3] has 3 features");
    }

    #[test]
    fn a_vector_has_one_feature_however_many_instances_it_has() {
        let ages = Column::new("age", Tensor::vector(Elements::Fp32(vec![0.0; 6])));
        assert!(PerFeature::Each(vec![0.0; 6]).along("mean", &ages).is_err());
        assert_eq!(PerFeature::Each(vec![7.0]).along("mean", &ages).unwrap(), [7.0]);
    }

    #[test]
    fn no_number_and_no_finite_number_are_problems() {
        assert!(PerFeature::Each(vec![]).problem("mean").is_some());
        assert!(PerFeature::Same(f64::NAN).problem("mean").is_some());
        assert_eq!(PerFeature::Each(vec![0.0, -1.5]).problem("mean"), None);
    }
}
