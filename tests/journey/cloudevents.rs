//! CloudEvents: what both major versions of Python's SDK send (`scripts/make_event_goldens.py`), in both modes, answered by
//! events; and one topic with every form mixed, each answered in its own.

use std::{fs, path::Path};

use modelmill::broker::kafka::client::Record;
use prost::Message;
use serde_json::{Value, json};

use crate::{
    goldens::{assert_outputs, is_close},
    messages::ModelInferResponse,
    protobuf::{self, PROTOBUF, bytes},
    support::{Ask, Rig, json},
};

const STRUCTURED: &str = "application/cloudevents+json";
const HEADER_LENGTH: &str = "inference-header-content-length";

struct Golden {
    /// The id that the answer must have.
    id: String,
    mode: String,
    data: String,
    ask: Ask,
}

impl Golden {
    fn all() -> Vec<Self> {
        [1, 2].into_iter().flat_map(Self::of_sdk).collect()
    }

    fn of_sdk(major: u32) -> Vec<Self> {
        let file = format!("tests/data/cloudevents/requests-{major}.jsonl");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let golden = |line: &str| {
            let golden: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            let mut ask = Ask::bytes(bytes(&text("body")));
            for (name, value) in golden["headers"].as_object().unwrap() {
                ask = ask.header(name, value.as_str().unwrap());
            }
            let (mode, data) = (text("mode"), text("data"));
            let id = if data == "rows" { format!("own-{mode}-{major}") } else { text("event") };
            Self { id, mode, data, ask }
        };
        text.lines().map(golden).collect()
    }

    /// Holds the answer against the request, and returns its data.
    fn data(&self, answer: &Record) -> Data {
        let (header, is_error) = (|name: &str| text(answer, name), self.data == "broken");
        let kind = if is_error { "com.example.ask.error" } else { "com.example.ask.response" };
        let expected = ["1.0", &self.id, "/modelmill/iris", kind, "flower/17", "blue"];
        let names = ["specversion", "id", "source", "type", "subject", "tenant"];
        if self.mode == "binary" {
            for (name, value) in names.iter().zip(expected) {
                assert_eq!(header(&format!("ce_{name}")), value, "{name} of {}", self.id);
            }
            return Data::of(header("content-type"), header(HEADER_LENGTH), answer.value.as_deref().unwrap());
        }
        let event = json(answer);
        for (name, value) in names.iter().zip(expected) {
            assert_eq!(event[name], value, "{name} of {}", self.id);
        }
        assert_eq!(header("content-type"), STRUCTURED);
        let content_type = event["datacontenttype"].as_str().unwrap();
        match event["data_base64"].as_str() {
            Some(text) => Data::of(content_type, header(HEADER_LENGTH), &from_base64(text)),
            None => Data::of(content_type, header(HEADER_LENGTH), event["data"].to_string().as_bytes()),
        }
    }
}

/// The data of an answer, by their form.
enum Data {
    Json(Value),
    /// The JSON, and the bytes behind it.
    Binary(Value, Vec<u8>),
    Protobuf(ModelInferResponse),
}

impl Data {
    fn of(content_type: &str, header: &str, body: &[u8]) -> Self {
        match content_type {
            "application/json" => Self::Json(serde_json::from_slice(body).unwrap()),
            "application/octet-stream" => {
                let (json, behind) = body.split_at(header.parse().unwrap());
                Self::Binary(serde_json::from_slice(json).unwrap(), behind.to_vec())
            }
            PROTOBUF => Self::Protobuf(ModelInferResponse::decode(body).unwrap()),
            other => panic!("content-type `{other}`"),
        }
    }

