//! The outputs of an Open Inference Protocol v2 answer: `{"name", "shape", "datatype", "parameters", "data"}` each, the
//! data flat. A model's class labels are the parameter `classes`.

use std::ops::Range;

use super::{Output, elements, text};
use crate::tensor::{Column, Elements};

/// The pieces of the output at `index`; each begins where the one before it ends.
pub(super) fn output(index: usize, column: &Column) -> Output<'_> {
    let tensor = &*column.tensor;
    let (mut before, mut after) = (Vec::with_capacity(64), Vec::with_capacity(64));
    before.extend_from_slice(if index == 0 { &b",\"outputs\":[{\"name\":"[..] } else { b"]},{\"name\":" });
    text::string(&mut before, &column.name);
    before.extend_from_slice(b",\"shape\":[");
    for &axis in tensor.row_shape() {
        after.push(b',');
        elements::integer(&mut after, axis);
    }
    after.extend_from_slice(b"],\"datatype\":\"");
    after.extend_from_slice(tensor.datatype().as_str().as_bytes());
    after.push(b'"');
    if let Some(classes) = &column.classes {
        self::classes(&mut after, classes);
    }
    after.extend_from_slice(b",\"data\":[");
    Output { tensor, before, after }
}

/// What the entries of the last axis stand for.
fn classes(out: &mut Vec<u8>, classes: &Elements) {
    out.extend_from_slice(b",\"parameters\":{\"classes\":[");
    elements::list(out, classes, 0..classes.len());
    out.extend_from_slice(b"]}");
}

/// Appends all outputs and the end of the answer.
pub(super) fn write(out: &mut Vec<u8>, outputs: &[Output<'_>], rows: Option<Range<usize>>) {
    for Output { tensor, before, after } in outputs {
        out.extend_from_slice(before);
        let rows = rows.clone().unwrap_or(0..tensor.rows());
        if !tensor.shape().is_empty() {
            elements::integer(out, rows.len());
        }
        out.extend_from_slice(after);
        elements::list(out, tensor.elements(), tensor.range_of(&rows));
    }
    out.extend_from_slice(if outputs.is_empty() { b",\"outputs\":[]}" } else { b"]}]}" });
}
