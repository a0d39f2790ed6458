//! `standardize`: (number - mean) / std, as scikit-learn's `StandardScaler`, with the mean and the standard deviation of
//! the training data.
//!
//! Floats keep their datatype, integers become FP64. Computed in FP64 and rounded once; NaN stays NaN.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    convert::{Fractions, convert},
    statistics::Statistics,
};
use crate::{
    steps::{
        KnownColumn, PerFeature, Properties, Refusals, Schema, Step, StepError, VersionFiles,
        files::file_problem,
        place::{NUMBERS, targets, targets_problems},
        real::{self, Real, each_float},
    },
    tensor::{Column, Columns, DataType, Name, Tensor},
};

/// Properties of `standardize`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change: numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The columns to change, instead of `column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// What is subtracted: one number, or one for each feature; 0 if only `std` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<PerFeature>,
    /// What is divided by: one number, or one for each feature, all above 0; 1 if only `mean` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<PerFeature>,
    /// A JSON file of the model's version with `mean` and `std` of each column, instead of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = targets_problems(self.column.as_ref(), &self.columns);
        if (self.mean.is_some() || self.std.is_some()) == self.file.is_some() {
            problems.push("say either `mean` and `std`, or `file`".to_owned());
        }
        problems.extend(self.mean.as_ref().and_then(|mean| mean.problem("mean")));
        problems.extend(self.std.as_ref().and_then(std_problem));
        if let (Some(PerFeature::Each(mean)), Some(PerFeature::Each(std))) = (&self.mean, &self.std)
            && mean.len() != std.len()
        {
            problems.push(format!("`mean` has {} numbers and `std` {}", mean.len(), std.len()));
        }
        problems.extend(self.file.as_deref().and_then(file_problem));
        problems
    }

    fn build(&self, files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        let statistics = self.file.as_deref().map(|file| Statistics::read(file, files)).transpose()?;
        let mut scales = Vec::new();
        for column in targets(self.column.as_ref(), &self.columns) {
            let (mean, std) = match &statistics {
                Some(statistics) => (statistics.numbers(&column, "mean")?, statistics.numbers(&column, "std")?),
                None => (
                    self.mean.clone().unwrap_or(PerFeature::Same(0.0)),
                    self.std.clone().unwrap_or(PerFeature::Same(1.0)),
                ),
            };
            if let Some(problem) = std_problem(&std) {
                return Err(StepError(format!("column `{column}`: {problem}")));
            }
            scales.push(Scale { column, mean, std });
        }
        Ok(Box::new(Standardize { scales }))
    }
}

fn std_problem(std: &PerFeature) -> Option<String> {
    let other = || {
        let wrong = std.numbers().iter().find(|&&number| number <= 0.0)?;
        Some(format!("`std` holds {wrong}, but must be above 0 (for a constant feature, 1 leaves it as it is)"))
    };
    std.problem("std").or_else(other)
}

struct Standardize {
    scales: Vec<Scale>,
}

/// One column, its mean and its standard deviation.
struct Scale {
    column: Name,
    mean: PerFeature,
    std: PerFeature,
}

impl Step for Standardize {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        for scale in &self.scales {
            let column = NUMBERS.known(schema, &scale.column)?;
            scale.mean.check("mean", &column)?;
            scale.std.check("std", &column)?;
            schema.put(KnownColumn { datatype: column.datatype.map(float_of), ..column });
        }
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        for scale in &self.scales {
            let column = NUMBERS.change(columns, &scale.column)?;
            if !column.tensor.datatype().is_float() {
                column.tensor = Arc::new(as_float(&column.tensor));
            }
            scale.apply(column)?;
        }
        Ok(())
    }
}

fn float_of(datatype: DataType) -> DataType {
    if datatype.is_float() { datatype } else { DataType::Fp64 }
}

fn as_float(tensor: &Tensor) -> Tensor {
    let elements = convert(tensor.elements(), DataType::Fp64, Fractions::Exact, |_, _| {
        unreachable!("every integer has a nearest FP64");
    });
    Tensor::new(tensor.shape().to_vec(), elements).expect("one element for each that was there")
}

impl Scale {
    fn apply(&self, column: &mut Column) -> Result<(), StepError> {
        if let (&[mean], &[std]) = (self.mean.numbers(), self.std.numbers()) {
            real::map(column.tensor_mut().elements_mut(), |number| (number - mean) / std);
            return Ok(());
        }
        let (means, stds) = (self.mean.along("mean", column)?, self.std.along("std", column)?);
        each_float!(column.tensor_mut().elements_mut(), numbers => standardize(numbers, &means, &stds), _ => ());
        Ok(())
    }
}

