//! A request of the Open Inference Protocol v2 in JSON, made of columns.

use serde::Serialize;

use crate::tensor::{Column, Columns, Elements};

/// A request that the model runs with.
#[derive(Clone, Debug, Serialize)]
pub struct SampleRequest {
    id: &'static str,
    pub(super) inputs: Vec<SampleInput>,
}

/// One input of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SampleInput {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) datatype: &'static str,
    pub(super) data: Data,
}

/// Elements as JSON writes them: each in the shortest form that its own type reads back.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Data {
    Bools(Vec<bool>),
    Unsigned(Vec<u64>),
    Signed(Vec<i64>),
    Single(Vec<f32>),
    Double(Vec<f64>),
    Texts(Vec<String>),
}

impl SampleRequest {
    /// The request that sends these columns.
    pub(super) fn new(columns: &Columns) -> Self {
        Self { id: "sample-1", inputs: columns.iter().map(SampleInput::new).collect() }
    }

    /// The request with each input on a line of its own.
    pub(super) fn pretty(&self) -> String {
        let inputs: Vec<_> = self.inputs.iter().map(|input| format!("    {}", json(input))).collect();
        format!("{{\n  \"id\": {},\n  \"inputs\": [\n{}\n  ]\n}}\n", json(&self.id), inputs.join(",\n"))
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names, numbers and texts are always JSON")
}

impl SampleInput {
    fn new(column: &Column) -> Self {
        Self {
            name: column.name.to_string(),
            shape: column.tensor.shape().to_vec(),
            datatype: column.tensor.datatype().as_str(),
            data: data(column.tensor.elements()),
        }
    }
}

fn data(elements: &Elements) -> Data {
    match elements {
        Elements::Bool(items) => Data::Bools(items.clone()),
        Elements::Uint8(items) => Data::Unsigned(items.iter().map(|&item| item.into()).collect()),
        Elements::Uint16(items) => Data::Unsigned(items.iter().map(|&item| item.into()).collect()),
        Elements::Uint32(items) => Data::Unsigned(items.iter().map(|&item| item.into()).collect()),
        Elements::Uint64(items) => Data::Unsigned(items.clone()),
        Elements::Int8(items) => Data::Signed(items.iter().map(|&item| item.into()).collect()),
        Elements::Int16(items) => Data::Signed(items.iter().map(|&item| item.into()).collect()),
        Elements::Int32(items) => Data::Signed(items.iter().map(|&item| item.into()).collect()),
        Elements::Int64(items) => Data::Signed(items.clone()),
        Elements::Fp16(items) => Data::Single(items.iter().map(|item| item.to_f32()).collect()),
        Elements::Fp32(items) => Data::Single(items.clone()),
        Elements::Fp64(items) => Data::Double(items.clone()),
        Elements::Bytes(items) => {
            Data::Texts(items.iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    #[test]
    fn numbers_are_written_as_short_as_their_type_reads_them_back() {
        let column = |name: &str, elements| Column::new(name, Tensor::vector(elements));
        let columns: Columns = [
            column("a", Elements::Fp32(vec![0.1, 2.0])),
            column("b", Elements::Uint64(vec![u64::MAX])),
            column("c", Elements::Bytes(["Zoë \"x\""].iter().collect())),
        ]
        .into_iter()
        .collect();
        let expected = r#"{
  "id": "sample-1",
  "inputs": [
    {"name":"a","shape":[2],"datatype":"FP32","data":[0.1,2.0]},
    {"name":"b","shape":[1],"datatype":"UINT64","data":[18446744073709551615]},
    {"name":"c","shape":[1],"datatype":"BYTES","data":["Zoë \"x\""]}
  ]
}
"#;
        assert_eq!(SampleRequest::new(&columns).pretty(), expected);
    }
}
