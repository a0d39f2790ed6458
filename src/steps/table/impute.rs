//! `impute`: a value for what is missing: NaN in columns of floats (a `null` in JSON), empty text in `BYTES`.
//!
//! Columns of integers and booleans have nothing that could be missing and pass as they are: `30` in one request and
//! `null` in the next give columns of different datatypes, and both must get through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::statistics::Statistics;
use crate::{
    steps::{
        KnownColumn, PerFeature, Properties, Refusals, Schema, Step, StepError, VersionFiles,
        files::file_problem,
        place::{ANYTHING, targets, targets_problems},
        real::{Real, each_float, rounded},
    },
    tensor::{ByteStrings, Column, Columns, DataType, Elements, Name},
};

/// Properties of `impute`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The columns to change, instead of `column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// What stands for a missing value: a number, a number for each feature, or a text. Either this or `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// A JSON file of the model's version with the statistics of each column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Which statistic of the file stands for a missing value; `mean` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

/// What stands for a missing value.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(untagged, expecting = "a number, a list of numbers or a text")]
pub enum Value {
    /// In columns of floats.
    Numbers(PerFeature),
    /// In columns of text.
    Text(String),
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = targets_problems(self.column.as_ref(), &self.columns);
        if self.value.is_some() == self.file.is_some() {
            problems.push("say either `value` or `file`".to_owned());
        }
        if self.strategy.is_some() && self.file.is_none() {
            problems.push("`strategy` chooses a statistic of `file`, which is not given".to_owned());
        }
        match &self.value {
            Some(Value::Numbers(numbers)) => problems.extend(numbers.problem("value")),
            Some(Value::Text(text)) if text.is_empty() => {
                problems.push("`value` is empty text, which itself stands for a missing value".to_owned());
            }
            _ => {}
        }
        problems.extend(self.file.as_deref().and_then(file_problem));
        problems
    }

    fn build(&self, files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        let statistics = self.file.as_deref().map(|file| Statistics::read(file, files)).transpose()?;
        let mut fills = Vec::new();
        for name in targets(self.column.as_ref(), &self.columns) {
            let value = match (&statistics, &self.value) {
                (Some(statistics), _) => self.of_file(statistics, &name)?,
                (None, Some(value)) => value.clone(),
                (None, None) => return Err(StepError("say either `value` or `file`".to_owned())),
            };
            fills.push((name, value));
        }
        Ok(Box::new(Impute { fills }))
    }
}

impl Config {
    fn of_file(&self, statistics: &Statistics<'_>, column: &str) -> Result<Value, StepError> {
        let strategy = self.strategy.as_deref().unwrap_or("mean");
        match statistics.text(column, strategy)? {
            Some(text) => Ok(Value::Text(text.to_owned())),
            None => statistics.numbers(column, strategy).map(Value::Numbers),
        }
    }
}

struct Impute {
    fills: Vec<(Name, Value)>,
}

impl Step for Impute {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        for (name, value) in &self.fills {
            let column = ANYTHING.known(schema, name)?;
            check_column(&column, value)?;
            schema.put(column);
        }
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        for (name, value) in &self.fills {
            let column = ANYTHING.change(columns, name)?;
            check_datatype(name, column.tensor.datatype(), value)?;
            if !is_complete(column.tensor.elements()) {
                fill(column, value)?;
            }
        }
        Ok(())
    }
}

fn check_column(column: &KnownColumn, value: &Value) -> Result<(), StepError> {
    if let Some(datatype) = column.datatype {
        check_datatype(&column.name, datatype, value)?;
    }
    match value {
        Value::Numbers(numbers) => numbers.check("value", column),
        Value::Text(_) => Ok(()),
    }
}

