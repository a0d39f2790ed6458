//! Tensors as bytes behind JSON: what Triton's Python client sends (`scripts/make_triton_goldens.py`), answered through
//! Kafka as Python's runtime answers it; and bodies whose sizes lie among others that are right.

use std::{fs, path::Path};

use modelmill::broker::kafka::client::Record;
use serde_json::{Map, Value, json};

use super::goldens::assert_outputs;
use crate::support::{Ask, Rig, json};

const HEADER_LENGTH: &str = "inference-header-content-length";

/// What tritonclient sends to a model, and what must come back.
struct Golden {
    model: String,
    place: String,
    /// How much of the body is JSON, where not all of it is.
    header: Option<u64>,
    body: Vec<u8>,
    outputs: Value,
}

impl Golden {
    fn all() -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/triton/requests.jsonl");
        let text = fs::read_to_string(path).unwrap();
        let golden = |line: &str| {
            let golden: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            let (model, place, outputs) = (text("model"), text("place"), golden["outputs"].clone());
            Self { model, place, header: golden["header"].as_u64(), body: bytes(&text("body")), outputs }
        };
        text.lines().map(golden).collect()
    }

    fn ask(&self, id: &str) -> Ask {
        let ask = Ask::bytes(self.body.clone()).header("x-request-id", id).header("Model-Name", self.model.as_str());
        match self.header {
            None => ask.header("Content-Type", "application/json"),
            Some(header) => ask
                .header("Content-Type", "application/octet-stream")
                .header("Inference-Header-Content-Length", header.to_string()),
        }
    }

    /// The names of the outputs that are to come as bytes.
    fn binary(&self) -> Vec<String> {
        let header = self.header.map_or(self.body.len(), |header| usize::try_from(header).unwrap());
        let request: Value = serde_json::from_slice(&self.body[..header]).unwrap();
        let all = request["parameters"]["binary_data_output"] == json!(true);
        let names = self.outputs.as_array().unwrap().iter().map(|output| output["name"].as_str().unwrap());
        let asked = |name: &&str| {
            let of =
                request["outputs"].as_array().and_then(|asked| asked.iter().find(|output| output["name"] == **name));
            all || of.is_some_and(|output| output["parameters"]["binary_data"] == json!(true))
        };
        names.filter(asked).map(str::to_owned).collect()
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<_> = hexadecimal.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// The outputs of an answer with all of their data in the JSON, and the names of those that came as bytes.
fn read(answer: &Record) -> (Value, Vec<String>) {
    let Some(header) = answer.header(HEADER_LENGTH) else {
        assert_eq!(answer.header("content-type"), Some(&b"application/json"[..]));
        return (json(answer)["outputs"].take(), Vec::new());
    };
    assert_eq!(answer.header("content-type"), Some(&b"application/octet-stream"[..]));
    let header: usize = std::str::from_utf8(header).unwrap().parse().unwrap();
    let (head, mut rest) = answer.value.as_deref().unwrap().split_at(header);
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
        write_out(output, data);
    }
    assert!(rest.is_empty(), "{} bytes belong to no output", rest.len());
    (head["outputs"].take(), binary)
}

/// Puts data that came as bytes where they would stand in JSON.
fn write_out(output: &mut Map<String, Value>, data: &[u8]) {
    macro_rules! numbers {
        ($number:ty) => {
            data.chunks(size_of::<$number>())
                .map(|part| json!(<$number>::from_le_bytes(part.try_into().unwrap())))
                .collect()
        };
    }
    let elements: Vec<Value> = match output["datatype"].as_str().unwrap() {
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
    };
    output.insert("data".to_owned(), elements.into());
}

