//! Row form's answer, as TensorFlow Serving gives it: one prediction an instance.
//!
//! With one output a prediction is that output's row, `[n]` giving scalars and `[n, k]` arrays; with several it is an object
//! of them by name. Outputs that do not have one row for each instance cannot be told apart by row: of one, `predictions`
//! is the whole value, of several an object of whole values.

use std::ops::Range;

use super::{Output, elements, text};
use crate::tensor::{Column, Elements, Tensor};

/// The pieces of an output: its name, for predictions of several.
pub(super) fn output(column: &Column) -> Output<'_> {
    let mut before = Vec::new();
    text::string(&mut before, &column.name);
    before.push(b':');
    Output { tensor: &column.tensor, before, after: Vec::new(), binary: false }
}

/// Appends the predictions and the end of the answer.
pub(super) fn write(out: &mut Vec<u8>, outputs: &[Output<'_>], rows: Option<Range<usize>>) {
    out.extend_from_slice(b",\"predictions\":");
    let Some(rows) = rows.or_else(|| common_rows(outputs)) else {
        row(out, outputs, |out, tensor| nested(out, tensor.elements(), tensor.shape(), 0));
        return out.push(b'}');
    };
    out.push(b'[');
    for index in rows.clone() {
        if index > rows.start {
            out.push(b',');
        }
        row(out, outputs, |out, tensor| {
            nested(out, tensor.elements(), tensor.row_shape(), index * tensor.row_len());
        });
    }
    out.extend_from_slice(b"]}");
}

/// The rows that all outputs have; `None` if they differ or one has no axes.
fn common_rows(outputs: &[Output<'_>]) -> Option<Range<usize>> {
    let rows = outputs.first().map_or(Some(0), |output| output.tensor.shape().first().copied())?;
    outputs.iter().all(|output| output.tensor.shape().first() == Some(&rows)).then_some(0..rows)
}

/// One output's value alone, or the values of several by name.
fn row(out: &mut Vec<u8>, outputs: &[Output<'_>], value: impl Fn(&mut Vec<u8>, &Tensor)) {
    if let [output] = outputs {
        return value(out, output.tensor);
    }
    out.push(b'{');
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&output.before);
        value(out, output.tensor);
    }
    out.push(b'}');
}

/// The elements from `start` on, nested as `shape` says; the bare element for no axes.
fn nested(out: &mut Vec<u8>, elements: &Elements, shape: &[usize], start: usize) {
    let Some((&axis, inner)) = shape.split_first() else { return elements::one(out, elements, start) };
    out.push(b'[');
    if inner.is_empty() {
        elements::list(out, elements, start..start + axis);
    } else {
        let width: usize = inner.iter().product();
        for index in 0..axis {
            if index > 0 {
                out.push(b',');
            }
            nested(out, elements, inner, start + index * width);
        }
    }
    out.push(b']');
}
