//! Protobuf: what Triton's Python client sends (`scripts/make_grpc_goldens.py`), answered through Kafka as Python's runtime
//! answers it, and read with messages that `prost` decodes.

use std::{fs, path::Path};

use modelmill::broker::kafka::client::Record;
use prost::Message;
use serde_json::{Value, json};

use crate::{
    goldens::assert_outputs,
    messages::{Choice, ModelInferRequest, ModelInferResponse},
    support::{Ask, Rig, json},
};

pub const PROTOBUF: &str = "application/x-protobuf";

/// A request to a model, and what must come back.
pub struct Golden {
    pub id: String,
    pub model: String,
    pub place: String,
    pub body: Vec<u8>,
    pub outputs: Value,
}

impl Golden {
    pub fn all() -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grpc/requests.jsonl");
        let text = fs::read_to_string(path).unwrap();
        let golden = |line: &str| {
            let golden: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            let outputs = without_words(&golden["outputs"]);
            Self { id: text("id"), model: text("model"), place: text("place"), body: bytes(&text("body")), outputs }
        };
        text.lines().map(golden).collect()
    }
}

pub fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<_> = hexadecimal.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// The outputs of an answer as they would stand in JSON.
pub fn outputs(answer: &ModelInferResponse) -> Value {
    let raws = &answer.raw_output_contents;
    assert_eq!(raws.len(), answer.outputs.len(), "each output has its data raw");
    let output = |(output, raw): (&crate::messages::Tensor, &Vec<u8>)| {
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
        strings.push(json!(std::str::from_utf8(string).unwrap()));
        data = behind;
    }
    assert!(data.is_empty());
    strings
}

/// Expected outputs as bytes carry them: not-a-number and the infinities, for which JSON has strings, are read as null.
pub fn without_words(outputs: &Value) -> Value {
    let mut outputs = outputs.clone();
    for output in outputs.as_array_mut().unwrap() {
        let is_float = output["datatype"].as_str().unwrap().starts_with("FP");
        for value in output["data"].as_array_mut().unwrap().iter_mut().filter(|value| is_float && value.is_string()) {
            *value = Value::Null;
        }
    }
    outputs
}

/// An answer in protobuf that is a result.
pub fn read(answer: &Record) -> ModelInferResponse {
    assert_eq!(answer.status(), "OK", "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some(PROTOBUF.as_bytes()));
    ModelInferResponse::decode(answer.value.as_deref().unwrap()).unwrap()
}

#[test]
fn what_a_grpc_client_would_send_is_answered_as_python_answers_it() {
    let Some(rig) = Rig::new("protobuf") else { return };
    let goldens = Golden::all();
    for golden in &goldens {
        rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    }
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let asks: Vec<_> =
        goldens.iter().map(|golden| Ask::bytes(golden.body.clone()).header("content-type", PROTOBUF)).collect();
    assert!(asks.len() > 100, "{} requests", asks.len());
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    lane.assert_nothing_more();
    for golden in goldens {
        let answer = read(&answers[&golden.id]);
        assert_eq!((&answer.id, &answer.model_name, &*answer.model_version), (&golden.id, &golden.model, "1"));
        let request = ModelInferRequest::decode(&golden.body[..]).unwrap();
        assert_eq!(answer.parameters, request.parameters, "{}", golden.id);
        assert_outputs(&golden.id, &outputs(&answer), &golden.outputs);
    }
}

#[test]
fn a_pipeline_may_expect_protobuf_and_what_is_wrong_is_answered_in_json() {
    let Some(rig) = Rig::new("wire") else { return };
    let golden = Golden::all().into_iter().find(|golden| golden.model == "iris").unwrap();
    rig.model("iris", 1, &format!("tests/data/{}", golden.place));
    let steps = json!([{"predict": {"model": "iris"}}]);
    let lane = rig.lane_with("iris", steps, 2, |pipeline| pipeline["input"]["codec"] = json!("protobuf"));
    let whole = || golden.body.clone();
    let cut = golden.body[..golden.body.len() - 1].to_vec();
    let mut worker = rig.worker();
    lane.send(&[Ask::bytes(whole()), Ask::bytes(cut), Ask::bytes("{\"id\": \"json\"}").key("json")]);
    let answers = lane.receive(3);
    worker.stop();
    let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == "OK");
    assert_outputs("bare", &outputs(&read(&right[0])), &golden.outputs);
    let names: Vec<_> = right[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type"], "no header that can be done without");
    assert_eq!(wrong.len(), 2);
    for answer in wrong {
        assert_eq!(answer.header("content-type"), Some(&b"application/json"[..]));
        let error = json(&answer);
        let id = error["id"].as_str().unwrap();
        assert!(id == golden.id || id == "json", "the id is found before the fault: {error}");
        assert_eq!(error["error"]["code"], "INVALID_REQUEST", "{error}");
    }
    assert_eq!(lane.dead_letters().len(), 2);
}
