//! Answers as Avro records: the schema that a pipeline's outputs make, and rows written by it.
//!
//! | output | Avro |
//! |---|---|
//! | FP16, FP32; FP64 | `float`; `double` |
//! | INT8 to INT32, UINT8, UINT16; INT64, UINT32 | `int`; `long` |
//! | UINT64 | `bytes` that are a `decimal` of 20 digits: no other type holds them all |
//! | BOOL; BYTES | `boolean`; `string` |
//! | of more axes than the row's | `array`s within `array`s |
//!
//! Before the outputs stand `id`, `model_name` and `model_version`, as in every form of answer. A name that Avro does not allow
//! has `_` for what is wrong with it, and stands in the field's `doc`.

use std::{collections::HashSet, ops::Range};

use serde_json::{Value, json};

use super::HEAD;
use crate::{
    request::Group,
    tensor::{Column, DataType, Elements, Name, Tensor},
};

/// What is fixed in every answer.
const FIRST: [&str; 3] = ["id", "model_name", "model_version"];

/// What the schema of answers depends on: name, datatype and axes behind the row's of each output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<(Name, DataType, usize)>);

impl Shape {
    /// That of outputs.
    pub fn of(outputs: impl IntoIterator<Item = (Name, DataType, usize)>) -> Self {
        Self(outputs.into_iter().collect())
    }

    /// That of a group's answers.
    pub fn of_group(group: &Group) -> Self {
        let output = |column: &Column| (column.name.clone(), column.tensor.datatype(), axes(&column.tensor, group));
        Self(group.columns.iter().filter(|column| column.answer).map(output).collect())
    }

    /// The schema's text, for answers of this pipeline.
    pub fn schema(&self, pipeline: &str) -> String {
        let mut taken: HashSet<String> = FIRST.iter().map(ToString::to_string).collect();
        let mut fields: Vec<Value> = FIRST.iter().map(|name| json!({"name": name, "type": "string"})).collect();
        for (name, datatype, axes) in &self.0 {
            let mut own = legal(name);
            while !taken.insert(own.clone()) {
                own.push('_');
            }
            let nested = (0..*axes).fold(kind(*datatype), |items, _| json!({"type": "array", "items": items}));
            let mut field = json!({"name": own, "type": nested});
            if *own != **name {
                field["doc"] = json!(format!("the output `{name}`"));
            }
            fields.push(field);
        }
        let name = legal(pipeline);
        json!({"type": "record", "name": name, "namespace": "modelmill.answers", "fields": fields}).to_string()
    }
}

/// A name that Avro allows.
fn legal(name: &str) -> String {
    let legal = |(at, c): (usize, char)| {
        let fits = c.is_ascii_alphabetic() || c == '_' || (at > 0 && c.is_ascii_digit());
        if fits { c } else { '_' }
    };
    let legal: String = name.chars().enumerate().map(legal).collect();
    if legal.is_empty() { "_".to_owned() } else { legal }
}

fn kind(datatype: DataType) -> Value {
    match datatype {
        DataType::Bool => json!("boolean"),
        DataType::Fp16 | DataType::Fp32 => json!("float"),
        DataType::Fp64 => json!("double"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Uint8 | DataType::Uint16 => json!("int"),
        DataType::Int64 | DataType::Uint32 => json!("long"),
        DataType::Uint64 => json!({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 0}),
        DataType::Bytes => json!("string"),
    }
}

/// Whether the tensor's first axis counts rows; a single request may have outputs of any shape.
fn has_rows(tensor: &Tensor, single: bool) -> bool {
    tensor.shape().first().is_some_and(|rows| !single || *rows == 1)
}

fn axes(tensor: &Tensor, group: &Group) -> usize {
    if has_rows(tensor, group.is_single()) { tensor.row_shape().len() } else { tensor.shape().len() }
}

/// Writes the answers of a group.
#[derive(Debug)]
pub struct Writer<'a> {
    /// The zero byte and the schema's id.
    head: [u8; HEAD],
    /// The model's name and version.
    model: Vec<u8>,
    outputs: Vec<&'a Tensor>,
}

impl<'a> Writer<'a> {
    /// A writer of answers by the schema with this id.
    pub fn new(schema: u32, model: &str, version: &str, columns: impl IntoIterator<Item = &'a Column>) -> Self {
        let [a, b, c, d] = schema.to_be_bytes();
        let mut names = Vec::new();
        put_bytes(&mut names, model.as_bytes());
        put_bytes(&mut names, version.as_bytes());
        let outputs = columns.into_iter().map(|column| &*column.tensor).collect();
        Self { head: [0, a, b, c, d], model: names, outputs }
    }

