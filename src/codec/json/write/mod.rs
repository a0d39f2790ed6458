//! Answers as JSON: Open Inference Protocol v2 for named tensors, `predictions` for row form, and errors.
//!
//! What all answers of a group share (the model, names, datatypes, shapes but for the first axis) is written once, into
//! the pieces of a [`Writer`]; an answer is then its id and its numbers between those pieces, appended to the buffer that
//! all answers of a chunk share. Nothing is built in between.

use std::ops::Range;

use crate::{
    error::RequestError,
    request::Form,
    tensor::{Column, Elements, Tensor},
};

mod elements;
mod predictions;
mod tensors;
#[cfg(test)]
mod tests;
mod text;

/// What an answer says beside its outputs.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// The request's id.
    pub id: &'a str,
    /// The model that answered.
    pub model: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The request's parameters, a JSON object, to be echoed.
    pub parameters: Option<&'a str>,
}

/// Writes the answers of a group.
///
/// Floats are written in the shortest form that reads back to the same value, halves as the `f32` of the same value; what
/// is whole keeps its `.0`. Not-a-number and the infinities are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`. Bytes
/// that are no UTF-8 cannot stand in JSON: each faulty sequence becomes U+FFFD.
#[derive(Debug)]
pub struct Writer<'a> {
    form: Form,
    /// Up to the id.
    start: Vec<u8>,
    outputs: Vec<Output<'a>>,
}

/// One output, with what stands around its varying parts.
#[derive(Debug)]
struct Output<'a> {
    tensor: &'a Tensor,
    /// What stands before the length of the first axis (tensors) or the value (rows).
    before: Vec<u8>,
    /// What stands between the length of the first axis and the data, or their size in bytes.
    after: Vec<u8>,
    /// Whether the data stand behind the JSON, which only says how many bytes they are.
    binary: bool,
}

impl<'a> Writer<'a> {
    /// A writer of answers with these outputs; all of their data stand in the JSON.
    pub fn new(model: &str, version: &str, columns: impl IntoIterator<Item = &'a Column>, form: Form) -> Self {
        Self::with(model, version, columns.into_iter().map(|column| (column, false)), form)
    }

    /// A writer of the JSON of [`Form::Binary`]: each of these outputs is binary or not.
    pub fn mixed(model: &str, version: &str, outputs: impl IntoIterator<Item = (&'a Column, bool)>) -> Self {
        Self::with(model, version, outputs, Form::Binary)
    }

    fn with(model: &str, version: &str, outputs: impl IntoIterator<Item = (&'a Column, bool)>, form: Form) -> Self {
        let mut start = Vec::with_capacity(64);
        start.extend_from_slice(b"{\"model_name\":");
        text::string(&mut start, model);
        start.extend_from_slice(b",\"model_version\":");
        text::string(&mut start, version);
        start.extend_from_slice(b",\"id\":");
        let outputs = match form {
            Form::Tensors | Form::Binary | Form::Protobuf | Form::Avro => tensors::outputs(outputs),
            Form::Rows => outputs.into_iter().map(|(column, _)| predictions::output(column)).collect(),
        };
        Self { form, start, outputs }
    }

    /// Appends the answer whose rows are `rows` of every column; `None`: the tensors whole, whatever their shapes.
    ///
    /// # Panics
    /// If a column lacks these rows.
    pub fn write(&self, out: &mut Vec<u8>, id: &str, parameters: Option<&str>, rows: Option<Range<usize>>) {
        out.extend_from_slice(&self.start);
        text::string(out, id);
        if let Some(parameters) = parameters {
            out.extend_from_slice(b",\"parameters\":");
            out.extend_from_slice(parameters.as_bytes());
        }
        match self.form {
            Form::Tensors | Form::Binary | Form::Protobuf | Form::Avro => tensors::write(out, &self.outputs, rows),
            Form::Rows => predictions::write(out, &self.outputs, rows),
        }
    }
}

/// Appends one answer. Those who write several of a group keep a [`Writer`].
pub fn write_result(
    out: &mut Vec<u8>,
    head: &AnswerHead<'_>,
    columns: &[&Column],
    rows: Option<Range<usize>>,
    form: Form,
) {
    let writer = Writer::new(head.model, head.version, columns.iter().copied(), form);
    writer.write(out, head.id, head.parameters, rows);
}

/// Appends a string.
pub(in crate::codec) fn string(out: &mut Vec<u8>, string: &str) {
    text::string(out, string);
}

/// Elements as the text of an array.
pub(in crate::codec) fn list_text(elements: &Elements) -> String {
    let mut out = b"[".to_vec();
    elements::list(&mut out, elements, 0..elements.len());
    out.push(b']');
    String::from_utf8(out).expect("answers are UTF-8")
}

/// Appends the answer to a request that failed: `{"id": …, "error": {"code": …, "message": …}}`.
pub fn write_error(out: &mut Vec<u8>, id: &str, error: &RequestError) {
    out.extend_from_slice(b"{\"id\":");
    text::string(out, id);
    out.extend_from_slice(b",\"error\":{\"code\":\"");
    out.extend_from_slice(error.code().as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    text::string(out, error.message());
    out.extend_from_slice(b"}}");
}
