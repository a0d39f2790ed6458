//! `select`: these columns and no others, in this order.
//!
//! Before `predict` it drops what else a request brought. After it, it says what stands in the answer: also columns that
//! are no output of a model, such as a customer's number that came with the request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    steps::{
        Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{ANYTHING, list_problems, targets},
    },
    tensor::{Column, Columns, Name},
};

/// Properties of `select`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns to keep, in the order in which the answer shall hold them.
    pub columns: Vec<String>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        list_problems("columns", &self.columns)
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Select { columns: targets(None, &self.columns) }))
    }
}

struct Select {
    columns: Vec<Name>,
}

impl Step for Select {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let after_predict = schema.columns().iter().any(|column| column.answer);
        let mut kept = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            let mut column = schema.read(name)?;
            column.answer |= after_predict;
            kept.push(column);
        }
        schema.keep_only(kept);
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        // Only a model's outputs, and what was made of them, stand in the answer so far: there are none before `predict`.
        let after_predict = columns.iter().any(|column| column.answer);
        let mut kept: Vec<Column> = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            let mut column = ANYTHING.find(columns, name)?.clone();
            column.answer |= after_predict;
            kept.push(column);
        }
        *columns = kept.into_iter().collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        steps::testing::{apply, check, columns, json, known, output, problems, vector},
        tensor::DataType,
    };

    fn step() -> serde_json::Value {
        json!({"select": {"columns": ["customer", "score"]}})
    }

    #[test]
    fn before_predict_what_else_came_is_dropped() {
        let mut columns = columns([("score", vector(&[1.0])), ("other", vector(&[2.0])), ("customer", vector(&[3.0]))]);
        apply(step(), &mut columns).unwrap();
        let left: Vec<_> = columns.iter().map(|column| (&*column.name, column.answer)).collect();
        assert_eq!(left, [("customer", false), ("score", false)]);
    }

    #[test]
    fn after_predict_it_says_what_stands_in_the_answer_and_in_which_order() {
        let mut columns =
            columns([("customer", vector(&[3.0])), ("score", vector(&[1.0])), ("logits", vector(&[2.0]))]);
        columns.find_mut("score").unwrap().answer = true;
        columns.find_mut("logits").unwrap().answer = true;
        apply(step(), &mut columns).unwrap();
        let left: Vec<_> = columns.iter().map(|column| (&*column.name, column.answer)).collect();
        assert_eq!(left, [("customer", true), ("score", true)]);
    }

    #[test]
    fn the_check_foretells_the_same() {
        let mut schema = Schema::open();
        schema.read("customer").unwrap();
        schema.close();
        schema.write("score", Some(DataType::Fp32), None);
        schema.write("logits", Some(DataType::Fp32), None);
        check(step(), &[], &mut schema).unwrap();
        assert!(known(&schema, "customer").answer);
        assert_eq!(
            schema.read("logits").unwrap_err().0,
            "there is no column `logits` here; there is `customer`, `score`"
        );
    }

    #[test]
    fn a_column_that_is_not_there_fails_the_group_and_the_check() {
        let mut schema = output("score", DataType::Fp32, &[None]);
        assert!(check(step(), &[], &mut schema).unwrap_err().0.contains("no column `customer`"));
        let error = apply(step(), &mut columns([("score", vector(&[1.0]))])).unwrap_err();
        assert_eq!(error.0, "column `customer` is missing; there is `score`");
    }

    #[test]
    fn no_column_and_a_column_twice_are_problems() {
        assert_eq!(problems(json!({"select": {"columns": []}})).len(), 1);
        assert_eq!(problems(json!({"select": {"columns": ["a", "b", "a"]}})), ["`columns` names `a` twice"]);
    }
}
