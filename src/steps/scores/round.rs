//! `round`: floats with so many decimals, a half to the even neighbour, as NumPy, pandas and Python round.
//!
//! Computed in FP64: the number is scaled by a power of ten, rounded and scaled back. NaN and infinities stay, and so do
//! numbers that are too large to have the decimals that would be cut.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    steps::{
        Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{NUMBERS, Place, place_problems},
        real,
    },
    tensor::Columns,
};

/// FP64 has no more decimal digits that could be told apart.
const MAX_DECIMALS: u32 = 15;

/// Properties of `round`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change: floats; integers pass as they are.
    pub column: String,
    /// How many decimals are left, from 0 to 15.
    pub decimals: u32,
    /// Where the result goes; the column itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = place_problems(&self.column, self.into.as_ref());
        if self.decimals > MAX_DECIMALS {
            problems.push(format!("`decimals` is {}, but must be at most {MAX_DECIMALS}", self.decimals));
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        let scale = f64::from(10).powi(self.decimals.min(MAX_DECIMALS) as i32);
        Ok(Box::new(Round { place: Place::new(&self.column, self.into.as_deref()), scale }))
    }
}

struct Round {
    place: Place,
    /// Ten to the power of the decimals; exact, since there are at most 15.
    scale: f64,
}

impl Step for Round {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = self.place.known(schema, NUMBERS)?;
        schema.put(column);
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        let column = self.place.target(columns, NUMBERS)?;
        if column.tensor.datatype().is_float() {
            real::map(column.tensor_mut().elements_mut(), |number| round(number, self.scale));
        }
        Ok(())
    }
}

fn round(number: f64, scale: f64) -> f64 {
    /// From here on, every FP64 is an integer.
    const INTEGERS: f64 = 4_503_599_627_370_496.0;
    let scaled = number * scale;
    if scaled.abs() < INTEGERS { scaled.round_ties_even() / scale } else { number }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{apply, columns, elements, floats, json, problems, vector},
        tensor::{Elements, Tensor},
    };

    #[test]
    fn halves_go_to_the_even_neighbour_as_in_numpy() {
        // NumPy 2.4.6: numpy.round(numbers, 2) and numpy.round(halves).
        let numbers = vec![0.125, 0.375, 2.5, -0.5, 1.005, 123456.789];
        let halves = vec![0.5, 1.5, 2.5, -0.5, -1.5];
        let mut columns =
            columns([("x", Tensor::vector(Elements::Fp64(numbers))), ("h", Tensor::vector(Elements::Fp64(halves)))]);
        apply(json!({"round": {"column": "x", "decimals": 2}}), &mut columns).unwrap();
        apply(json!({"round": {"column": "h", "decimals": 0}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "x"), &Elements::Fp64(vec![0.12, 0.38, 2.5, -0.5, 1.0, 123456.79]));
        assert_eq!(elements(&columns, "h"), &Elements::Fp64(vec![0.0, 2.0, 2.0, -0.0, -2.0]));
    }

    #[test]
    fn single_precision_prints_as_short_as_it_was_rounded() {
        let mut columns = columns([("p", vector(&[0.123_456_79, 0.999_96]))]);
        apply(json!({"round": {"column": "p", "decimals": 4, "into": "q"}}), &mut columns).unwrap();
        assert_eq!(floats(&columns, "q"), [0.1235, 1.0]);
        assert_eq!(floats(&columns, "p")[0], 0.123_456_79);
    }

    #[test]
    fn what_has_no_decimals_stays() {
        let mut columns = columns([
            ("x", vector(&[f32::INFINITY, 3e38, f32::NAN])),
            ("half", Tensor::vector(Elements::Fp16(vec![f16::MAX, f16::from_f32(0.26)]))),
            ("n", Tensor::vector(Elements::Int64(vec![i64::MAX]))),
        ]);
        for column in ["x", "half", "n"] {
            apply(json!({"round": {"column": column, "decimals": 1}}), &mut columns).unwrap();
        }
        assert_eq!(floats(&columns, "x")[..2], [f32::INFINITY, 3e38]);
        assert!(floats(&columns, "x")[2].is_nan());
        assert_eq!(elements(&columns, "half"), &Elements::Fp16(vec![f16::MAX, f16::from_f32(0.3)]));
        assert_eq!(elements(&columns, "n"), &Elements::Int64(vec![i64::MAX]));
    }

    #[test]
    fn more_decimals_than_there_are_is_a_problem() {
        let problems = problems(json!({"round": {"column": "x", "decimals": 16}}));
        assert_eq!(problems, ["`decimals` is 16, but must be at most 15"]);
    }

    proptest! {
        #[test]
        fn it_moves_a_number_by_at_most_half_a_unit(number: f64, decimals in 0_i32..16) {
            let scale = 10_f64.powi(decimals);
            let moved = (round(number, scale) - number).abs();
            prop_assert!(moved <= 0.5 / scale * (1.0 + 1e-9) + number.abs() * f64::EPSILON, "{moved}");
        }
    }
}
