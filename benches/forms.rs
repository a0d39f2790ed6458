//! What the same request costs in each form that it may come in: 784 floats, headers, id and all, to a group of columns
//! (a table has them in 98 rows of 8 columns).
//!
//! `cargo bench --bench forms`. A chunk has 1,000 messages, so that a time in µs is also that time in ns per request. `floor`
//! is a flat loop over the bodies of `binary`: the length out of the record's header, the id out of the JSON at the place
//! where it is known to stand, the floats into one column, and nothing checked but lengths. Its memory is asked for at once.

use std::sync::Arc;

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::{
    broker::{
        Chunk,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{
        self, Format, Intake, Intakes, Routing, Rules,
        registry::{Login, Place, Registry},
    },
    request::Route,
    tensor::Elements,
};
use prost::Message as _;

use messages::{InferTensorContents, ModelInferRequest, Tensor};

#[allow(dead_code, reason = "the codec's own tests use more of it")]
#[path = "../src/codec/protobuf/tests/messages.rs"]
mod messages;

const CHUNK: usize = 1000;
const WIDTH: usize = 784;
const HEADER_LENGTH: &str = "inference-header-content-length";
const OCTETS: &str = "application/octet-stream";

fn main() {
    divan::main();
}

const FORMS: [&str; 10] = [
    "json",
    "json_rows",
    "csv",
    "avro",
    "binary",
    "protobuf",
    "protobuf_typed",
    "event_of_json",
    "event_of_binary",
    "raw",
];

/// The schema of `avro`, which a registry has under id 7.
const SCHEMA: &str = r#"{"type": "record", "name": "Picture", "fields": [
    {"name": "input", "type": {"type": "array", "items": "float"}}]}"#;

/// Grey values of 0 to 1, as Python writes them: seven or eight digits (Knuth's multiplier).
fn pixels(message: usize) -> Vec<f32> {
    let noise = |index: usize| {
        (index as u64 + 1).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
    };
    (0..WIDTH).map(|index| (noise(message * WIDTH + index) % 16_777_216) as f32 / 16_777_216.0).collect()
}

fn bytes(pixels: &[f32]) -> Vec<u8> {
    pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect()
}

