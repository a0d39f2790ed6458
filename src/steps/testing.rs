//! What the tests of steps share: columns in, a step written as in a pipeline, columns out.

use serde_json::Value;
pub(super) use serde_json::json;

use super::{KnownColumn, Refusals, Schema, StepConfig, StepError, VersionFiles};
use crate::tensor::{Column, Columns, DataType, Elements, Tensor};

/// Columns of these tensors.
pub(super) fn columns<const N: usize>(named: [(&str, Tensor); N]) -> Columns {
    named.into_iter().map(|(name, tensor)| Column::new(name, tensor)).collect()
}

/// A vector of texts.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Tensor {
    Tensor::vector(Elements::Bytes(texts.into_iter().collect()))
}

/// A matrix of FP32.
pub(super) fn matrix<const W: usize>(rows: &[[f32; W]]) -> Tensor {
    Tensor::new(vec![rows.len(), W], Elements::Fp32(rows.as_flattened().to_vec())).unwrap()
}

/// A vector of FP32.
pub(super) fn vector(numbers: &[f32]) -> Tensor {
    Tensor::vector(Elements::Fp32(numbers.to_vec()))
}

/// The texts of a column.
pub(super) fn strings(columns: &Columns, name: &str) -> Vec<String> {
    let Elements::Bytes(texts) = elements(columns, name) else { panic!("`{name}` is no text") };
    texts.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

/// The FP32 numbers of a column.
pub(super) fn floats<'a>(columns: &'a Columns, name: &str) -> &'a [f32] {
    let Elements::Fp32(numbers) = elements(columns, name) else { panic!("`{name}` is not FP32") };
    numbers
}

/// The elements of a column.
pub(super) fn elements<'a>(columns: &'a Columns, name: &str) -> &'a Elements {
    columns.find(name).unwrap_or_else(|| panic!("no column `{name}`")).tensor.elements()
}

/// The shape of a column.
pub(super) fn shape<'a>(columns: &'a Columns, name: &str) -> &'a [usize] {
    columns.find(name).unwrap().tensor.shape()
}

/// One step as it stands in a pipeline.
pub(super) fn config(step: Value) -> StepConfig {
    serde_json::from_value(step).unwrap()
}

/// What is wrong with a step's properties.
pub(super) fn problems(step: Value) -> Vec<String> {
    config(step).problems()
}

/// A step, applied; what it refused, row by row.
pub(super) fn apply(step: Value, columns: &mut Columns) -> Result<Vec<(usize, String)>, StepError> {
    apply_with_files(step, &[], columns)
}

/// A step of a model version with these files, applied; what it refused, row by row.
pub(super) fn apply_with_files(
    step: Value,
    files: &[(&str, &str)],
    columns: &mut Columns,
) -> Result<Vec<(usize, String)>, StepError> {
    let mut refusals = Refusals::default();
    build(step, files)?.apply(columns, &mut refusals)?;
    Ok(refusals.into_rows())
}

/// A step of a model version with these files, checked against columns that are known.
pub(super) fn check(step: Value, files: &[(&str, &str)], schema: &mut Schema) -> Result<(), StepError> {
    build(step, files)?.check(schema)
}

/// A schema after `predict` with one output.
pub(super) fn output(name: &str, datatype: DataType, shape: &[Option<usize>]) -> Schema {
    let mut schema = Schema::open();
    schema.close();
    schema.write(name, Some(datatype), Some(shape.to_vec()));
    schema
}

/// A column of a schema.
pub(super) fn known<'a>(schema: &'a Schema, name: &str) -> &'a KnownColumn {
    schema.find(name).unwrap_or_else(|| panic!("no column `{name}`"))
}

fn build(step: Value, files: &[(&str, &str)]) -> Result<Box<dyn super::Step>, StepError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let step = config(step).build(&VersionFiles { folder: folder.path().to_owned() })?;
    Ok(step.expect("not `predict`"))
}
