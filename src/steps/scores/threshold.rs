//! `threshold`: whether a score reaches a bound, as BOOL or as one of two labels.
//!
//! A score that equals the bound reaches it; the bound is rounded to the column's datatype first, so that a FP32 score of
//! 0.7 reaches 0.7. An instance that holds NaN is refused: neither decision would be true.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    steps::{
        PerFeature, Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{NUMBERS, derive, name_problems},
        real::rounded,
    },
    tensor::{ByteStrings, Column, Columns, DataType, Elements, Name, Tensor},
};

/// Properties of `threshold`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column of scores: numbers of any shape.
    pub column: String,
    /// The bound: one number, or one for each entry of the last axis.
    pub at: PerFeature,
    /// The label of a score that reaches the bound; given together with `below`. Without the two, the decision is BOOL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<String>,
    /// The label of a score that does not reach the bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// The column that is written, of the shape of `column`.
    #[serde(default = "label")]
    pub into: String,
}

fn label() -> String {
    "label".to_owned()
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = name_problems("column", &self.column);
        problems.extend(name_problems("into", &self.into));
        problems.extend(self.at.problem("at"));
        if self.reached.is_some() != self.below.is_some() {
            problems.push("`reached` and `below` go together: give both, or none for BOOL".to_owned());
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Threshold {
            column: self.column.as_str().into(),
            at: self.at.clone(),
            labels: self.below.clone().zip(self.reached.clone()).map(|(below, reached)| [below, reached]),
            into: self.into.as_str().into(),
        }))
    }
}

struct Threshold {
    column: Name,
    at: PerFeature,
    /// Below the bound, and at or above it.
    labels: Option<[String; 2]>,
    into: Name,
}

impl Step for Threshold {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = NUMBERS.known(schema, &self.column)?;
        self.at.check("at", &column)?;
        let datatype = if self.labels.is_some() { DataType::Bytes } else { DataType::Bool };
        schema.put(column.derive(&self.into, Some(datatype), column.shape.clone()));
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, refusals: &mut Refusals) -> Result<(), StepError> {
        let column = NUMBERS.find(columns, &self.column)?;
        let decisions = self.decide(column, refusals)?;
        let elements = match &self.labels {
            None => Elements::Bool(decisions),
            Some(labels) => {
                let labels = decisions.into_iter().map(|reached| labels[usize::from(reached)].as_bytes());
                Elements::Bytes(labels.collect::<ByteStrings>())
            }
        };
        let tensor = Tensor::new(column.tensor.shape().to_vec(), elements).expect("one decision for each score");
        let decided = derive(column, &self.into, tensor);
        columns.put(decided);
        Ok(())
    }
}

impl Threshold {
    fn decide(&self, column: &Column, refusals: &mut Refusals) -> Result<Vec<bool>, StepError> {
        let datatype = column.tensor.datatype();
        let bounds = self.at.along("at", column)?;
        let bounds: Vec<_> = bounds.into_iter().map(|bound| rounded(bound, datatype)).collect();
        let row_len = column.tensor.row_len().max(1);
        let mut decide = |index: usize, score: f64| {
            if score.is_nan() {
                refusals.row(index / row_len, format!("column `{}` holds NaN, which is no score", column.name));
            }
            score >= bounds[index % bounds.len()]
        };
        macro_rules! decisions {
            ($($kind:ident: $wide:expr;)*) => {
                match column.tensor.elements() {
                    $(Elements::$kind(scores) => {
                        scores.iter().enumerate().map(|(index, &score)| decide(index, $wide(score))).collect()
                    })*
                    Elements::Bool(_) | Elements::Bytes(_) => unreachable!("only numbers are found"),
                }
            };
        }
        Ok(decisions! {
            Uint8: f64::from;
            Uint16: f64::from;
            Uint32: f64::from;
            Uint64: |score| score as f64;
            Int8: f64::from;
            Int16: f64::from;
            Int32: f64::from;
            Int64: |score| score as f64;
            Fp16: f64::from;
            Fp32: f64::from;
            Fp64: f64::from;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{
        apply, check, columns, elements, json, known, matrix, output, problems, shape, strings, vector,
    };

    #[test]
    fn a_score_that_equals_the_bound_reaches_it_in_any_precision() {
        let mut columns = columns([("p", vector(&[0.69, 0.7, 0.71]))]);
        apply(json!({"threshold": {"column": "p", "at": 0.7}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "label"), &Elements::Bool(vec![false, true, true]));
    }

    #[test]
    fn decisions_can_have_labels() {
        let mut columns = columns([("p", matrix(&[[0.2], [0.9]]))]);
        let step =
            json!({"threshold": {"column": "p", "at": 0.5, "below": "ham", "reached": "spam", "into": "verdict"}});
        apply(step, &mut columns).unwrap();
        assert_eq!(strings(&columns, "verdict"), ["ham", "spam"]);
        assert_eq!(shape(&columns, "verdict"), [2, 1]);
    }

    #[test]
    fn each_class_can_have_a_bound_of_its_own() {
        let mut columns = columns([("p", matrix(&[[0.2, 0.2], [0.6, 0.6]]))]);
        apply(json!({"threshold": {"column": "p", "at": [0.1, 0.7]}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "label"), &Elements::Bool(vec![true, false, true, false]));
        let mut schema = output("p", DataType::Fp32, &[None, Some(3)]);
        let error = check(json!({"threshold": {"column": "p", "at": [0.1, 0.7]}}), &[], &mut schema).unwrap_err();
        assert_eq!(error.0, "`at` has 2 numbers, but column `p` has 3 features");
    }

    #[test]
    fn nan_is_no_score_and_refuses_its_instance() {
        let mut columns = columns([("p", vector(&[0.2, f32::NAN, 0.9]))]);
        let refused = apply(json!({"threshold": {"column": "p", "at": 0.5}}), &mut columns).unwrap();
        assert_eq!(refused, [(1, "column `p` holds NaN, which is no score".to_owned())]);
        assert_eq!(elements(&columns, "label"), &Elements::Bool(vec![false, false, true]));
    }

    #[test]
    fn integers_are_scores_too() {
        let mut columns = columns([("votes", Tensor::vector(Elements::Uint64(vec![2, 3, u64::MAX])))]);
        apply(json!({"threshold": {"column": "votes", "at": 2.5}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "label"), &Elements::Bool(vec![false, true, true]));
    }

    #[test]
    fn the_decision_on_an_output_stands_in_the_answer() {
        let mut schema = output("p", DataType::Fp32, &[None, Some(1)]);
        check(json!({"threshold": {"column": "p", "at": 0.5}}), &[], &mut schema).unwrap();
        let label = known(&schema, "label");
        assert_eq!((label.datatype, label.answer), (Some(DataType::Bool), true));
        assert_eq!(label.shape, Some(vec![None, Some(1)]));
    }

    #[test]
    fn one_label_of_two_is_a_problem() {
        assert_eq!(problems(json!({"threshold": {"column": "p", "at": 0.5, "below": "ham"}})).len(), 1);
        assert_eq!(problems(json!({"threshold": {"column": "p", "at": []}})), ["`at` is an empty list"]);
    }
}
