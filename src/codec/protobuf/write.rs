//! Answers as `ModelInferResponse`, the data of all outputs in `raw_output_contents`.
//!
//! What all answers of a group share is written once, into the pieces of a [`Writer`]; an answer is then its id, the length
//! of its first axis and its data between those pieces.

use std::ops::Range;

use super::{
    parameters,
    wire::{put_bytes, put_head, put_varint, varint_size},
};
use crate::{
    codec::{binary, json},
    tensor::{Column, Tensor},
};

/// The fields of `ModelInferResponse`; its `parameters` are those of the request.
mod field {
    pub const MODEL: u32 = 1;
    pub const VERSION: u32 = 2;
    pub const ID: u32 = 3;
    pub const OUTPUTS: u32 = 5;
    pub const RAW: u32 = 6;
}

/// The fields of `InferOutputTensor`.
mod output {
    pub const NAME: u32 = 1;
    pub const DATATYPE: u32 = 2;
    pub const SHAPE: u32 = 3;
}

/// Writes the answers of a group.
#[derive(Debug)]
pub struct Writer<'a> {
    /// Up to the id.
    start: Vec<u8>,
    outputs: Vec<Output<'a>>,
}

#[derive(Debug)]
struct Output<'a> {
    tensor: &'a Tensor,
    /// What stands before the shape.
    before: Vec<u8>,
    /// The axes behind the first.
    row_shape: Vec<u8>,
    /// What stands behind the shape.
    after: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer of answers with these outputs.
    pub fn new(model: &str, version: &str, outputs: impl IntoIterator<Item = &'a Column>) -> Self {
        let mut start = Vec::with_capacity(64);
        put_bytes(&mut start, field::MODEL, model.as_bytes());
        put_bytes(&mut start, field::VERSION, version.as_bytes());
        Self { start, outputs: outputs.into_iter().map(Output::new).collect() }
    }

    /// Appends the answer whose rows are `rows` of every output; `None`: the tensors whole, whatever their shapes.
    /// `parameters` are fields of protobuf as the request had them.
    ///
    /// # Panics
    /// If an output lacks these rows.
    pub fn write(&self, out: &mut Vec<u8>, id: &str, parameters: Option<&[u8]>, rows: Option<Range<usize>>) {
        out.extend_from_slice(&self.start);
        put_bytes(out, field::ID, id.as_bytes());
        out.extend_from_slice(parameters.unwrap_or_default());
        let rows_of = |tensor: &Tensor| rows.clone().unwrap_or(0..tensor.rows());
        for output in &self.outputs {
            output.write(out, rows_of(output.tensor).len());
        }
        for Output { tensor, .. } in &self.outputs {
            let range = tensor.range_of(&rows_of(tensor));
            put_head(out, field::RAW, binary::size(tensor.elements(), range.clone()));
            binary::put(out, tensor.elements(), range);
        }
    }
}

impl<'a> Output<'a> {
    fn new(column: &'a Column) -> Self {
        let tensor = &*column.tensor;
        let (mut before, mut row_shape, mut after) = (Vec::with_capacity(32), Vec::new(), Vec::new());
        put_bytes(&mut before, output::NAME, column.name.as_bytes());
        put_bytes(&mut before, output::DATATYPE, tensor.datatype().as_str().as_bytes());
        tensor.row_shape().iter().for_each(|axis| put_varint(&mut row_shape, *axis as u64));
        if let Some(classes) = &column.classes {
            // A parameter holds no list: its text, as it stands in JSON.
            parameters::put_text(&mut after, "classes", &json::list_text(classes));
        }
        Self { tensor, before, row_shape, after }
    }

    fn write(&self, out: &mut Vec<u8>, rows: usize) {
        let Self { tensor, before, row_shape, after } = self;
        let shape = if tensor.shape().is_empty() { 0 } else { varint_size(rows as u64) + row_shape.len() };
        let shape_field = if shape == 0 { 0 } else { 1 + varint_size(shape as u64) + shape };
        put_head(out, field::OUTPUTS, before.len() + shape_field + after.len());
        out.extend_from_slice(before);
        if shape > 0 {
            put_head(out, output::SHAPE, shape);
            put_varint(out, rows as u64);
            out.extend_from_slice(row_shape);
        }
        out.extend_from_slice(after);
    }
}