    /// That they are the form that belongs to the request's, with the golden's numbers.
    fn check(self, kind: &str, id: &str, outputs: &Value) {
        let probabilities: Vec<f64> =
            outputs[1]["data"].as_array().unwrap()[..3].iter().map(|value| value.as_f64().unwrap()).collect();
        let is_golden = |values: &[f64]| {
            let same = values.iter().zip(&probabilities).all(|(value, golden)| is_close(*value, *golden));
            assert!(values.len() == 3 && same, "{id}: {values:?} instead of {probabilities:?}");
        };
        let numbers =
            |array: &Value| array.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect::<Vec<_>>();
        match (kind, self) {
            ("tensors", Self::Json(answer)) => {
                assert_eq!((&answer["id"], &answer["outputs"][0]["data"]), (&json!(id), &json!([0])));
                is_golden(&numbers(&answer["outputs"][1]["data"]));
            }
            ("rows", Self::Json(answer)) => {
                assert_eq!((&answer["id"], &answer["predictions"][0]["label"]), (&json!(id), &json!(0)));
                is_golden(&numbers(&answer["predictions"][0]["probabilities"]));
            }
            ("binary", Self::Binary(answer, behind)) => {
                assert_eq!((&answer["id"], behind.len()), (&json!(id), 8 + 12));
                assert_eq!(behind[..8], 0_i64.to_le_bytes());
                let (floats, _) = behind[8..].as_chunks();
                is_golden(&floats.iter().map(|float| f32::from_le_bytes(*float).into()).collect::<Vec<_>>());
            }
            ("protobuf", Self::Protobuf(answer)) => {
                assert_eq!(answer.id, id);
                assert_outputs(id, &protobuf::outputs(&answer), outputs);
            }
            ("broken", Self::Json(answer)) => {
                assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(id), &json!("INVALID_REQUEST")));
            }
            (kind, _) => panic!("{id}: not the form of {kind}"),
        }
    }
}

fn text<'a>(answer: &'a Record, name: &str) -> &'a str {
    answer.header(name).map_or("", |value| std::str::from_utf8(value).unwrap())
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values = text.trim_end_matches('=').chars().map(|digit| DIGITS.find(digit).unwrap());
    let bits: Vec<_> = values.flat_map(|value| (0..6).rev().map(move |bit| value >> bit & 1)).collect();
    bits.chunks_exact(8).map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect()
}

/// What Python's runtime answers to one flower, from the goldens.
fn expected() -> Value {
    let golden = protobuf::Golden::all().into_iter().find(|golden| golden.id == "iris-0-raw");
    golden.unwrap().outputs
}

#[test]
fn every_form_on_one_topic_in_one_chunk_is_answered_in_its_own() {
    let Some(rig) = Rig::new("mixed") else { return };
    rig.model("iris", 1, "tests/data/fixtures/iris/1");
    // One partition, written before there is a worker: one fetch hands over all of them.
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 1, |_| {});
    let events = Golden::all();
    let plain = plain();
    let mut asks: Vec<_> = events.iter().map(|golden| golden.ask.clone()).collect();
    asks.extend(plain.iter().map(|(_, _, ask)| ask.clone()));
    assert_eq!(asks.len(), 24);
    lane.send(&asks);
    let mut worker = rig.worker();
    let answers = crate::support::by_id(lane.receive(asks.len()));
    worker.stop();
    lane.assert_nothing_more();
    let expected = expected();
    for golden in &events {
        golden.data(&answers[&golden.id]).check(&golden.data, &golden.id, &expected);
    }
    for (id, kind, _) in plain {
        let answer = &answers[id];
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("ce_")), "no event was asked for");
        let content_type = answer.header("content-type").map_or("application/json", |_| text(answer, "content-type"));
        Data::of(content_type, text(answer, HEADER_LENGTH), answer.value.as_deref().unwrap())
            .check(kind, id, &expected);
    }
    // What is broken is kept as it came: four of the SDKs'.
    assert_eq!(lane.dead_letters().len(), 4);
}

/// The same request in each form, not as an event: its id, its kind, and what is sent.
fn plain() -> [(&'static str, &'static str, Ask); 4] {
    let flower = [5.1_f32, 3.5, 1.4, 0.2];
    let tensor = |more: Value| {
        let mut input = json!({"name": "X", "shape": [1, 4], "datatype": "FP32"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([input])
    };
    let head = json!({"id": "binary", "inputs": tensor(json!({"parameters": {"binary_data_size": 16}})),
                      "parameters": {"binary_data_output": true}});
    let head = head.to_string();
    let behind: Vec<u8> = flower.iter().flat_map(|number| number.to_le_bytes()).collect();
    let binary = Ask::bytes([head.as_bytes(), &behind].concat()).header(HEADER_LENGTH, head.len().to_string());
    let golden = protobuf::Golden::all().into_iter().find(|golden| golden.id == "iris-0-raw").unwrap();
    [
        (
            "tensors",
            "tensors",
            Ask::json(&json!({"id": "tensors", "inputs": tensor(json!({"data": [5.1, 3.5, 1.4, 0.2]}))})),
        ),
        ("rows", "rows", Ask::json(&json!({"id": "rows", "instances": [[5.1, 3.5, 1.4, 0.2]]}))),
        ("binary", "binary", binary),
        ("iris-0-raw", "protobuf", Ask::bytes(golden.body).header("content-type", PROTOBUF)),
    ]
}
