//! `reshape`: another shape for each instance; how many instances there are never changes.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    steps::{
        KnownColumn, Properties, Refusals, Schema, Step, StepError, VersionFiles, features,
        place::{ANYTHING, Place, place_problems},
    },
    tensor::{Columns, Elements, ShapeText, Tensor, element_count},
};

/// Properties of `reshape`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change.
    pub column: String,
    /// The axes of one instance, so without the first; -1 (once) stands for what is left over. An empty list makes a
    /// vector of single values.
    pub shape: Vec<i64>,
    /// Where the result goes; the column itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = place_problems(&self.column, self.into.as_ref());
        if self.shape.iter().filter(|&&axis| axis == -1).count() > 1 {
            problems.push("`shape` holds -1 more than once".to_owned());
        }
        if let Some(axis) = self.shape.iter().find(|&&axis| axis < 1 && axis != -1) {
            problems.push(format!(
                "`shape` holds {axis}, but an axis has a length of at least 1 (or -1 for what is left over)"
            ));
        } else if element_count(&self.axes().into_iter().flatten().collect::<Vec<_>>()).is_none() {
            problems.push("`shape` has more elements than can be counted".to_owned());
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Reshape { place: Place::new(&self.column, self.into.as_deref()), axes: self.axes() }))
    }
}

impl Config {
    /// The axes of one instance; `None` is what is left over.
    fn axes(&self) -> Vec<Option<usize>> {
        self.shape.iter().map(|&axis| usize::try_from(axis).ok()).collect()
    }
}

struct Reshape {
    place: Place,
    axes: Vec<Option<usize>>,
}

impl Step for Reshape {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = self.place.known(schema, ANYTHING)?;
        let shape = match &column.shape {
            Some(shape) => {
                let row: Option<Vec<usize>> = shape.get(1..).unwrap_or_default().iter().copied().collect();
                let rows = if shape.is_empty() { Some(1) } else { shape[0] };
                let new_row = match row.as_deref().and_then(element_count) {
                    Some(row_len) => self.row_shape(row_len)?.into_iter().map(Some).collect(),
                    None => self.axes.clone(),
                };
                [vec![rows], new_row].concat()
            }
            None => [vec![None], self.axes.clone()].concat(),
        };
        let last = shape.get(1..).and_then(<[_]>::last).copied().flatten();
        let classes = column.classes.clone().filter(|_| last.is_some() && last == column.width());
        schema.put(KnownColumn { shape: Some(shape), classes, ..column });
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        let exact = ANYTHING.find(columns, &self.place.column)?.exact;
        let column = self.place.target(columns, ANYTHING)?;
        // The elements are still, bit for bit, those that the caller sent.
        column.exact = exact;
        let row_shape = self.row_shape(column.tensor.row_len()).map_err(|error| {
            let shape = ShapeText(column.tensor.shape());
            StepError(format!("column `{}` of shape {shape}: {error}", self.place.column))
        })?;
        if row_shape.last().is_none_or(|last| *last != features::width(&column.tensor)) {
            column.classes = None;
        }
        let shape = [vec![column.tensor.rows()], row_shape].concat();
        column.tensor = Arc::new(reshaped(std::mem::replace(&mut column.tensor, nothing()), shape));
        Ok(())
    }
}

impl Reshape {
    /// The axes of an instance of `row_len` elements.
    ///
    /// # Errors
    /// If they have another number of elements.
    fn row_shape(&self, row_len: usize) -> Result<Vec<usize>, StepError> {
        let fixed: usize = self.axes.iter().flatten().product();
        let left_over = self.axes.contains(&None);
        let fits = if left_over { row_len.is_multiple_of(fixed) } else { row_len == fixed };
        if !fits {
            let some = if left_over { "a multiple of " } else { "" };
            return Err(StepError(format!(
                "an instance has {row_len} elements, but the new shape takes {some}{fixed}"
            )));
        }
        Ok(self.axes.iter().map(|axis| axis.unwrap_or(row_len / fixed)).collect())
    }
}

/// The same elements in another shape; copied only if somebody else still reads them.
fn reshaped(tensor: Arc<Tensor>, shape: Vec<usize>) -> Tensor {
    let (_, elements) = Arc::unwrap_or_clone(tensor).into_parts();
    Tensor::new(shape, elements).expect("row_shape() keeps the number of elements")
}

fn nothing() -> Arc<Tensor> {
    Arc::new(Tensor::vector(Elements::Bool(Vec::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        steps::testing::{apply, check, columns, floats, json, known, matrix, output, problems, shape, vector},
        tensor::DataType,
    };

    fn reshape(axes: &[i64]) -> serde_json::Value {
        json!({"reshape": {"column": "x", "shape": axes}})
    }

    #[test]
    fn instances_get_a_new_shape_and_their_number_stays() {
        let mut columns = columns([("x", matrix(&[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]))]);
        apply(reshape(&[1, 2, -1]), &mut columns).unwrap();
        assert_eq!(shape(&columns, "x"), [2, 1, 2, 2]);
        assert_eq!(floats(&columns, "x"), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn single_values_lose_and_gain_an_axis() {
        let mut columns = columns([("x", matrix(&[[1.0], [2.0]]))]);
        apply(reshape(&[]), &mut columns).unwrap();
        assert_eq!(shape(&columns, "x"), [2]);
        apply(reshape(&[1]), &mut columns).unwrap();
        assert_eq!(shape(&columns, "x"), [2, 1]);
    }

    #[test]
    fn a_shape_with_other_elements_is_refused() {
        let mut columns = columns([("x", vector(&[1.0, 2.0]))]);
        let error = apply(reshape(&[2]), &mut columns).unwrap_err();
        assert_eq!(error.0, "column `x` of shape [2]: an instance has 1 elements, but the new shape takes 2");
        let error = apply(reshape(&[-1, 3]), &mut columns).unwrap_err();
        assert!(error.0.ends_with("the new shape takes a multiple of 3"), "{error}");
    }

    #[test]
    fn the_check_finds_a_shape_that_does_not_fit_and_works_out_what_is_left_over() {
        let mut schema = output("x", DataType::Fp32, &[None, Some(784)]);
        check(reshape(&[1, 28, -1]), &[], &mut schema).unwrap();
        assert_eq!(known(&schema, "x").shape, Some(vec![None, Some(1), Some(28), Some(28)]));
        assert!(check(reshape(&[10]), &[], &mut schema).is_err());
    }

    #[test]
    fn columns_without_rows_are_reshaped_too() {
        let mut columns = columns([("x", Tensor::without_rows(DataType::Fp32, &[4]))]);
        apply(reshape(&[2, -1]), &mut columns).unwrap();
        assert_eq!(shape(&columns, "x"), [0, 2, 2]);
    }

    #[test]
    fn shapes_that_fit_nothing_are_problems() {
        assert_eq!(problems(reshape(&[-1, -1])).len(), 1);
        assert!(problems(reshape(&[2, 0]))[0].contains("`shape` holds 0"));
        assert_eq!(problems(reshape(&[-2])).len(), 1);
        assert_eq!(problems(reshape(&[i64::MAX, 4])), ["`shape` has more elements than can be counted"]);
    }
}