fn standardize<T: Real>(numbers: &mut [T], means: &[f64], stds: &[f64]) {
    // A last axis of length 0 leaves no numbers, and no chunks either.
    for features in numbers.chunks_exact_mut(means.len().max(1)) {
        for ((number, mean), std) in features.iter_mut().zip(means).zip(stds) {
            *number = T::narrow((number.wide() - mean) / std);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{
            apply, apply_with_files, check, columns, elements, floats, json, known, matrix, output, problems, vector,
        },
        tensor::Elements,
    };

    #[test]
    fn features_are_scaled_as_scikit_learn_scales_them() {
        // scikit-learn 1.9.1: `s = StandardScaler().fit(x)` on these four rows in float32; s.mean_, s.scale_, s.transform(x).
        let mut columns = columns([("x", matrix(&[[5.1, 3.5], [4.9, 3.0], [6.2, 2.2], [7.0, 3.1]]))]);
        let (mean, std) = ([5.799999952316284, 2.949999988079071], [0.8514692902954842, 0.4716990300668975]);
        apply(json!({"standardize": {"column": "x", "mean": mean, "std": std}}), &mut columns).unwrap();
        let expected = [-0.8221087, 1.1659976, -1.0569966, 0.10599969, 0.46977574, -1.5899969, 1.4093283, 0.31799907];
        for (number, expected) in floats(&columns, "x").iter().zip(expected) {
            assert!((number - expected).abs() < 1e-6, "{number} {expected}");
        }
    }

    #[test]
    fn integers_become_floats_and_the_check_knows_it() {
        let mut columns = columns([("age", Tensor::vector(Elements::Int64(vec![30, i64::MAX])))]);
        let step = json!({"standardize": {"column": "age", "mean": 20, "std": 4}});
        apply(step.clone(), &mut columns).unwrap();
        assert_eq!(elements(&columns, "age"), &Elements::Fp64(vec![2.5, (2_f64.powi(63) - 20.0) / 4.0]));
        let mut schema = output("age", DataType::Int64, &[None]);
        check(step, &[], &mut schema).unwrap();
        assert_eq!(known(&schema, "age").datatype, Some(DataType::Fp64));
    }

    #[test]
    fn the_models_own_statistics_can_be_used() {
        let stats = r#"{"age": {"mean": 30, "std": 10}, "x": {"mean": [0, 1], "std": [1, 2]}}"#;
        let mut columns = columns([("age", vector(&[45.0])), ("x", matrix(&[[3.0, 5.0]]))]);
        let step = json!({"standardize": {"columns": ["age", "x"], "file": "stats.json"}});
        apply_with_files(step.clone(), &[("stats.json", stats)], &mut columns).unwrap();
        assert_eq!((floats(&columns, "age"), floats(&columns, "x")), (&[1.5][..], &[3.0, 2.0][..]));
        let stats = r#"{"age": {"mean": 30, "std": 0}, "x": {"mean": 0, "std": 1}}"#;
        let error = apply_with_files(step, &[("stats.json", stats)], &mut columns).unwrap_err();
        assert!(error.0.starts_with("column `age`: `std` holds 0, but must be above 0"), "{error}");
    }

    #[test]
    fn a_list_that_does_not_fit_the_column_is_found_before_the_first_request() {
        let mut schema = output("x", DataType::Fp32, &[None, Some(3)]);
        let step = json!({"standardize": {"column": "x", "std": [1, 2]}});
        let error = check(step, &[], &mut schema).unwrap_err();
        assert_eq!(error.0, "`std` has 2 numbers, but column `x` has 3 features");
    }

    #[test]
    fn a_standard_deviation_of_zero_and_contradictions_are_problems() {
        let of = |step: serde_json::Value| problems(json!({ "standardize": step }));
        assert!(of(json!({"column": "x", "std": [1, 0]}))[0].contains("`std` holds 0, but must be above 0"));
        assert_eq!(of(json!({"column": "x", "std": -1})).len(), 1);
        assert_eq!(of(json!({"column": "x"})).len(), 1);
        assert_eq!(of(json!({"column": "x", "mean": 1, "file": "stats.json"})).len(), 1);
        assert_eq!(of(json!({"column": "x", "mean": [1, 2], "std": [1, 2, 3]})).len(), 1);
        assert!(of(json!({"column": "x", "mean": [1, 2], "std": 2})).is_empty());
    }

    proptest! {
        #[test]
        fn multiplying_and_adding_gives_the_numbers_back(
            numbers in prop::collection::vec(-1e6..1e6, 0..20), mean in -100.0..100.0, std in 0.01..100.0,
        ) {
            let mut columns = columns([("x", Tensor::vector(Elements::Fp64(numbers.clone())))]);
            apply(json!({"standardize": {"column": "x", "mean": mean, "std": std}}), &mut columns).unwrap();
            let Elements::Fp64(standardized) = elements(&columns, "x") else { unreachable!() };
            for (number, standardized) in numbers.iter().zip(standardized) {
                prop_assert!(f64::abs(standardized * std + mean - number) < 1e-6);
            }
        }
    }
}
