//! What the tests of all types of schemas share: bodies as the goldens have them, and the columns that they become.

use serde_json::{Value, json};

use crate::{
    codec::registry::Registry,
    error::ErrorCode,
    tensor::{Column, Elements},
};
use claims::{decode, nowhere};

pub mod claims;
pub mod oracle;

pub fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<_> = hexadecimal.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A body by this schema, with its id.
pub fn body(id: u32, record: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), record].concat()
}

/// The columns of a body, as the goldens write them; `keep` makes its schema known.
pub fn columns_by(
    body: &[u8],
    keep: impl FnOnce(&Registry, u32) -> Result<(), String>,
) -> Result<Value, (ErrorCode, String)> {
    let registry = nowhere();
    let id = u32::from_be_bytes(body[1..5].try_into().unwrap());
    keep(&registry, id).unwrap();
    let decoded = decode(&registry, &[body]);
    if let Some(refused) = decoded.refused.first() {
        return Err((refused.error.code(), refused.error.message().to_owned()));
    }
    Ok(decoded.groups[0].columns.iter().map(written).collect())
}

fn written(column: &Column) -> Value {
    let float = |number: f64| json!(format!("{number:?}"));
    let data: Vec<Value> = match column.tensor.elements() {
        Elements::Bool(all) => all.iter().map(|one| json!(one)).collect(),
        Elements::Int32(all) => all.iter().map(|one| json!(one)).collect(),
        Elements::Uint32(all) => all.iter().map(|one| json!(one)).collect(),
        Elements::Int64(all) => all.iter().map(|one| json!(one)).collect(),
        Elements::Uint64(all) => all.iter().map(|one| json!(one)).collect(),
        Elements::Fp32(all) => all.iter().map(|one| float((*one).into())).collect(),
        Elements::Fp64(all) => all.iter().map(|one| float(*one)).collect(),
        Elements::Bytes(all) => all.iter().map(|one| json!(hexadecimal(one))).collect(),
        other => panic!("no column of a record is {}", other.datatype()),
    };
    let tensor = &column.tensor;
    json!({"name": *column.name, "datatype": tensor.datatype().as_str(), "shape": tensor.shape(), "data": data})
}

/// Floating-point numbers, which are texts, all written alike.
pub fn alike(mut columns: Value) -> Value {
    for column in columns.as_array_mut().unwrap() {
        if column["datatype"].as_str().unwrap().starts_with("FP") {
            for one in column["data"].as_array_mut().unwrap() {
                *one = json!(format!("{:?}", one.as_str().unwrap().parse::<f64>().unwrap()));
            }
        }
    }
    columns
}
