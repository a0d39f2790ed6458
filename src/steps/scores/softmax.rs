//! `softmax`: probabilities that sum to 1 along an axis.
//!
//! Stable: the greatest logit is subtracted first, so that nothing overflows. FP16 is computed in FP32, and sums are taken
//! in FP64. Where an axis holds NaN or positive infinity, or nothing but negative infinity, all of it becomes NaN, as in
//! NumPy and PyTorch.

use half::slice::HalfFloatSliceExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::known_outer;
use crate::{
    steps::{
        Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{FLOATS, Place, place_problems},
        scores::classes_of,
    },
    tensor::{Columns, Elements},
};

/// Properties of `softmax`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change: FP16, FP32 or FP64 with at least two axes.
    pub column: String,
    /// The axis along which the probabilities sum to 1; negative numbers count from the last. Axis 0 counts instances and
    /// cannot be taken.
    #[serde(default = "last", skip_serializing_if = "is_last")]
    pub axis: i64,
    /// Where the result goes; the column itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

fn last() -> i64 {
    -1
}

fn is_last(axis: &i64) -> bool {
    *axis == last()
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = place_problems(&self.column, self.into.as_ref());
        if self.axis == 0 {
            problems.push("`axis` is 0, which counts instances; the first axis of an instance is 1".to_owned());
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Softmax { place: Place::new(&self.column, self.into.as_deref()), axis: self.axis }))
    }
}

struct Softmax {
    place: Place,
    axis: i64,
}

impl Step for Softmax {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = self.place.known(schema, FLOATS)?;
        known_outer(&column)?;
        if let Some(shape) = &column.shape {
            self.axis_of(shape.len())?;
        }
        schema.put(column);
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        classes_of(FLOATS.find(columns, &self.place.column)?)?;
        let column = self.place.target(columns, FLOATS)?;
        let shape = column.tensor.shape();
        let axis = self.axis_of(shape.len())?;
        if column.tensor.elements().is_empty() {
            return Ok(());
        }
        let (length, stride) = (shape[axis], shape[axis + 1..].iter().product());
        match column.tensor_mut().elements_mut() {
            Elements::Fp16(logits) => {
                let mut wide = logits.to_f32_vec();
                softmax(&mut wide, length, stride);
                logits.convert_from_f32_slice(&wide);
            }
            Elements::Fp32(logits) => softmax(logits, length, stride),
            Elements::Fp64(logits) => softmax(logits, length, stride),
            _ => unreachable!("only floats are found"),
        }
        Ok(())
    }
}

impl Softmax {
    /// The axis of a tensor with so many of them, counted from the first.
    fn axis_of(&self, rank: usize) -> Result<usize, StepError> {
        let counted = if self.axis < 0 { self.axis.saturating_add_unsigned(rank as u64) } else { self.axis };
        match usize::try_from(counted) {
            Ok(axis) if (1..rank).contains(&axis) => Ok(axis),
            _ => Err(StepError(format!(
                "`axis` is {}, but column `{}` has {rank} axes, the first of which counts instances",
                self.axis, self.place.column
            ))),
        }
    }
}

/// Arithmetic in the width of the column: an exponential in FP32 costs half of one in FP64.
trait Exponential: Copy + PartialOrd + std::ops::Sub<Output = Self> + Into<f64> {
    const LEAST: Self;

    fn exp(self) -> Self;

    fn of(wide: f64) -> Self;
}

impl Exponential for f32 {
    const LEAST: Self = Self::NEG_INFINITY;

    fn exp(self) -> Self {
        self.exp()
    }

    fn of(wide: f64) -> Self {
        wide as Self
    }
}

impl Exponential for f64 {
    const LEAST: Self = Self::NEG_INFINITY;

    fn exp(self) -> Self {
        self.exp()
    }

    fn of(wide: f64) -> Self {
        wide
    }
}

