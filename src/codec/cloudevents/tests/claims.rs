//! What must hold of any bytes as a CloudEvent in structured mode: for the fuzzer (`fuzz/`), which compiles this file, too, and
//! for its seeds.
//!
//! The oracle is `serde_json`: what an event comes to is what its data come to as a body of their own.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    broker::{
        Answers, Chunk, CopyRule, Placement,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{
        self, Decoded, Format, Intake, Intakes, Routing,
        encode::{Encoder, HeaderPolicy, Outlet},
    },
    request::Route,
    tensor::Tensor,
};

const STRUCTURED: &str = "application/cloudevents+json";

/// A record: its content-type and its body.
type Record<'a> = (Option<&'a str>, &'a [u8]);

/// The bytes as an event, by their content-type and without one.
pub fn cloudevents(data: &[u8]) {
    let right = br#"{"specversion":"1.0","id":"right","source":"/","type":"t","data":{"instances":[[1,2]]}}"#;
    let decoded = decode(&[(None, right), (Some(STRUCTURED), data), (Some(STRUCTURED), right), (None, data)]);
    let outcomes = outcomes(&decoded, 4);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "neighbours are not touched: {outcomes:?}");
    held_by_oracle(data, &outcomes[1]);
    every_refusal_is_an_event(data, &decoded);
}

/// Holds an outcome against that of the data alone.
fn held_by_oracle(body: &[u8], outcome: &Outcome) {
    // What serde_json does not take (bare words, keys that stand twice) may be taken or refused.
    let Ok(Value::Object(event)) = serde_json::from_slice(body) else { return };
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_event = text("specversion") == "1.0" && ["id", "source", "type"].iter().all(|name| !text(name).is_empty());
    let content_type = event.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/json");
    let data = match (event.get("data"), event.get("data_base64")) {
        (Some(Value::String(text)), _) => text.clone().into_bytes(),
        (Some(Value::Null) | None, Some(Value::String(text))) => match from_base64(text) {
            Some(bytes) => bytes,
            None => return assert!(outcome.is_err(), "no base64 was taken: {outcome:?}"),
        },
        // A number may be written in another way than it was: only that it is taken is held.
        (Some(_), _) => return assert!(is_event || outcome.is_err(), "no event was taken: {outcome:?}"),
        (None, _) => return assert!(outcome.is_err(), "an event without data was taken: {outcome:?}"),
    };
    if !is_event {
        return assert!(outcome.is_err(), "no event was taken: {outcome:?}");
    }
    let alone = &outcomes(&decode(&[(Some(content_type), &data)]), 1)[0];
    match (outcome, alone) {
        (Ok(found), Ok(alone)) => assert_eq!(found, alone),
        (Err(_), Err(_)) => {}
        // What is wrong with the event itself; and an event within an event, which would be taken alone.
        (Err(why), Ok(_)) => {
            let known = ["stands twice", "both came", "must be", "deep", "are an event", "neither came"];
            assert!(known.iter().any(|known| why.contains(known)), "{why}");
        }
        (Ok(found), Err(why)) => panic!("{found} was taken, but alone: {why}"),
    }
}

fn every_refusal_is_an_event(data: &[u8], decoded: &Decoded) {
    let topics = [("t".into(), 0)];
    let (placement, headers, copied) = (Placement::Key, HeaderPolicy::Auto, Arc::new(CopyRule::default()));
    let outlet = Outlet { pipeline: "p".to_owned(), results: 0, dead_letters: None, placement, headers, copied };
    for refused in decoded.refused.iter().filter(|refused| refused.message == 1) {
        let chunk = chunk(&[(None, b""), (Some(STRUCTURED), data)]);
        let mut encoder = Encoder::new(Answers::default(), &chunk, &topics, &decoded.ids, &outlet);
        encoder.refused(refused);
        let answers = encoder.finish();
        let answer: Value = serde_json::from_slice(answers.bytes(answers.entries[0].value.as_ref().unwrap()))
            .unwrap_or_else(|error| panic!("the answer is no JSON: {error}"));
        assert_eq!((&answer["id"], &answer["specversion"]), (&answer["data"]["id"], &Value::from("1.0")));
        assert!(answer["type"].as_str().is_some_and(|kind| kind.ends_with(".error")), "{answer}");
        assert_eq!(answer["data"]["error"]["code"], refused.error.code().as_str());
    }
}

fn chunk(records: &[Record<'_>]) -> Chunk {
    let record = |(content_type, body): &Record<'_>| MemoryRecord {
        payload: Some(body.to_vec()),
        headers: content_type.map(|kind| ("content-type".to_owned(), Some(kind.into()))).into_iter().collect(),
        ..MemoryRecord::default()
    };
    Chunk::new(Box::new(MemoryRecords(records.iter().map(record).collect())))
}

fn decode(records: &[Record<'_>]) -> Decoded {
    let routing = Routing::Fixed(Arc::new(Route { pipeline: 0, models: vec![] }));
    let intake = Intake::new(0, Format::Json, routing);
    codec::decode(&chunk(records), &Intakes { intakes: vec![intake], topics: vec![("t".into(), 0)] })
}

/// What a request comes to, as text, or why it is refused.
type Outcome = Result<String, String>;

fn outcomes(decoded: &Decoded, messages: usize) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = (0..messages).map(|_| None).collect();
    for group in &decoded.groups {
        for request in &group.requests {
            let own = |tensor: &Tensor| match group.is_single() {
                true => tensor.clone(),
                false => tensor.slice(request.rows.clone()),
            };
            let columns: Vec<_> =
                group.columns.iter().map(|column| format!("{} {:?}", column.name, own(&column.tensor))).collect();
            let found = format!("{:?} {columns:?}", request.form);
            assert!(outcomes[request.message].replace(Ok(found)).is_none(), "more than one outcome");
        }
    }
    for refused in &decoded.refused {
        let why = refused.error.message().to_owned();
        assert!(outcomes[refused.message].replace(Err(why)).is_none(), "more than one outcome");
    }
    outcomes.into_iter().map(|outcome| outcome.expect("every message has an outcome")).collect()
}

/// Bit by bit, as slow as it is simple.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    // Padding may be missing, also in part.
    let padding = text.len() - digits.len();
    if digits.len() % 4 == 1 || padding > digits.len().next_multiple_of(4) - digits.len() {
        return None;
    }
    let mut bits = Vec::new();
    for digit in digits.chars() {
        let value = DIGITS.find(digit)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    let (whole, rest) = bits.split_at(bits.len() / 8 * 8);
    if rest.contains(&1) {
        return None;
    }
    let byte = |eight: &[usize]| eight.iter().fold(0, |byte, bit| byte << 1 | *bit as u8);
    Some(whole.chunks_exact(8).map(byte).collect())
}
