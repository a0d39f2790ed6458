//! `sigmoid`: 1 / (1 + exp(-logit)), a probability for each logit by itself: binary and multi-label models.
//!
//! Stable at both ends. NaN stays NaN.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    steps::{
        Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{FLOATS, Place, place_problems},
        real,
    },
    tensor::Columns,
};

/// Properties of `sigmoid`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change: FP16, FP32 or FP64 of any shape.
    pub column: String,
    /// Where the result goes; the column itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        place_problems(&self.column, self.into.as_ref())
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Sigmoid(Place::new(&self.column, self.into.as_deref()))))
    }
}

struct Sigmoid(Place);

impl Step for Sigmoid {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = self.0.known(schema, FLOATS)?;
        schema.put(column);
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        real::map(self.0.target(columns, FLOATS)?.tensor_mut().elements_mut(), sigmoid);
        Ok(())
    }
}

fn sigmoid(logit: f64) -> f64 {
    // Of the two forms of the same function, each is taken where its exponential is at most 1.
    if logit < 0.0 {
        let odds = logit.exp();
        odds / (1.0 + odds)
    } else {
        1.0 / (1.0 + (-logit).exp())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{apply, check, columns, elements, floats, json, output, vector},
        tensor::{DataType, Elements, Tensor},
    };

    #[test]
    fn logits_become_the_probabilities_that_scipy_gives_them() {
        // SciPy 1.17.1: scipy.special.expit of the same numbers, in float32 and in float64.
        let mut columns = columns([
            ("single", vector(&[-1.0, 0.0, 0.5, 100.0, -1000.0, 1000.0, f32::INFINITY, f32::NEG_INFINITY])),
            ("double", Tensor::vector(Elements::Fp64(vec![-700.0, -1.0, 0.5]))),
        ]);
        apply(json!({"sigmoid": {"column": "single"}}), &mut columns).unwrap();
        assert_eq!(floats(&columns, "single"), [0.26894143, 0.5, 0.62245935, 1.0, 0.0, 1.0, 1.0, 0.0]);
        apply(json!({"sigmoid": {"column": "double"}}), &mut columns).unwrap();
        let Elements::Fp64(doubles) = elements(&columns, "double") else { panic!("another datatype") };
        for (number, expected) in doubles.iter().zip([9.85967654375977e-305, 0.2689414213699951, 0.6224593312018546]) {
            assert!((number / expected - 1.0).abs() < 1e-14, "{number} {expected}");
        }
    }

    #[test]
    fn integers_are_refused_before_and_with_a_group() {
        let step = json!({"sigmoid": {"column": "n"}});
        let wrong = "column `n` is INT64, but the step needs FP16, FP32 or FP64";
        let mut schema = output("n", DataType::Int64, &[None]);
        assert_eq!(check(step.clone(), &[], &mut schema).unwrap_err().0, wrong);
        let mut columns = columns([("n", Tensor::vector(Elements::Int64(vec![1])))]);
        assert_eq!(apply(step, &mut columns).unwrap_err().0, wrong);
    }

    proptest! {
        #[test]
        fn opposite_logits_have_probabilities_that_sum_to_one(logit: f64) {
            prop_assert!((sigmoid(logit) + sigmoid(-logit) - 1.0).abs() < 1e-15);
        }
    }
}