fn record(form: &str, message: usize) -> MemoryRecord {
    let (id, pixels) = (format!("request-{message:07}"), pixels(message));
    // In the order in which clients write it.
    let tensor = |more: &str| {
        format!(r#"{{"id":"{id}","inputs":[{{"name":"input","shape":[1,{WIDTH}],"datatype":"FP32",{more}}}]}}"#)
    };
    let numbers = || serde_json::to_string(&pixels).expect("numbers");
    let event = |id: &str| {
        [("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/camera"), ("ce_type", "picture.seen")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let binary = || {
        let json = tensor(&format!(r#""parameters":{{"binary_data_size":{}}}"#, WIDTH * 4));
        let headers = vec![header("content-type", OCTETS), header(HEADER_LENGTH, &json.len().to_string())];
        ([json.as_bytes(), &bytes(&pixels)].concat(), headers)
    };
    let protobuf = |contents: Option<InferTensorContents>, raw: Vec<Vec<u8>>| {
        let input = Tensor {
            name: "input".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, WIDTH as i64],
            contents,
            ..Tensor::default()
        };
        let request = ModelInferRequest {
            id: id.clone(),
            inputs: vec![input],
            raw_input_contents: raw,
            ..ModelInferRequest::default()
        };
        (request.encode_to_vec(), vec![header("content-type", "application/x-protobuf")])
    };
    let table = || {
        let line = |texts: Vec<String>| texts.join(",");
        let rows = pixels.chunks(8).map(|row| line(row.iter().map(ToString::to_string).collect()));
        let names = (0..8).map(|column| format!("pixel{column}")).collect();
        std::iter::once(line(names)).chain(rows).collect::<Vec<_>>().join("\n").into_bytes()
    };
    // 784 is two bytes, zigzag and in groups of seven bits; a block of none ends the array.
    let avro = || [&[0, 0, 0, 0, 7, 0xa0, 0x0c][..], &bytes(&pixels), &[0]].concat();
    let json = || tensor(&format!(r#""data":{}"#, numbers())).into_bytes();
    let (body, headers) = match form {
        "json" => (json(), Vec::new()),
        "json_rows" => (format!(r#"{{"id":"{id}","instances":[{}]}}"#, numbers()).into_bytes(), Vec::new()),
        "csv" => (table(), vec![header("content-type", "text/csv"), header("x-request-id", &id)]),
        "avro" => (avro(), vec![header("content-type", "application/avro"), header("x-request-id", &id)]),
        "binary" => binary(),
        "protobuf" => protobuf(None, vec![bytes(&pixels)]),
        "protobuf_typed" => {
            let contents = InferTensorContents { fp32_contents: pixels.clone(), ..InferTensorContents::default() };
            protobuf(Some(contents), Vec::new())
        }
        "event_of_json" => (json(), event(&id).to_vec()),
        "event_of_binary" => {
            let (body, headers) = binary();
            (body, headers.into_iter().chain(event(&id)).collect())
        }
        "raw" => (bytes(&pixels), vec![header("content-type", OCTETS), header("x-request-id", &id)]),
        _ => unreachable!("an unknown form"),
    };
    let headers = headers.into_iter().map(|(name, value)| (name, Some(value.into_bytes()))).collect();
    MemoryRecord { offset: message as i64, payload: Some(body), headers, ..MemoryRecord::default() }
}

fn chunk(form: &str) -> Chunk {
    Chunk::new(Box::new(MemoryRecords((0..CHUNK).map(|message| record(form, message)).collect())))
}

/// A chunk to groups of columns, as in service.
#[divan::bench(args = FORMS)]
fn decode(bencher: Bencher<'_, '_>, form: &str) {
    let intake = Intake::new(0, Format::Json, Routing::Fixed(Arc::new(Route { pipeline: 0, models: vec![] })));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] };
    let registry = registry();
    let rules = Rules { intakes: &intakes, registry: Some(&registry) };
    let chunk = chunk(form);
    let decoded = codec::decode(&chunk, rules);
    assert!(decoded.refused.is_empty(), "{form}: {:?}", decoded.refused);
    assert_eq!(decoded.groups.iter().map(|group| group.requests.len()).sum::<usize>(), CHUNK, "{form}");
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| codec::decode(black_box(&chunk), rules));
}

/// One that knows the schema, and is nowhere.
fn registry() -> Arc<Registry> {
    let (url, timeout) = ("http://127.0.0.1:1".to_owned(), std::time::Duration::from_secs(1));
    let place = Place { url, login: Login::Nobody, ca_file: None, timeout };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let registry = Registry::new(place, [], runtime.handle().clone()).expect("a client");
    registry.keep(7, SCHEMA, &[]).expect("a schema");
    registry
}

/// See the module.
#[divan::bench]
fn floor(bencher: Bencher<'_, '_>) {
    let chunk = chunk("binary");
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        let (mut ids, mut floats) = (String::with_capacity(CHUNK * 16), Vec::<f32>::with_capacity(CHUNK * WIDTH));
        for index in 0..black_box(&chunk).len() {
            let mut header = 0;
            chunk.headers(index, &mut |field| {
                if field.name == HEADER_LENGTH.as_bytes() {
                    let digits = field.value.expect("a length").iter();
                    header = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
                }
            });
            let (json, behind) = chunk.message(index).payload.expect("a body").split_at(header);
            ids.push_str(std::str::from_utf8(&json[7..22]).expect("an id"));
            assert_eq!(behind.len(), WIDTH * 4);
            floats.extend(behind.as_chunks().0.iter().map(|float| f32::from_le_bytes(*float)));
        }
        (ids, Elements::Fp32(floats))
    });
}