/// Over slices of `length` numbers that stand `stride` apart.
fn softmax<T: Exponential>(numbers: &mut [T], length: usize, stride: usize) {
    for block in numbers.chunks_exact_mut(length * stride) {
        for first in 0..stride {
            let slice = || (first..length * stride).step_by(stride);
            // A NaN is greater than nothing; it comes back through its own exponential.
            let greatest = slice().fold(T::LEAST, |so_far, at| if block[at] > so_far { block[at] } else { so_far });
            let mut sum = 0.0;
            for at in slice() {
                block[at] = (block[at] - greatest).exp();
                sum += block[at].into();
            }
            for at in slice() {
                block[at] = T::of(block[at].into() / sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{apply, check, columns, elements, floats, json, matrix, output, problems, vector},
        tensor::{DataType, Tensor},
    };

    fn step() -> serde_json::Value {
        json!({"softmax": {"column": "logits"}})
    }

    fn assert_near(numbers: &[f32], expected: &[f32]) {
        assert_eq!(numbers.len(), expected.len());
        for (number, expected) in numbers.iter().zip(expected) {
            assert!((number - expected).abs() < 1e-6, "{numbers:?} {expected:?}");
        }
    }

    // Expected numbers: scipy.special.softmax of SciPy 1.17.1 on the same arrays (float32 unless it says otherwise).

    #[test]
    fn each_instance_gets_probabilities_however_large_its_logits() {
        let mut columns = columns([("logits", matrix(&[[1.0, 2.0, 3.0], [-1000.0, 0.0, 1000.0], [0.1, -0.2, 80.0]]))]);
        apply(step(), &mut columns).unwrap();
        assert_near(floats(&columns, "logits"), &[0.09003057, 0.24472846, 0.66524094, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        assert!((floats(&columns, "logits")[6] / 1.9946663e-35 - 1.0).abs() < 1e-5);
    }

    #[test]
    fn another_axis_can_sum_to_one() {
        let logits = (0_u8..12).map(|index| f32::from(index) / 4.0 - 1.0).collect();
        let mut columns = columns([("logits", Tensor::new(vec![2, 3, 2], Elements::Fp32(logits)).unwrap())]);
        let step = json!({"softmax": {"column": "logits", "axis": 1, "into": "p"}});
        apply(step, &mut columns).unwrap();
        let instance = [0.18632372, 0.18632372, 0.3071959, 0.3071959, 0.5064804, 0.5064804];
        assert_near(floats(&columns, "p"), &[instance, instance].concat());
        assert_eq!(floats(&columns, "logits")[0], -1.0);
    }

    #[test]
    fn half_and_double_precision_keep_their_datatype() {
        let halves = [1.0, 2.0, 3.0].map(f16::from_f32).to_vec();
        let mut columns = columns([
            ("half", Tensor::matrix(3, Elements::Fp16(halves))),
            ("double", Tensor::matrix(3, Elements::Fp64(vec![1.0, 2.0, 3.0]))),
        ]);
        apply(json!({"softmax": {"column": "half"}}), &mut columns).unwrap();
        apply(json!({"softmax": {"column": "double"}}), &mut columns).unwrap();
        let Elements::Fp16(halves) = elements(&columns, "half") else { panic!("another datatype") };
        // float16 in SciPy sums in float16: 0.09009, 0.24475, 0.6655; the nearest to the true ones are these.
        assert_eq!(halves.as_slice(), [0.09003057, 0.24472847, 0.66524096].map(f16::from_f32));
        let Elements::Fp64(doubles) = elements(&columns, "double") else { panic!("another datatype") };
        for (number, expected) in doubles.iter().zip([0.09003057317038046, 0.24472847105479764, 0.6652409557748218]) {
            assert!((number - expected).abs() < 1e-15, "{number}");
        }
    }

    #[test]
    fn what_has_no_probabilities_becomes_nan_for_its_instance_alone() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let rows = [[1.0, nan, 3.0], [inf, 0.0, 1.0], [-inf, -inf, -inf], [-inf, 0.0, 0.0]];
        let mut columns = columns([("logits", matrix(&rows))]);
        apply(step(), &mut columns).unwrap();
        let (lost, fine) = floats(&columns, "logits").split_at(9);
        assert!(lost.iter().all(|number| number.is_nan()), "{lost:?}");
        assert_eq!(fine, [0.0, 0.5, 0.5]);
    }

    #[test]
    fn the_axis_of_instances_cannot_be_taken() {
        assert_eq!(problems(json!({"softmax": {"column": "logits", "axis": 0}})).len(), 1);
        for axis in [-2, 2, i64::MIN, i64::MAX] {
            let step = json!({"softmax": {"column": "logits", "axis": axis}});
            let mut schema = output("logits", DataType::Fp32, &[None, Some(3)]);
            let error = check(step.clone(), &[], &mut schema).unwrap_err();
            assert!(error.0.contains("has 2 axes, the first of which counts instances"), "{error}");
            assert!(apply(step, &mut columns([("logits", matrix(&[[1.0, 2.0]]))])).is_err());
        }
    }

    #[test]
    fn the_check_and_the_group_refuse_a_single_score() {
        let mut schema = output("logits", DataType::Fp32, &[None]);
        let error = check(step(), &[], &mut schema).unwrap_err();
        assert!(error.0.contains("one score for each instance"), "{error}");
        let error = apply(step(), &mut columns([("logits", vector(&[1.0, 2.0]))])).unwrap_err();
        assert!(error.0.starts_with("column `logits` has shape [2]: one score for each instance"), "{error}");
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one_and_keep_the_order(rows in prop::collection::vec([-500.0_f64..500.0, -5.0..5.0, -500.0..500.0], 0..9)) {
            let given = Tensor::new(vec![rows.len(), 3], Elements::Fp64(rows.as_flattened().to_vec())).unwrap();
            let mut columns = columns([("logits", given)]);
            apply(step(), &mut columns).unwrap();
            let Elements::Fp64(probabilities) = elements(&columns, "logits") else { unreachable!() };
            for (logits, probabilities) in rows.iter().zip(probabilities.chunks_exact(3)) {
                prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                for (a, b) in [(0, 1), (1, 2), (2, 0)] {
                    prop_assert!(logits[a] > logits[b] || probabilities[a] <= probabilities[b]);
                }
            }
        }
    }
}
