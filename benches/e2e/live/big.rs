//! A model of 100 MB whose right answers are known without it: a table of numbers, and the mean of the row that is asked for.
//!
//! Every version has other numbers, so that an answer tells which version's bytes it was made of. The file is written field by
//! field: `onnx.proto` of <https://github.com/onnx/onnx>, whose field numbers these are.

use std::{fs::File, io::Write, path::Path};

use prost::encoding::{WireType, encode_key, encode_varint};

use super::{
    super::{
        check::Answer,
        workload::{Output, Values},
    },
    flow::{Ask, Asks},
};

/// Rows of the table, each of so many floats: 100 MB.
const ROWS: usize = 1_562_500;
const WIDTH: usize = 16;

/// Numbers repeat after so many: a prime, so that rows differ.
const PERIOD: usize = 9973;

/// `TensorProto.DataType` and `AttributeProto.AttributeType`.
const FLOAT: u64 = 1;
const INT64: u64 = 7;
const INT: u64 = 2;
const INTS: u64 = 7;

/// A number of the table: tenths from 0 to 1,000.
fn number(version: u64, at: usize) -> f32 {
    ((at + version as usize * 71) % PERIOD) as f32 / 10.0
}

/// What a version answers for a row.
pub fn score(version: u64, row: usize) -> f64 {
    (0..WIDTH).map(|column| f64::from(number(version, row * WIDTH + column))).sum::<f64>() / WIDTH as f64
}

/// Requests for one row each.
pub struct BigAsks;

impl Asks for BigAsks {
    fn ask(&self, index: usize) -> Ask {
        let row = row_of(index);
        let body = format!(
            r#"{{"id":"{index:08}","inputs":[{{"name":"row","shape":[1],"datatype":"INT64","data":[{row}]}}]}}"#
        );
        Ask { body, header: None }
    }

    fn is_right(&self, index: usize, answer: &Answer<'_>) -> bool {
        let Ok(version) = answer.model_version.parse() else { return false };
        let values = Values::Numbers(vec![score(version, row_of(index))]);
        answer.is_right(&[Output { name: "score".to_owned(), values }])
    }
}

fn row_of(index: usize) -> usize {
    index.wrapping_mul(7919) % ROWS
}

/// Writes a version.
pub fn write(path: &Path, version: u64) -> std::io::Result<()> {
    let table: Vec<u8> = (0..ROWS * WIDTH).flat_map(|at| number(version, at).to_le_bytes()).collect();
    let tensor = [
        field(1, Content::Number(ROWS as u64)),
        field(1, Content::Number(WIDTH as u64)),
        field(2, Content::Number(FLOAT)),
        field(8, Content::Bytes(b"table")),
        field(9, Content::Bytes(&table)),
    ];
    drop(table);
    let graph = [
        field(1, Content::Bytes(&node("Gather", &["table", "row"], "found", &[]))),
        field(1, Content::Bytes(&node("ReduceMean", &["found"], "score", &mean()))),
        field(2, Content::Bytes(b"table")),
        field(5, Content::Bytes(&tensor.concat())),
        field(11, Content::Bytes(&value("row", INT64))),
        field(12, Content::Bytes(&value("score", FLOAT))),
    ];
    let opset = [field(1, Content::Bytes(b"")), field(2, Content::Number(13))].concat();
    let mut file = File::create(path)?;
    file.write_all(&field(1, Content::Number(8)))?;
    file.write_all(&field(7, Content::Bytes(&graph.concat())))?;
    file.write_all(&field(8, Content::Bytes(&opset)))
}

/// The attributes `axes=[1]`, `keepdims=0`.
fn mean() -> Vec<u8> {
    let axes = [field(1, Content::Bytes(b"axes")), field(8, Content::Number(1)), field(20, Content::Number(INTS))];
    let keep = [field(1, Content::Bytes(b"keepdims")), field(3, Content::Number(0)), field(20, Content::Number(INT))];
    [field(5, Content::Bytes(&axes.concat())), field(5, Content::Bytes(&keep.concat()))].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[u8]) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|input| field(1, Content::Bytes(input.as_bytes()))).collect();
    node.extend(field(2, Content::Bytes(output.as_bytes())));
    node.extend(field(4, Content::Bytes(operator.as_bytes())));
    node.extend_from_slice(attributes);
    node
}

/// An input or output of one axis of any length.
fn value(name: &str, element: u64) -> Vec<u8> {
    let axis = field(1, Content::Bytes(&field(2, Content::Bytes(b"n"))));
    let tensor = [field(1, Content::Number(element)), field(2, Content::Bytes(&axis))].concat();
    let kind = field(1, Content::Bytes(&tensor));
    [field(1, Content::Bytes(name.as_bytes())), field(2, Content::Bytes(&kind))].concat()
}

enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn field(number: u32, content: Content<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match content {
        Content::Number(value) => {
            encode_key(number, WireType::Varint, &mut bytes);
            encode_varint(value, &mut bytes);
        }
        Content::Bytes(content) => {
            encode_key(number, WireType::LengthDelimited, &mut bytes);
            encode_varint(content.len() as u64, &mut bytes);
            bytes.extend_from_slice(content);
        }
    }
    bytes
}