fn check_datatype(column: &str, datatype: DataType, value: &Value) -> Result<(), StepError> {
    let wrong =
        |came: &str| Err(StepError(format!("column `{column}` is {datatype}, but the value to impute is {came}")));
    match value {
        Value::Numbers(_) if datatype == DataType::Bytes => wrong("a number"),
        Value::Text(_) if datatype.is_float() => wrong("text"),
        Value::Numbers(numbers) if datatype.is_float() => {
            match numbers.numbers().iter().find(|&&number| rounded(number, datatype).is_infinite()) {
                Some(number) => wrong(&format!("{number:?}, which is beyond it")),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether nothing is missing: then a column that others share need not be copied.
fn is_complete(elements: &Elements) -> bool {
    match elements {
        Elements::Bytes(texts) => texts.iter().all(|text| !text.is_empty()),
        elements => each_float!(elements, numbers => !numbers.iter().any(|number| number.wide().is_nan()), _ => true),
    }
}

fn fill(column: &mut Column, value: &Value) -> Result<(), StepError> {
    match value {
        Value::Text(value) => fill_text(column.tensor_mut().elements_mut(), value),
        Value::Numbers(numbers) => {
            let along = numbers.along("value", column)?;
            each_float!(column.tensor_mut().elements_mut(), numbers => fill_numbers(numbers, &along), _ => ());
        }
    }
    Ok(())
}

fn fill_text(elements: &mut Elements, value: &str) {
    if let Elements::Bytes(texts) = elements {
        let filled = texts.iter().map(|text| if text.is_empty() { value.as_bytes() } else { text });
        *texts = filled.collect::<ByteStrings>();
    }
}

fn fill_numbers<T: Real>(numbers: &mut [T], along: &[f64]) {
    for features in numbers.chunks_exact_mut(along.len().max(1)) {
        for (number, &value) in features.iter_mut().zip(along) {
            if number.wide().is_nan() {
                *number = T::narrow(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        steps::testing::{
            apply, apply_with_files, check, columns, elements, floats, json, matrix, output, problems, strings, texts,
            vector,
        },
        tensor::Tensor,
    };

    const NAN: f32 = f32::NAN;

    #[test]
    fn missing_numbers_are_filled_in_and_others_stay() {
        let mut columns = columns([("age", vector(&[22.0, NAN, f32::INFINITY]))]);
        apply(json!({"impute": {"column": "age", "value": 30}}), &mut columns).unwrap();
        assert_eq!(floats(&columns, "age"), [22.0, 30.0, f32::INFINITY]);
    }

    #[test]
    fn each_feature_can_have_a_value_of_its_own() {
        let mut columns = columns([("x", matrix(&[[NAN, 2.0], [3.0, NAN]]))]);
        apply(json!({"impute": {"column": "x", "value": [-1, -2.5]}}), &mut columns).unwrap();
        assert_eq!(floats(&columns, "x"), [-1.0, 2.0, 3.0, -2.5]);
    }

    #[test]
    fn empty_text_is_missing_text() {
        let mut columns = columns([("port", texts(["S", "", "Q"]))]);
        apply(json!({"impute": {"column": "port", "value": "C"}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "port"), ["S", "C", "Q"]);
    }

    #[test]
    fn integers_have_nothing_missing_and_pass() {
        let mut columns = columns([("age", Tensor::vector(Elements::Int64(vec![22, 0])))]);
        apply(json!({"impute": {"column": "age", "value": 29.7}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "age"), &Elements::Int64(vec![22, 0]));
    }

    #[test]
    fn the_models_own_statistics_can_be_used() {
        let stats = r#"{"age": {"mean": 30, "median": 28}, "fare": {"median": 14.5}, "port": {"median": "S"}}"#;
        let mut columns = columns([("age", vector(&[NAN])), ("fare", vector(&[NAN])), ("port", texts([""]))]);
        let step = json!({"impute": {"columns": ["age", "fare", "port"], "file": "stats.json", "strategy": "median"}});
        apply_with_files(step, &[("stats.json", stats)], &mut columns).unwrap();
        assert_eq!((floats(&columns, "age"), floats(&columns, "fare")), (&[28.0][..], &[14.5][..]));
        assert_eq!(strings(&columns, "port"), ["S"]);
    }

    #[test]
    fn a_value_of_the_wrong_kind_fails_the_check_and_the_group() {
        let wrong = "column `age` is FP32, but the value to impute is text";
        let step = json!({"impute": {"column": "age", "value": "unknown"}});
        let mut schema = output("age", DataType::Fp32, &[None]);
        assert_eq!(check(step.clone(), &[], &mut schema).unwrap_err().0, wrong);
        assert_eq!(apply(step, &mut columns([("age", vector(&[1.0]))])).unwrap_err().0, wrong);
    }

    #[test]
    fn a_value_that_would_become_infinite_is_refused() {
        let mut columns = columns([("x", vector(&[NAN]))]);
        let error = apply(json!({"impute": {"column": "x", "value": 1e300}}), &mut columns).unwrap_err();
        assert_eq!(error.0, "column `x` is FP32, but the value to impute is 1e300, which is beyond it");
    }

    #[test]
    fn a_list_must_have_a_value_for_each_feature() {
        let mut schema = output("x", DataType::Fp32, &[None, Some(3)]);
        let error = check(json!({"impute": {"column": "x", "value": [1, 2]}}), &[], &mut schema).unwrap_err();
        assert_eq!(error.0, "`value` has 2 numbers, but column `x` has 3 features");
    }

    #[test]
    fn properties_that_contradict_each_other_are_problems() {
        let of = |step: serde_json::Value| problems(json!({ "impute": step }));
        assert_eq!(of(json!({"column": "x"})), ["say either `value` or `file`"]);
        assert_eq!(of(json!({"column": "x", "value": 1, "file": "stats.json"})).len(), 1);
        assert_eq!(of(json!({"column": "x", "value": 1, "strategy": "mean"})).len(), 1);
        assert_eq!(of(json!({"column": "x", "value": ""})).len(), 1);
        assert_eq!(of(json!({"column": "x", "file": "../stats.json"})).len(), 1);
        assert!(of(json!({"column": "x", "file": "stats.json", "strategy": "median"})).is_empty());
    }
}
