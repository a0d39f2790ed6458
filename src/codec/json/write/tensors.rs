//! The outputs of an Open Inference Protocol v2 answer: `{"name", "shape", "datatype", "parameters", "data"}` each, the
//! data flat. A model's class labels are the parameter `classes`. An output whose data stand behind the JSON has the
//! parameter `binary_data_size` and no `data`.

use std::ops::Range;

use super::{Output, elements, text};
use crate::{
    codec::binary,
    tensor::{Column, Elements},
};

/// The pieces of all outputs; each begins where the one before it ends.
pub(super) fn outputs<'a>(outputs: impl IntoIterator<Item = (&'a Column, bool)>) -> Vec<Output<'a>> {
    let mut pieces: Vec<Output<'a>> = Vec::new();
    for (column, binary) in outputs {
        let mut before = Vec::with_capacity(64);
        match pieces.last() {
            None => before.extend_from_slice(b",\"outputs\":[{\"name\":"),
            Some(output) => {
                before.extend_from_slice(end(output));
                before.extend_from_slice(b",{\"name\":");
            }
        }
        text::string(&mut before, &column.name);
        before.extend_from_slice(b",\"shape\":[");
        pieces.push(Output { tensor: &column.tensor, before, after: after(column, binary), binary });
    }
    pieces
}

/// What follows the data of an output, or their size.
fn end(output: &Output<'_>) -> &'static [u8] {
    if output.binary { b"}}" } else { b"]}" }
}

fn after(column: &Column, binary: bool) -> Vec<u8> {
    let tensor = &*column.tensor;
    let mut after = Vec::with_capacity(64);
    for &axis in tensor.row_shape() {
        after.push(b',');
        elements::integer(&mut after, axis);
    }
    after.extend_from_slice(b"],\"datatype\":\"");
    after.extend_from_slice(tensor.datatype().as_str().as_bytes());
    after.push(b'"');
    if binary || column.classes.is_some() {
        after.extend_from_slice(b",\"parameters\":{");
    }
    if let Some(classes) = &column.classes {
        self::classes(&mut after, classes);
    }
    after.extend_from_slice(match (binary, &column.classes) {
        (true, None) => b"\"binary_data_size\":",
        (true, Some(_)) => b",\"binary_data_size\":",
        (false, None) => b",\"data\":[",
        (false, Some(_)) => b"},\"data\":[",
    });
    after
}

/// What the entries of the last axis stand for.
fn classes(out: &mut Vec<u8>, classes: &Elements) {
    out.extend_from_slice(b"\"classes\":[");
    elements::list(out, classes, 0..classes.len());
    out.push(b']');
}

/// Appends all outputs and the end of the answer.
pub(super) fn write(out: &mut Vec<u8>, outputs: &[Output<'_>], rows: Option<Range<usize>>) {
    for Output { tensor, before, after, binary } in outputs {
        out.extend_from_slice(before);
        let rows = rows.clone().unwrap_or(0..tensor.rows());
        if !tensor.shape().is_empty() {
            elements::integer(out, rows.len());
        }
        out.extend_from_slice(after);
        let range = tensor.range_of(&rows);
        if *binary {
            elements::integer(out, binary::size(tensor.elements(), range));
        } else {
            elements::list(out, tensor.elements(), range);
        }
    }
    match outputs.last() {
        Some(output) => {
            out.extend_from_slice(end(output));
            out.extend_from_slice(b"]}");
        }
        None => out.extend_from_slice(b",\"outputs\":[]}"),
    }
}
