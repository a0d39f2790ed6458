//! `cast`: columns in another datatype.
//!
//! JSON numbers need none of this on their way into a model, which takes them in its own datatype anyway. The step is for
//! what is not done unasked: fractions to integers, text to numbers and back, booleans to 0 and 1.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::convert::{Fractions, convert};
use crate::{
    steps::{
        KnownColumn, Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{ANYTHING, targets, targets_problems},
    },
    tensor::{Column, Columns, DataType, Name, Tensor},
};

/// Properties of `cast`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The columns to change, instead of `column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The datatype that they get.
    #[serde(with = "DataTypeName")]
    #[schemars(with = "DataTypeName")]
    pub datatype: DataType,
    /// What becomes of fractions on their way to an integer.
    #[serde(default)]
    pub mode: Fractions,
}

/// The datatypes by the names of the Open Inference Protocol.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "DataType", rename_all = "UPPERCASE")]
enum DataTypeName {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = targets_problems(self.column.as_ref(), &self.columns);
        let is_integer = self.datatype.is_number() && !self.datatype.is_float();
        if self.mode != Fractions::Exact && !is_integer {
            problems.push(format!("`mode` says how fractions become integers, but `datatype` is {}", self.datatype));
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        let columns = targets(self.column.as_ref(), &self.columns);
        Ok(Box::new(Cast { columns, datatype: self.datatype, fractions: self.mode }))
    }
}

struct Cast {
    columns: Vec<Name>,
    datatype: DataType,
    fractions: Fractions,
}

impl Step for Cast {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        for name in &self.columns {
            let column = schema.read(name)?;
            schema.put(KnownColumn { datatype: Some(self.datatype), ..column });
        }
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, refusals: &mut Refusals) -> Result<(), StepError> {
        for name in &self.columns {
            let column = ANYTHING.change(columns, name)?;
            if column.tensor.datatype() != self.datatype {
                column.tensor = Arc::new(self.cast(column, refusals));
            }
        }
        Ok(())
    }
}

impl Cast {
    fn cast(&self, column: &Column, refusals: &mut Refusals) -> Tensor {
        let row_len = column.tensor.row_len().max(1);
        let elements = convert(column.tensor.elements(), self.datatype, self.fractions, |index, value| {
            refusals.row(index / row_len, format!("column `{}`: {value} is no {}", column.name, self.datatype));
        });
        Tensor::new(column.tensor.shape().to_vec(), elements).expect("one element for each that was there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        steps::testing::{apply, check, columns, config, elements, json, known, output, problems, texts, vector},
        tensor::Elements,
    };

    #[test]
    fn text_becomes_numbers_and_a_row_that_is_none_is_refused_alone() {
        let mut columns = columns([("age", texts(["38", "old", "4.5"]))]);
        let refused = apply(json!({"cast": {"column": "age", "datatype": "FP32"}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "age"), &Elements::Fp32(vec![38.0, 0.0, 4.5]));
        assert_eq!(refused, [(1, "column `age`: \"old\" is no FP32".to_owned())]);
    }

    #[test]
    fn a_row_is_refused_once_however_many_of_its_elements_do_not_fit() {
        let mut columns = columns([("x", Tensor::matrix(2, Elements::Fp64(vec![1.0, 2.0, 0.5, 0.5, 3.0, 4.0])))]);
        let refused = apply(json!({"cast": {"column": "x", "datatype": "INT64"}}), &mut columns).unwrap();
        assert_eq!(refused, [(1, "column `x`: 0.5 is no INT64".to_owned())]);
    }

    #[test]
    fn several_columns_are_cast_alike() {
        let mut columns = columns([("a", vector(&[1.5])), ("b", vector(&[-1.5]))]);
        let step = json!({"cast": {"columns": ["a", "b"], "datatype": "INT8", "mode": "truncate"}});
        apply(step, &mut columns).unwrap();
        assert_eq!(elements(&columns, "a"), &Elements::Int8(vec![1]));
        assert_eq!(elements(&columns, "b"), &Elements::Int8(vec![-1]));
    }

    #[test]
    fn a_column_that_came_as_binary_data_is_the_pipelines_own_after_a_cast() {
        let mut columns = columns([("x", vector(&[1.0]))]);
        columns.find_mut("x").unwrap().exact = true;
        apply(json!({"cast": {"column": "x", "datatype": "FP64"}}), &mut columns).unwrap();
        assert!(!columns.find("x").unwrap().exact);
    }

    #[test]
    fn the_check_knows_the_new_datatype() {
        let mut schema = output("label", DataType::Int64, &[None]);
        check(json!({"cast": {"column": "label", "datatype": "BYTES"}}), &[], &mut schema).unwrap();
        assert_eq!(known(&schema, "label").datatype, Some(DataType::Bytes));
        assert!(known(&schema, "label").answer);
    }

    #[test]
    fn properties_that_contradict_each_other_are_problems() {
        let of = |step: serde_json::Value| problems(json!({ "cast": step }));
        assert_eq!(of(json!({"datatype": "FP32"})).len(), 1);
        assert_eq!(of(json!({"column": "a", "columns": ["b"], "datatype": "FP32"})).len(), 1);
        assert_eq!(of(json!({"column": "a", "datatype": "FP32", "mode": "round"})).len(), 1);
        assert!(of(json!({"column": "a", "datatype": "UINT8", "mode": "round"})).is_empty());
    }

    #[test]
    fn datatypes_have_the_names_of_the_protocol() {
        for datatype in DataType::ALL {
            let step = config(json!({"cast": {"column": "a", "datatype": datatype.as_str()}}));
            assert_eq!(serde_json::to_value(&step).unwrap()["cast"]["datatype"], datatype.as_str());
        }
    }
}
