//! `clip`: numbers below a lower bound become that bound, those above an upper bound that one. NaN stays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    steps::{
        Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{NUMBERS, targets, targets_problems},
        real::{self, rounded},
    },
    tensor::{Columns, DataType, Elements, Name},
};

/// Properties of `clip`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change: numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The columns to change, instead of `column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The lower bound; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The upper bound; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = targets_problems(self.column.as_ref(), &self.columns);
        match (self.min, self.max) {
            (None, None) => problems.push("say `min`, `max` or both".to_owned()),
            (Some(min), Some(max)) if min > max => problems.push(format!("`min` ({min}) is above `max` ({max})")),
            _ => {}
        }
        for (property, bound) in [("min", self.min), ("max", self.max)] {
            if bound.is_some_and(|bound| !bound.is_finite()) {
                problems.push(format!("`{property}` must be finite"));
            }
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Clip {
            columns: targets(self.column.as_ref(), &self.columns),
            min: self.min.unwrap_or(f64::NEG_INFINITY),
            max: self.max.unwrap_or(f64::INFINITY),
        }))
    }
}

struct Clip {
    columns: Vec<Name>,
    min: f64,
    max: f64,
}

impl Step for Clip {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        for name in &self.columns {
            let column = NUMBERS.known(schema, name)?;
            if let Some(datatype) = column.datatype {
                self.refuse_unreachable(name, datatype)?;
            }
            schema.put(column);
        }
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        for name in &self.columns {
            let column = NUMBERS.change(columns, name)?;
            self.refuse_unreachable(name, column.tensor.datatype())?;
            self.clip(column.tensor_mut().elements_mut());
        }
        Ok(())
    }
}

impl Clip {
    /// # Errors
    /// If no number of the datatype lies between the bounds.
    fn refuse_unreachable(&self, column: &str, datatype: DataType) -> Result<(), StepError> {
        let reachable = match range(datatype) {
            Some((least, most)) => {
                let (min, max) = self.whole();
                min <= max && min <= most && max >= least
            }
            None => {
                // Rounding must not push a bound off the end: everything would become infinite.
                let (min, max) = (rounded(self.min, datatype), rounded(self.max, datatype));
                min != f64::INFINITY && max != f64::NEG_INFINITY
            }
        };
        if reachable {
            return Ok(());
        }
        Err(StepError(format!(
            "column `{column}` is {datatype}, which has no number from {:?} to {:?}",
            self.min, self.max
        )))
    }

    /// The bounds for integers.
    fn whole(&self) -> (i128, i128) {
        (self.min.ceil() as i128, self.max.floor() as i128)
    }

    fn clip(&self, elements: &mut Elements) {
        macro_rules! integers {
            ($($kind:ident $integer:ty),*) => {
                match elements {
                    $(Elements::$kind(numbers) => {
                        let (min, max) = self.whole();
                        let bound = |bound: i128| bound.clamp(<$integer>::MIN.into(), <$integer>::MAX.into()) as $integer;
                        let (min, max) = (bound(min), bound(max));
                        numbers.iter_mut().for_each(|number| *number = (*number).clamp(min, max));
                    })*
                    floats => real::map(floats, |number| match number {
                        number if number < self.min => self.min,
                        number if number > self.max => self.max,
                        number => number,
                    }),
                }
            };
        }
        integers!(Uint8 u8, Uint16 u16, Uint32 u32, Uint64 u64, Int8 i8, Int16 i16, Int32 i32, Int64 i64);
    }
}

/// The least and the greatest number of an integer datatype.
fn range(datatype: DataType) -> Option<(i128, i128)> {
    Some(match datatype {
        DataType::Uint8 => (0, u8::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Uint32 => (0, u32::MAX.into()),
        DataType::Uint64 => (0, u64::MAX.into()),
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        DataType::Fp16 | DataType::Fp32 | DataType::Fp64 | DataType::Bool | DataType::Bytes => return None,
    })
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{apply, check, columns, elements, floats, json, output, problems, vector},
        tensor::Tensor,
    };

    #[test]
    fn numbers_out_of_bounds_move_to_the_bound_and_nan_stays() {
        let mut columns = columns([("x", vector(&[-5.0, 0.5, 7.0, f32::INFINITY, f32::NAN]))]);
        apply(json!({"clip": {"column": "x", "min": 0, "max": 1}}), &mut columns).unwrap();
        assert_eq!(floats(&columns, "x")[..4], [0.0, 0.5, 1.0, 1.0]);
        assert!(floats(&columns, "x")[4].is_nan());
    }

    #[test]
    fn one_bound_is_enough() {
        let mut columns = columns([("x", vector(&[-5.0, 7.0])), ("y", vector(&[-6.0, 8.0]))]);
        apply(json!({"clip": {"columns": ["x", "y"], "min": 0}}), &mut columns).unwrap();
        assert_eq!((floats(&columns, "x"), floats(&columns, "y")), (&[0.0, 7.0][..], &[0.0, 8.0][..]));
    }

    #[test]
    fn integers_stay_integers_inside_fractional_bounds() {
        let mut columns = columns([("n", Tensor::vector(Elements::Int32(vec![-3, 0, 9])))]);
        apply(json!({"clip": {"column": "n", "min": -1.5, "max": 2.5}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "n"), &Elements::Int32(vec![-1, 0, 2]));
        let mut columns = self::columns([("n", Tensor::vector(Elements::Uint8(vec![0, 255])))]);
        apply(json!({"clip": {"column": "n", "min": -10, "max": 1e9}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "n"), &Elements::Uint8(vec![0, 255]));
    }

    #[test]
    fn bounds_that_the_datatype_cannot_reach_are_refused() {
        let step = json!({"clip": {"column": "x", "min": 1000, "max": 2000}});
        let mut schema = output("x", DataType::Uint8, &[None]);
        let error = check(step.clone(), &[], &mut schema).unwrap_err();
        assert_eq!(error.0, "column `x` is UINT8, which has no number from 1000.0 to 2000.0");
        let mut columns = columns([("x", Tensor::vector(Elements::Uint8(vec![1])))]);
        assert_eq!(apply(step, &mut columns).unwrap_err(), error);
        let half = || self::columns([("x", Tensor::vector(Elements::Fp16(vec![f16::ONE])))]);
        assert!(apply(json!({"clip": {"column": "x", "min": 1e6}}), &mut half()).is_err());
        assert!(apply(json!({"clip": {"column": "x", "max": 1e6}}), &mut half()).is_ok());
    }

    #[test]
    fn no_bound_and_bounds_in_the_wrong_order_are_problems() {
        assert_eq!(problems(json!({"clip": {"column": "x"}})), ["say `min`, `max` or both"]);
        assert_eq!(problems(json!({"clip": {"column": "x", "min": 3, "max": 1}})), ["`min` (3) is above `max` (1)"]);
    }

    proptest! {
        #[test]
        fn nothing_is_out_of_bounds_afterwards_and_what_was_inside_stays(numbers: Vec<i64>, a in -1e6..1e6, b in -1e6..1e6) {
            let clip = Clip { columns: vec![], min: f64::min(a, b).floor(), max: f64::max(a, b).ceil() };
            let mut clipped = Elements::Int64(numbers.clone());
            clip.clip(&mut clipped);
            let Elements::Int64(clipped) = clipped else { unreachable!() };
            for (before, after) in numbers.into_iter().zip(clipped) {
                let bounds = clip.min as i64..=clip.max as i64;
                prop_assert!(bounds.contains(&after));
                prop_assert!(!bounds.contains(&before) || before == after);
            }
        }
    }
}
