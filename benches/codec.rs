//! What it costs to make groups of a chunk and answers of its groups: headers, ids, routes and books around the JSON itself.
//!
//! `cargo bench --bench codec`. A chunk has 1,000 messages of 4 numbers each, so that a time in µs is also that time in ns per
//! request. `benches/json.rs` has the bodies alone.

use std::{sync::Arc, time::Duration};

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::{
    broker::{
        Answers, Chunk, Placement,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{
        self, Decoded, Format, Intake, Intakes, Routing, Rules,
        encode::{Encoder, HeaderPolicy, Model, Outlet},
        registry::{Login, Place, Registry},
    },
    error::{ErrorCode, RequestError},
    request::Route,
    tensor::{Column, Elements, Tensor},
};

const CHUNK: usize = 1000;

fn main() {
    divan::main();
}

/// Chunks that differ in what surrounds the numbers.
const CHUNKS: [&str; 7] =
    ["tensors", "row_form", "two_signatures", "ten_signatures", "four_headers", "id_from_key", "one_in_ten_bad"];

fn record(kind: &str, index: usize) -> MemoryRecord {
    let id = format!(r#""id":"request-{index:07}","#);
    let tensors = |id: &str, name: &str| {
        format!(
            r#"{{{id}"inputs":[{{"name":"{name}","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.{}]}}]}}"#,
            index % 10
        )
    };
    let body = match kind {
        "row_form" => format!(r#"{{{id}"instances":[{{"a":5.1,"b":3.5,"c":1.4,"d":0.{}}}]}}"#, index % 10),
        "two_signatures" => tensors(&id, ["input", "features"][index % 2]),
        "ten_signatures" => tensors(&id, &format!("input_{}", index % 10)),
        "id_from_key" => tensors("", "input"),
        "one_in_ten_bad" if index.is_multiple_of(10) => tensors(&id, "input").replace("[1,4]", "[1,5]"),
        _ => tensors(&id, "input"),
    };
    let headers = match kind {
        "four_headers" => vec![
            ("traceparent".to_owned(), Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec())),
            ("tenant".to_owned(), Some(b"north".to_vec())),
            ("timeout-ms".to_owned(), Some(b"30000".to_vec())),
            ("content-type".to_owned(), Some(b"application/json".to_vec())),
        ],
        _ => Vec::new(),
    };
    let key = Some(format!("request-{index:07}").into_bytes());
    MemoryRecord { offset: index as i64, key, payload: Some(body.into_bytes()), headers, ..MemoryRecord::default() }
}

fn chunk(kind: &str) -> Chunk {
    Chunk::new(Box::new(MemoryRecords((0..CHUNK).map(|index| record(kind, index)).collect())))
}

fn intakes() -> Intakes {
    let intake = Intake::new(0, Format::Json, Routing::Fixed(Arc::new(Route { pipeline: 0, models: vec![] })));
    Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] }
}

/// A chunk to groups of columns.
#[divan::bench(args = CHUNKS)]
fn decode(bencher: Bencher<'_, '_>, kind: &str) {
    let (chunk, intakes) = (chunk(kind), intakes());
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| codec::decode(black_box(&chunk), &intakes));
}

/// The same of lists of so many floats, in Avro behind a schema that is known.
#[divan::bench(args = [4, 784])]
fn decode_avro(bencher: Bencher<'_, '_>, width: usize) {
    let schema = r#"{"type": "record", "name": "R", "fields": [
        {"name": "input", "type": {"type": "array", "items": "float"}}]}"#;
    let registry = nowhere();
    registry.keep(7, schema, &[]).unwrap();
    decode_framed(bencher, &registry, |index| {
        // The number of items in zigzag, the items, and the end of the list.
        let mut body = varint(2 * width);
        (0..width).for_each(|at| body.extend(((index + at) as f32 / 8.0).to_le_bytes()));
        body.push(0);
        body
    });
}