    /// Appends the answer whose row is the one of `rows`; `None`: that of a group of one request.
    pub fn write(&self, out: &mut Vec<u8>, id: &str, rows: Option<Range<usize>>) {
        out.extend_from_slice(&self.head);
        put_bytes(out, id.as_bytes());
        out.extend_from_slice(&self.model);
        for tensor in &self.outputs {
            if has_rows(tensor, rows.is_none()) {
                let row = rows.as_ref().map_or(0, |rows| rows.start);
                nested(out, tensor.elements(), tensor.row_shape(), row * tensor.row_len());
            } else {
                nested(out, tensor.elements(), tensor.shape(), 0);
            }
        }
    }
}

/// The elements from `start` on, nested as `shape` says.
fn nested(out: &mut Vec<u8>, elements: &Elements, shape: &[usize], start: usize) {
    let Some((&axis, inner)) = shape.split_first() else { return one(out, elements, start) };
    let width: usize = inner.iter().product();
    if axis > 0 {
        put_long(out, axis as i64);
        for index in 0..axis {
            nested(out, elements, inner, start + index * width);
        }
    }
    put_long(out, 0);
}

fn one(out: &mut Vec<u8>, elements: &Elements, at: usize) {
    match elements {
        Elements::Bool(vector) => out.push(vector[at].into()),
        Elements::Uint8(vector) => put_long(out, vector[at].into()),
        Elements::Uint16(vector) => put_long(out, vector[at].into()),
        Elements::Uint32(vector) => put_long(out, vector[at].into()),
        Elements::Uint64(vector) => {
            // The shortest two's complement has a bit for the sign.
            let bytes = u128::from(vector[at]).to_be_bytes();
            let first = (vector[at].leading_zeros() / 8) as usize;
            let sign = usize::from(vector[at].leading_zeros() % 8 == 0);
            put_bytes(out, &bytes[8 + first - sign..]);
        }
        Elements::Int8(vector) => put_long(out, vector[at].into()),
        Elements::Int16(vector) => put_long(out, vector[at].into()),
        Elements::Int32(vector) => put_long(out, vector[at].into()),
        Elements::Int64(vector) => put_long(out, vector[at]),
        Elements::Fp16(vector) => out.extend_from_slice(&vector[at].to_f32().to_le_bytes()),
        Elements::Fp32(vector) => out.extend_from_slice(&vector[at].to_le_bytes()),
        Elements::Fp64(vector) => out.extend_from_slice(&vector[at].to_le_bytes()),
        // What is no UTF-8 cannot stand in a string: each faulty sequence becomes U+FFFD, as in JSON.
        Elements::Bytes(strings) => put_bytes(out, String::from_utf8_lossy(strings.at(at)).as_bytes()),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

fn put_long(out: &mut Vec<u8>, number: i64) {
    let mut bits = ((number << 1) ^ (number >> 63)) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_avro_does_not_allow_are_changed_and_none_is_there_twice() {
        let shape = Shape::of([
            ("Fare (GBP)".into(), DataType::Fp32, 0),
            ("Fare__GBP_".into(), DataType::Int64, 1),
            ("id".into(), DataType::Bytes, 2),
            ("2nd".into(), DataType::Bool, 0),
        ]);
        let schema: Value = serde_json::from_str(&shape.schema("iris-1.0")).unwrap();
        assert_eq!(schema["name"], "iris_1_0");
        let names: Vec<_> = schema["fields"].as_array().unwrap().iter().map(|field| field["name"].clone()).collect();
        let expected = ["id", "model_name", "model_version", "Fare__GBP_", "Fare__GBP__", "id_", "_nd"];
        assert_eq!(names, expected);
        assert_eq!(schema["fields"][3]["doc"], "the output `Fare (GBP)`");
        let deep = json!({"type": "array", "items": {"type": "array", "items": "string"}});
        assert_eq!(schema["fields"][5]["type"], deep);
    }

    #[test]
    fn a_large_unsigned_number_is_a_decimal_of_the_shortest_bytes() {
        let bytes = |number: u64| {
            let mut out = Vec::new();
            one(&mut out, &Elements::Uint64(vec![number]), 0);
            out
        };
        for (number, expected) in [
            (0, &[2, 0][..]),
            (127, &[2, 127]),
            (128, &[4, 0, 128]),
            (255, &[4, 0, 255]),
            (256, &[4, 1, 0]),
            (u64::MAX, &[18, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            assert_eq!(bytes(number), expected, "{number}");
        }
    }
}