fn strings(mut data: &[u8]) -> Vec<Value> {
    let mut strings = Vec::new();
    while let Some((length, behind)) = data.split_first_chunk::<4>() {
        let (string, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        strings.push(json!(std::str::from_utf8(string).unwrap()));
        data = behind;
    }
    assert!(data.is_empty());
    strings
}

/// Expected outputs as bytes carry them: not-a-number and the infinities, for which JSON has strings, are read as null.
fn without_words(outputs: &Value) -> Value {
    let mut outputs = outputs.clone();
    for output in outputs.as_array_mut().unwrap() {
        let is_float = output["datatype"].as_str().unwrap().starts_with("FP");
        for value in output["data"].as_array_mut().unwrap().iter_mut().filter(|value| is_float && value.is_string()) {
            *value = Value::Null;
        }
    }
    outputs
}

#[test]
fn what_tritonclient_sends_is_answered_as_python_answers_it_in_the_form_that_it_asks_for() {
    let Some(rig) = Rig::new("triton") else { return };
    let goldens = Golden::all();
    for golden in &goldens {
        rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    }
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let asks: Vec<_> = goldens.iter().enumerate().map(|(index, golden)| golden.ask(&index.to_string())).collect();
    assert!(asks.len() > 80, "{} requests", asks.len());
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    lane.assert_nothing_more();
    for (index, golden) in goldens.iter().enumerate() {
        let (context, answer) = (format!("{index}: {}", golden.model), &answers[&index.to_string()]);
        assert_eq!(answer.status(), "OK", "{context}: {}", answer.text());
        let (outputs, binary) = read(answer);
        assert_eq!(binary, golden.binary(), "{context}");
        assert_outputs(&context, &without_words(&outputs), &without_words(&golden.outputs));
    }
}

#[test]
fn sizes_that_lie_disturb_nobody_and_a_bare_request_may_ask_for_bytes() {
    let Some(rig) = Rig::new("lies") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let numbers: Vec<u8> = [5.1_f32, 3.4, 1.5, 0.2].iter().flat_map(|number| number.to_le_bytes()).collect();
    let body = |id: &str, shape: Value, datatype: &str, size: usize, data: &[u8]| {
        let input = json!({"name": "input", "shape": shape, "datatype": datatype,
                           "parameters": {"binary_data_size": size}});
        let head = json!({"id": id, "inputs": [input]}).to_string();
        Ask::bytes([head.as_bytes(), data].concat()).header(HEADER_LENGTH, head.len().to_string())
    };
    let doubles: Vec<u8> = [5.1_f64, 3.4, 1.5, 0.2].iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        body("right", json!([1, 4]), "FP32", 16, &numbers),
        body("short", json!([1, 4]), "FP32", 16, &numbers[..15]),
        body("long", json!([1, 4]), "FP32", 16, &[&numbers[..], b"x"].concat()),
        body("vast", json!([u64::MAX, 4]), "FP32", 16, &numbers),
        body("double", json!([1, 4]), "FP64", 32, &doubles),
        body("brain", json!([1, 4]), "BF16", 8, &numbers[..8]),
        body("again", json!([1, 4]), "FP32", 16, &numbers),
        Ask::json(&json!({"id": "bare", "instances": [[5.1, 3.4, 1.5, 0.2]],
                          "parameters": {"binary_data_output": true}})),
    ]);
    worker.stop();
    lane.assert_nothing_more();
    let code = |id: &str| json(&answers[id])["error"]["code"].clone();
    for id in ["short", "long", "vast"] {
        assert_eq!(code(id), "INVALID_REQUEST", "{id}");
    }
    assert_eq!((code("double"), code("brain")), (json!("INVALID_INPUT"), json!("INVALID_INPUT")));
    assert_eq!(lane.dead_letters().len(), 3);
    let (bare, binary) = read(&answers["bare"]);
    assert_eq!(binary, ["label", "probabilities"]);
    let names: Vec<_> = answers["bare"].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", HEADER_LENGTH], "no header that can be done without");
    for id in ["right", "again"] {
        let (outputs, binary) = read(&answers[id]);
        assert!(binary.is_empty(), "nobody asked for bytes");
        assert_outputs(id, &outputs, &bare);
    }
}
