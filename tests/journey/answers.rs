//! Answers of every form, read back into what named tensors in JSON would say of them.

use modelmill::broker::kafka::client::Record;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::messages::{Choice, ModelInferResponse, Tensor};

pub const AVRO: &str = "application/avro";
pub const HEADER_LENGTH: &str = "inference-header-content-length";
pub const PROTOBUF: &str = "application/x-protobuf";
pub const STRUCTURED: &str = "application/cloudevents+json";

/// What the body of an answer is, or what the data of the event are that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Tensors,
    Rows,
    /// JSON with data of outputs as bytes behind it.
    Binary,
    Protobuf,
    Avro,
    Error,
}

/// An answer.
pub struct Answer {
    pub form: Form,
    pub id: String,
    /// The attributes of the CloudEvent that it is.
    pub event: Option<Map<String, Value>>,
    /// The outputs with all of their data in JSON, the predictions of rows, the error; nothing of Avro, which its schema
    /// alone explains.
    pub outputs: Value,
    /// The names of the outputs whose data came as bytes behind JSON.
    pub binary: Vec<String>,
    /// What was read: the body, or the event's data.
    pub body: Vec<u8>,
}

impl Answer {
    pub fn of(record: &Record) -> Self {
        let text = |name: &str| record.header(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
        let (content_type, header) = (text("content-type"), text(HEADER_LENGTH));
        let header = header.map(|length| length.parse().unwrap());
        let body = record.value.clone().unwrap();
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        if content_type.as_deref() == Some(STRUCTURED) {
            let Value::Object(mut event) = serde_json::from_slice(&body).unwrap() else { panic!("{}", record.text()) };
            let data = match (event.remove("data"), event.remove("data_base64")) {
                (Some(data), None) => data.to_string().into_bytes(),
                (None, Some(Value::String(text))) => from_base64(&text),
                _ => panic!("one of data and data_base64: {}", record.text()),
            };
            let content_type = event["datacontenttype"].as_str().map(str::to_owned);
            return Self { event: Some(event), ..Self::read(key, content_type.as_deref(), header, data) };
        }
        let attribute = |(name, value): &(String, Option<Vec<u8>>)| {
            Some((name.strip_prefix("ce_")?.to_owned(), json!(str::from_utf8(value.as_deref()?).unwrap())))
        };
        let event: Map<_, _> = record.headers.iter().filter_map(attribute).collect();
        let event = (!event.is_empty()).then_some(event);
        Self { event, ..Self::read(key, content_type.as_deref(), header, body) }
    }

    /// That it is a result, and in this form.
    pub fn expect(self, form: Form, context: &str) -> Self {
        assert_eq!(self.form, form, "{context}: {}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Reads a body. `key` is the answer's; its id is the same.
    pub fn read(key: String, content_type: Option<&str>, header: Option<usize>, body: Vec<u8>) -> Self {
        let (id, form, outputs, binary) = match (content_type, header) {
            (None | Some("application/json"), None) => {
                let mut answer: Value = serde_json::from_slice(&body).unwrap();
                let id = answer["id"].as_str().unwrap().to_owned();
                let forms = [("outputs", Form::Tensors), ("predictions", Form::Rows), ("error", Form::Error)];
                let mut there = forms.into_iter().filter(|(name, _)| answer.get(name).is_some());
                let (Some((name, form)), None) = (there.next(), there.next()) else { panic!("one of them: {answer}") };
                (id, form, answer[name].take(), Vec::new())
            }
            (Some("application/octet-stream"), Some(header)) => binary(&body, header),
            (Some(PROTOBUF), None) => {
                let answer = ModelInferResponse::decode(&*body).unwrap();
                (answer.id.clone(), Form::Protobuf, outputs(&answer), Vec::new())
            }
            (Some(AVRO), None) => (key.clone(), Form::Avro, Value::Null, Vec::new()),
            (content_type, header) => panic!("content-type {content_type:?}, {HEADER_LENGTH} {header:?}"),
        };
        assert_eq!(id, key, "the key of an answer is its id");
        Self { form, id, event: None, outputs, binary, body }
    }
}

/// An answer with bytes behind its JSON: its id, form, outputs, and the names of those that came as bytes.
fn binary(body: &[u8], header: usize) -> (String, Form, Value, Vec<String>) {
    let (head, mut rest) = body.split_at(header);
    let mut head: Value = serde_json::from_slice(head).unwrap();
    let mut binary = Vec::new();
    for output in head["outputs"].as_array_mut().unwrap() {
        let output = output.as_object_mut().unwrap();
        let Some(size) = output.get("parameters").and_then(|parameters| parameters["binary_data_size"].as_u64()) else {
            continue;
        };
        let (data, behind) = rest.split_at(usize::try_from(size).unwrap());
        rest = behind;
        binary.push(output["name"].as_str().unwrap().to_owned());
        assert!(!output.contains_key("data"), "{output:?}");
        let elements = elements(output["datatype"].as_str().unwrap(), data);
        output.insert("data".to_owned(), elements.into());
    }
    assert!(rest.is_empty(), "{} bytes belong to no output", rest.len());
    (head["id"].as_str().unwrap().to_owned(), Form::Binary, head["outputs"].take(), binary)
}

/// The outputs of an answer in protobuf as they would stand in JSON.
pub fn outputs(answer: &ModelInferResponse) -> Value {
    let raws = &answer.raw_output_contents;
    assert_eq!(raws.len(), answer.outputs.len(), "each output has its data raw");
    let output = |(output, raw): (&Tensor, &Vec<u8>)| {
        assert!(output.contents.is_none());
        let mut json = json!({"name": output.name, "datatype": output.datatype, "shape": output.shape,
                              "data": elements(&output.datatype, raw)});
        if let Some(Choice::Text(classes)) = output.parameters.get("classes").and_then(|found| found.choice.clone()) {
            json["parameters"] = json!({"classes": serde_json::from_str::<Value>(&classes).unwrap()});
        }
        json
    };
    answer.outputs.iter().zip(raws).map(output).collect()
}

/// The elements of a tensor that came as bytes.
fn elements(datatype: &str, data: &[u8]) -> Vec<Value> {
    macro_rules! numbers {
        ($number:ty) => {
            data.chunks(size_of::<$number>())
                .map(|part| json!(<$number>::from_le_bytes(part.try_into().unwrap())))
                .collect()
        };
    }
    match datatype {
        "BOOL" => data.iter().map(|byte| json!(*byte == 1)).collect(),
        "UINT8" => numbers!(u8),
        "UINT16" => numbers!(u16),
        "UINT32" => numbers!(u32),
        "UINT64" => numbers!(u64),
        "INT8" => numbers!(i8),
        "INT16" => numbers!(i16),
        "INT32" => numbers!(i32),
        "INT64" => numbers!(i64),
        "FP16" => {
            data.chunks(2).map(|part| json!(half::f16::from_le_bytes(part.try_into().unwrap()).to_f64())).collect()
        }
        "FP32" => numbers!(f32),
        "FP64" => numbers!(f64),
        "BYTES" => strings(data),
        other => panic!("{other}"),
    }
}

fn strings(mut data: &[u8]) -> Vec<Value> {
    let mut strings = Vec::new();
    while let Some((length, behind)) = data.split_first_chunk::<4>() {
        let (string, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        strings.push(json!(str::from_utf8(string).unwrap()));
        data = behind;
    }
    assert!(data.is_empty());
    strings
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn from_base64(text: &str) -> Vec<u8> {
    let place = |digit: u8| DIGITS.iter().position(|known| *known == digit).unwrap();
    let values = text.trim_end_matches('=').bytes().map(place);
    let bits: Vec<_> = values.flat_map(|value| (0..6).rev().map(move |bit| value >> bit & 1)).collect();
    bits.chunks_exact(8).map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect()
}

pub fn to_base64(bytes: &[u8]) -> String {
    let four = |three: &[u8]| {
        let bits = three.iter().chain([0; 2].iter()).take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let digit = move |at: usize| if at <= three.len() { DIGITS[bits >> (18 - 6 * at) & 63] } else { b'=' };
        (0..4).map(digit).map(char::from).collect::<String>()
    };
    bytes.chunks(3).map(four).collect()
}