/// The same in protobuf behind a schema that is known.
#[divan::bench(args = [4, 784])]
fn decode_protobuf_schema(bencher: Bencher<'_, '_>, width: usize) {
    let registry = nowhere();
    registry.keep_protobuf(7, "syntax = \"proto3\"; message R { repeated float input = 1; }", &[]).unwrap();
    decode_framed(bencher, &registry, |index| {
        // The first message type, and one field that is packed.
        let mut body = [&[0, 10][..], &varint(4 * width)].concat();
        (0..width).for_each(|at| body.extend(((index + at) as f32 / 8.0).to_le_bytes()));
        body
    });
}

/// A registry that is not there.
fn nowhere() -> Arc<Registry> {
    let place = Place {
        url: "http://localhost".to_owned(),
        login: Login::Nobody,
        ca_file: None,
        timeout: Duration::from_secs(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Registry::new(place, [], runtime.handle().clone()).unwrap()
}

fn varint(number: usize) -> Vec<u8> {
    if number < 128 { vec![number as u8] } else { vec![number as u8 | 128, (number >> 7) as u8] }
}

/// Decodes a chunk of bodies of schema 7.
fn decode_framed(bencher: Bencher<'_, '_>, registry: &Registry, body: impl Fn(usize) -> Vec<u8>) {
    let record = |index: usize| {
        let headers = vec![("content-type".to_owned(), Some(b"application/avro".to_vec()))];
        let key = Some(format!("request-{index:07}").into_bytes());
        let payload = Some([&[0, 0, 0, 0, 7][..], &body(index)].concat());
        MemoryRecord { offset: index as i64, key, payload, headers, ..MemoryRecord::default() }
    };
    let chunk = Chunk::new(Box::new(MemoryRecords((0..CHUNK).map(record).collect())));
    let intakes = intakes();
    let rules = Rules { intakes: &intakes, registry: Some(registry) };
    assert_eq!(codec::decode(&chunk, rules).groups[0].requests.len(), CHUNK);
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| codec::decode(black_box(&chunk), rules));
}

/// Groups as they are after a classifier of three classes ran on them.
fn predicted(kind: &str, chunk: &Chunk) -> Decoded {
    let mut decoded = codec::decode(chunk, &intakes());
    for group in &mut decoded.groups {
        let rows = group.rows();
        let label = Tensor::vector(Elements::Int64((0..rows as i64).map(|row| row % 3).collect()));
        let score = |index: usize| (index * 7919 % 1_000_000) as f32 / 1_000_000.0;
        let scores = Tensor::matrix(3, Elements::Fp32((0..rows * 3).map(score).collect()));
        for (name, tensor) in [("label", label), ("probabilities", scores)] {
            group.columns.put(Column { answer: true, ..Column::new(name, tensor) });
        }
        if kind == "one_in_ten_failed" {
            for request in group.requests.iter_mut().step_by(10) {
                request.failure =
                    Some(RequestError::new(ErrorCode::InferenceFailed, "the model failed: a negative age"));
            }
        }
    }
    decoded
}

/// Groups to the records that are published.
#[divan::bench(args = ["tensors", "row_form", "ten_signatures", "four_headers", "one_in_ten_failed", "one_in_ten_bad"])]
fn encode(bencher: Bencher<'_, '_>, kind: &str) {
    let chunk = chunk(kind);
    let decoded = predicted(kind, &chunk);
    let topics = [("requests".into(), 0)];
    let headers = HeaderPolicy::default();
    let outlet = Outlet {
        pipeline: "iris".to_owned(),
        results: 0,
        dead_letters: Some(1),
        headers,
        placement: Placement::Key,
        copied: Arc::default(),
    };
    let model = Model { name: "iris", version: "3", digest: "0123456789abcdef" };
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        let mut encoder =
            Encoder::new(Answers::with_room(CHUNK), &chunk, &topics, &decoded.ids, &outlet).naming(Some(model));
        decoded.groups.iter().for_each(|group| encoder.group(group));
        decoded.refused.iter().for_each(|refused| encoder.refused(refused));
        encoder.finish()
    });
}
