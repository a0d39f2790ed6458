//! Events in and out, with the CloudEvents SDK on the other side.

use std::{fs, path::Path, sync::Arc};

use serde_json::{Map, Value, json};

use crate::{
    broker::{
        Answers, Chunk, Placement,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{
        self, Decoded, Format, Intake, Intakes, Routing,
        encode::{Encoder, HeaderPolicy, Model, Outlet},
        envelope::HeaderNames,
    },
    error::ErrorCode,
    request::Route,
    tensor::{Column, Elements, Tensor},
};
use claims::cloudevents;

pub(in crate::codec) mod claims;

/// A request or an answer as a record: headers and body.
#[derive(Clone, Debug, Default)]
struct Record {
    key: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Record {
    fn new(headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { key: String::new(), headers, body: body.into() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn chunk(records: &[Record]) -> Chunk {
    let record = |record: &Record| {
        let header = |(name, value): &(String, String)| (name.clone(), Some(value.clone().into_bytes()));
        let headers = record.headers.iter().map(header).collect();
        MemoryRecord { payload: Some(record.body.clone()), headers, ..MemoryRecord::default() }
    };
    Chunk::new(Box::new(MemoryRecords(records.iter().map(record).collect())))
}

fn decode(chunk: &Chunk) -> Decoded {
    let routing = Routing::Fixed(Arc::new(Route { pipeline: 0, models: vec![] }));
    let intake = Intake::new(0, Format::Json, routing);
    codec::decode(chunk, &Intakes { intakes: vec![intake], topics: vec![("t".into(), 0)] })
}

/// The answers to requests, by their order; each result is one row of `label` and `probabilities`.
fn answer(requests: &[Record], policy: HeaderPolicy) -> Vec<Record> {
    let chunk = chunk(requests);
    let mut decoded = decode(&chunk);
    let (topics, copied) = ([("t".into(), 0)], Arc::new(HeaderNames::default().copy_rule()));
    let (placement, pipeline) = (Placement::Key, "iris".to_owned());
    let outlet = Outlet { pipeline, results: 0, dead_letters: None, placement, headers: policy, copied };
    let model = Model { name: "iris", version: "1", digest: "d" };
    let mut answers = Answers::default();
    for group in &mut decoded.groups {
        let rows = group.rows();
        let label = Tensor::vector(Elements::Int64(vec![2; rows]));
        let scores = Tensor::matrix(3, Elements::Fp32([0.25, 0.5, 0.25].repeat(rows)));
        let column = |name, tensor| Column { answer: true, ..Column::new(name, tensor) };
        group.columns = [column("label", label), column("probabilities", scores)].into_iter().collect();
        let mut encoder = Encoder::new(answers, &chunk, &topics, &decoded.ids, &outlet).naming(Some(model));
        encoder.group(group);
        answers = encoder.finish();
    }
    let mut encoder = Encoder::new(answers, &chunk, &topics, &decoded.ids, &outlet);
    decoded.refused.iter().for_each(|refused| encoder.refused(refused));
    read(&encoder.finish(), requests)
}

fn read(answers: &Answers, requests: &[Record]) -> Vec<Record> {
    let mut entries: Vec<_> = answers.entries.iter().collect();
    entries.sort_by_key(|answer| answer.message);
    assert_eq!(entries.len(), requests.len());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let record = |answer: &&crate::broker::Answer| {
        let mut headers = Vec::new();
        if let Some(which) = answer.headers {
            let set = &answers.headers[which.set];
            let copies = |name: &str| match which.copied {
                crate::broker::Copied::Answer => set.copied.copies(name.as_bytes()),
                _ => false,
            };
            headers.extend(requests[answer.message].headers.iter().filter(|(name, _)| copies(name)).cloned());
            headers.extend(set.own.iter().map(|(name, value)| ((*name).to_owned(), text(value))));
        }
        let bytes = |range: &Option<std::ops::Range<usize>>| answers.bytes(range.as_ref().unwrap()).to_vec();
        Record { key: text(&bytes(&answer.key)), headers, body: bytes(&answer.value) }
    };
    entries.iter().map(record).collect()
}

const BINARY: [(&str, &str); 4] =
    [("ce_specversion", "1.0"), ("ce_id", "e-1"), ("ce_source", "/s"), ("CE_Type", "com.example.ask")];
const ROW: &str = r#"{"instances": [[1.0, 2.0]]}"#;

fn structured(change: &Value) -> Vec<u8> {
    let mut event = json!({"specversion": "1.0", "id": "e-1", "source": "/s", "type": "com.example.ask",
                           "data": {"instances": [[1.0, 2.0]]}});
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(event.as_object_mut().unwrap().remove(name)),
            value => event[name] = value.clone(),
        }
    }
    event.to_string().into_bytes()
}

fn names(record: &Record) -> Vec<&str> {
    record.headers.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn an_event_in_binary_mode_is_answered_by_one_with_its_extensions_in_headers() {
    let headers = [
        &BINARY[..],
        &[("ce_tenant", "blue"), ("ce_time", "2026-01-01T00:00:00Z"), ("ce_dataschema", "x"), ("trace", "t")],
    ];
    let request = Record::new(&headers.concat(), ROW);
    let broken = Record::new(&headers.concat(), "{");
    let answers = answer(&[request.clone(), broken], HeaderPolicy::Auto);
    for (answer, kind, status) in
        [(&answers[0], "com.example.ask.response", "OK"), (&answers[1], "com.example.ask.error", "INVALID_REQUEST")]
    {
        assert_eq!((&*answer.key, answer.header("ce_id"), answer.header("ce_type")), ("e-1", "e-1", kind));
        assert_eq!((answer.header("ce_source"), answer.header("ce_specversion")), ("/modelmill/iris", "1.0"));
        assert_eq!((answer.header("ce_tenant"), answer.header("trace")), ("blue", "t"));
        assert_eq!((answer.header("content-type"), answer.header("status")), ("application/json", status));
        assert_ne!(answer.header("ce_time"), "2026-01-01T00:00:00Z");
        assert_eq!((answer.header("ce_dataschema"), answer.json()["id"].as_str()), ("", Some("e-1")));
        let mut unique = names(answer);
        unique.sort_unstable();
        assert!(unique.windows(2).all(|pair| pair[0] != pair[1]), "{unique:?}");
    }
    let never = &answer(&[request], HeaderPolicy::Never)[0];
    let own = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"];
    assert_eq!(names(never), [&["ce_tenant"][..], &own].concat(), "without its attributes it would be no event");
}

#[test]
fn an_event_in_structured_mode_is_answered_by_one_whatever_its_content_type() {
    let body = structured(&json!({"tenant": "blue", "subject": "flower/17", "n": 7, "time": "2026-01-01T00:00:00Z"}));
    for headers in [
        &[("Content-Type", "application/cloudevents+json; charset=UTF-8")][..],
        &[("content-type", "application/json")],
        &[],
    ] {
        let answer = &answer(&[Record::new(headers, body.clone())], HeaderPolicy::Auto)[0];
        assert_eq!((&*answer.key, answer.header("content-type")), ("e-1", "application/cloudevents+json"));
        let event = answer.json();
        for (name, value) in [
            ("specversion", json!("1.0")),
            ("id", json!("e-1")),
            ("source", json!("/modelmill/iris")),
            ("type", json!("com.example.ask.response")),
            ("datacontenttype", json!("application/json")),
            ("tenant", json!("blue")),
            ("subject", json!("flower/17")),
            ("n", json!(7)),
        ] {
            assert_eq!(event[name], value, "{event}");
        }
        assert_ne!(event["time"], "2026-01-01T00:00:00Z");
        assert_eq!(event["data"]["predictions"], json!([{"label": 2, "probabilities": [0.25, 0.5, 0.25]}]));
    }
}

#[test]
fn the_id_is_that_of_the_body_then_that_of_the_event() {
    let own = r#"{"id": "own", "instances": [[1.0]]}"#;
    let header = [("x-request-id", "header")];
    let requests = [
        Record::new(&BINARY, own),
        Record::new(&[&header[..], &BINARY].concat(), ROW),
        Record::new(&header, structured(&json!({}))),
        Record::new(&[], structured(&json!({"data": {"id": "own", "instances": [[1]]}}))),
        Record::new(&[], structured(&json!({"data": {"id": "own", "instances": 7}}))),
        Record::new(&[], structured(&json!({"data": {"instances": 7}}))),
        Record::new(&BINARY, r#"{"id": "own", "#),
    ];
    let keys: Vec<_> = answer(&requests, HeaderPolicy::Auto).into_iter().map(|answer| answer.key).collect();
    assert_eq!(keys, ["own", "e-1", "e-1", "own", "own", "e-1", "own"]);
}

#[test]
fn data_may_be_text_or_base64() {
    let text = Record::new(&[], structured(&json!({"data": ROW})));
    let base64 =
        Record::new(&[], structured(&json!({"data": null, "data_base64": "eyJpbnN0YW5jZXMiOiBbWzEuMF1dfQ=="})));
    for answer in answer(&[text, base64], HeaderPolicy::Auto) {
        assert_eq!(answer.json()["type"], "com.example.ask.response", "{answer:?}");
    }
}

#[test]
fn an_event_that_is_wrong_is_answered_with_an_event_that_says_why() {
    let of_binary = |left: &str| {
        let headers: Vec<_> = BINARY.into_iter().filter(|(name, _)| *name != left).collect();
        Record::new(&headers, ROW)
    };
    for (record, expected) in [
        (of_binary("ce_source"), "the event has no `ce_source`"),
        (of_binary("CE_Type"), "the event has no `ce_type`"),
        (Record::new(&[], structured(&json!({"id": null}))), "the event has no `id`"),
        (Record::new(&[], structured(&json!({"specversion": "0.3"}))), "`specversion` 1.0 is expected, but `0.3` came"),
        (Record::new(&[], structured(&json!({"data": null}))), "neither `data` nor `data_base64`"),
        (Record::new(&[], structured(&json!({"data": null, "data_base64": "a!=="}))), "no base64 from its character 1"),
        (
            Record::new(&[], structured(&json!({"datacontenttype": "application/cloudevents+json"}))),
            "data of `application/cloudevents+json` stand in `data_base64`",
        ),
        (
            Record::new(&[], structured(&json!({"datacontenttype": "application/cloudevents+json", "data": "{}"}))),
            "the data of the event are an event",
        ),
        (
            Record::new(&[], structured(&json!({"datacontenttype": "text/x-odd", "data": "x"}))),
            "`text/x-odd` is not supported",
        ),
        (Record::new(&[("content-type", "application/cloudevents+json")], "{"), "the body is broken at byte 1"),
        (Record::new(&[("content-type", "application/cloudevents+json")], ""), "the record's value is empty"),
    ] {
        let answer = &answer(std::slice::from_ref(&record), HeaderPolicy::Auto)[0];
        let data = match answer.header("content-type") {
            "application/cloudevents+json" => {
                assert!(answer.json()["type"].as_str().unwrap().ends_with(".error"), "{answer:?}");
                answer.json()["data"].clone()
            }
            _ => {
                assert!(answer.header("ce_type").ends_with(".error"), "{answer:?}");
                answer.json()
            }
        };
        assert!(data["error"]["message"].as_str().unwrap().contains(expected), "{data} instead of {expected}");
        assert_eq!(data["error"]["code"], ErrorCode::InvalidRequest.as_str());
        if !record.body.is_empty() {
            cloudevents(&record.body);
        }
    }
}

#[test]
fn json_of_another_kind_is_no_event() {
    let requests = [
        Record::new(&[], r#"{"specversion": "1.0", "type": "t", "instances": [[1.0]]}"#),
        Record::new(&[("ce_id", "e-1")], ROW),
    ];
    for answer in answer(&requests, HeaderPolicy::Auto) {
        assert!(answer.json()["predictions"].is_array(), "{answer:?}");
        assert_eq!(answer.header("ce_type"), "");
    }
}

/// Requests that the real SDK made, and the answers that it reads (`scripts/make_event_goldens.py`).
#[test]
fn what_both_sdks_send_is_answered_by_events_that_they_read() {
    for major in [1, 2] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cloudevents");
        let text = fs::read_to_string(folder.join(format!("requests-{major}.jsonl"))).unwrap();
        let goldens: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let requests: Vec<_> = goldens.iter().map(request).collect();
        let answers = answer(&requests, HeaderPolicy::Auto);
        let lines: Vec<_> = goldens.iter().zip(&answers).map(|(golden, answer)| line(golden, answer)).collect();
        let file = folder.join(format!("answers-{major}.jsonl"));
        if std::env::var_os("MODELMILL_UPDATE_GOLDENS").is_some() {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            fs::write(&file, text).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap();
        let kept: Vec<Value> = kept.lines().map(|line| timeless(serde_json::from_str(line).unwrap())).collect();
        assert_eq!(kept.len(), 10);
        for (kept, line) in kept.into_iter().zip(lines) {
            assert_eq!(kept, timeless(line), "MODELMILL_UPDATE_GOLDENS=1 writes them anew, then run the script");
        }
    }
}

fn request(golden: &Value) -> Record {
    let text = |name: &str| golden[name].as_str().unwrap();
    let headers: Vec<_> = golden["headers"].as_object().unwrap().iter().collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let record = Record::new(&headers, from_hex(text("body")));
    if text("mode") == "structured" {
        cloudevents(&record.body);
    }
    record
}

/// An answer as a line of a golden file. `content`: what the data must be, in base64, where they are bytes.
fn line(golden: &Value, answer: &Record) -> Value {
    let headers: Map<_, _> = answer.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let is_binary = golden["mode"] == "binary";
    let content = if is_binary {
        let mut content = Vec::new();
        super::base64::encode(&mut content, &answer.body);
        String::from_utf8(content).unwrap().into()
    } else {
        answer.json()["data_base64"].clone()
    };
    let failed = golden["data"] == "broken";
    let kind = if is_binary {
        answer.header("ce_type").to_owned()
    } else {
        answer.json()["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(kind.ends_with(".error"), failed, "{golden}: {answer:?}");
    let hex: String = answer.body.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"mode": golden["mode"], "data": golden["data"], "key": answer.key, "headers": headers, "body": hex,
           "content": content})
}

/// A line without the time, which is another each time.
fn timeless(mut line: Value) -> Value {
    if line["mode"] == "binary" {
        line["headers"].as_object_mut().unwrap().remove("ce_time").expect("an answer has a time");
        return line;
    }
    let body = from_hex(line["body"].as_str().unwrap());
    let mut event: Value = serde_json::from_slice(&body).unwrap();
    event.as_object_mut().unwrap().remove("time").expect("an answer has a time");
    line["body"] = event;
    line
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
