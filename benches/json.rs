//! What JSON costs: bodies to columns and columns to answers, per message; beside `serde_json` for scale.
//!
//! `cargo bench --bench json`. A chunk has 1,000 messages, so that a time in µs is also that time in ns per message; the
//! throughput counts messages (items). The decoder works as in service: one chunk, one group, the first message on the
//! complete path and the others on the fast one. "complete" bodies state `data` before `shape`, which the fast path leaves
//! to the complete one.

use std::{fmt::Write as _, hint::black_box, sync::Arc};

use divan::{Bencher, counter::ItemsCount};
use modelmill::{
    broker::Message,
    codec::{
        Draft, Envelope, Format, Groups, Intake, Routing,
        json::{self, Writer},
    },
    request::{Form, Ids, Route},
    tensor::{Column, Elements, Tensor},
};
use serde::Deserialize;

const CHUNK: usize = 1000;

fn main() {
    divan::main();
}

/// The loads, as bodies.
const LOADS: [&str; 13] = [
    "iris",
    "iris_spaced",
    "iris_complete",
    "iris_32_rows",
    "784_floats",
    "784_doubles",
    "128_tokens",
    "text",
    "text_escaped",
    "row_form",
    "row_form_32_rows",
    "row_form_784_floats",
    "row_form_texts",
];

/// A fixed sequence of numbers that look random (Knuth's multiplier).
fn noise(index: usize) -> u64 {
    (index as u64 + 1).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
}

fn list(count: usize, number: impl Fn(usize) -> String) -> String {
    (0..count).map(number).collect::<Vec<_>>().join(",")
}

fn body(load: &str, message: usize) -> String {
    let tenth = |index: usize| format!("{:.1}", noise(message * 1000 + index) as f64 % 80.0 / 10.0);
    let tensor = |name: &str, shape: &str, datatype: &str, data: String| {
        format!(
            r#"{{"id":"request-{message:07}","inputs":[{{"name":"{name}","shape":{shape},"datatype":"{datatype}","data":[{data}]}}]}}"#
        )
    };
    match load {
        "iris" => tensor("input", "[1,4]", "FP32", list(4, tenth)),
        "iris_spaced" => tensor("input", "[1,4]", "FP32", list(4, tenth)).replace(',', ", ").replace("\":", "\": "),
        "iris_complete" => format!(
            r#"{{"id":"request-{message:07}","inputs":[{{"name":"input","data":[{}],"shape":[1,4],"datatype":"FP32"}}]}}"#,
            list(4, tenth)
        ),
        "iris_32_rows" => tensor("input", "[32,4]", "FP32", list(128, tenth)),
        "784_floats" => tensor(
            "input",
            "[1,784]",
            "FP32",
            list(784, |index| format!("{:?}", (noise(message * 1000 + index) % 256) as f32 / 255.0)),
        ),
        "784_doubles" => tensor(
            "input",
            "[1,784]",
            "FP64",
            list(784, |index| format!("{:?}", (noise(message * 1000 + index) % 1_000_003) as f64 / 1_000_003.0)),
        ),
        "128_tokens" => {
            tensor("ids", "[1,128]", "INT64", list(128, |index| (noise(message * 1000 + index) % 30_000).to_string()))
        }
        "text" => tensor("text", "[1,1]", "BYTES", format!("\"{}\"", sentence(message))),
        "text_escaped" => tensor(
            "text",
            "[1,1]",
            "BYTES",
            format!(
                r#""The parcel {message} came two days late and the box was open, but the service was friendly \u2014 I would \"perhaps\" buy again.\nThank you.""#
            ),
        ),
        "row_form" => format!(r#"{{"id":"request-{message:07}","instances":[{}]}}"#, instance(message)),
        "row_form_32_rows" => {
            format!(r#"{{"id":"request-{message:07}","instances":[{}]}}"#, list(32, |row| instance(message * 32 + row)))
        }
        "row_form_784_floats" => format!(
            r#"{{"id":"request-{message:07}","instances":[[{}]]}}"#,
            list(784, |index| format!("{:?}", (noise(message * 1000 + index) % 256) as f32 / 255.0))
        ),
        "row_form_texts" => format!(r#"{{"id":"request-{message:07}","instances":["{}"]}}"#, sentence(message)),
        _ => unreachable!("an unknown load"),
    }
}

fn sentence(message: usize) -> String {
    format!(
        "The parcel {message} came two days late and the box was open, but the service was friendly, I would buy again."
    )
}

fn instance(seed: usize) -> String {
    format!(
        r#"{{"age":{},"fare":{:.2},"class":"{}","embarked":"S"}}"#,
        noise(seed) % 90,
        noise(seed + 7) as f64 % 500.0,
        ["first", "second", "third"][seed % 3]
    )
}

fn bodies(load: &str) -> Vec<String> {
    (0..CHUNK).map(|message| body(load, message)).collect()
}

fn intake() -> Intake {
    Intake::new(0, Format::Json, Routing::Fixed(Arc::new(Route { pipeline: 0, models: vec![] })))
}

/// One chunk, as `codec::decode` walks it.
#[divan::bench(args = LOADS)]
fn decode(bencher: Bencher<'_, '_>, load: &str) {
    let (intake, bodies) = (intake(), bodies(load));
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        let (mut ids, mut groups) = (Ids::default(), Groups::default());
        for (index, body) in bodies.iter().enumerate() {
            let message = Message { topic: 0, partition: 0, offset: 0, timestamp: 0, key: None, payload: None };
            let (envelope, topic) = (Envelope::default(), "t");
            let (ids, groups) = (&mut ids, &mut groups);
            let (event, registry, awaits, late) = (None, None, None, None);
            let intake = &intake;
            let mut draft =
                Draft { intake, envelope, message, index, topic, ids, groups, event, registry, awaits, late };
            json::decode(body.as_bytes(), &mut draft).expect("a good body");
        }
        black_box((ids, groups.finish()))
    });
}

#[divan::bench(args = LOADS)]
fn serde_json_value(bencher: Bencher<'_, '_>, load: &str) {
    let bodies = bodies(load);
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        for body in &bodies {
            black_box(serde_json::from_str::<serde_json::Value>(body).expect("a good body"));
        }
    });
}

/// Into a vector per input: less than decoding does.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read by nobody but the optimiser")]
struct Typed<'a, T> {
    id: &'a str,
    #[serde(borrow)]
    inputs: Vec<TypedInput<'a, T>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by nobody but the optimiser")]
struct TypedInput<'a, T> {
    name: &'a str,
    shape: Vec<usize>,
    datatype: &'a str,
    data: Vec<T>,
}

#[divan::bench(args = ["iris", "iris_32_rows", "784_floats"])]
fn serde_json_typed(bencher: Bencher<'_, '_>, load: &str) {
    let bodies = bodies(load);
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        for body in &bodies {
            black_box(serde_json::from_str::<Typed<'_, f32>>(body).expect("a good body"));
        }
    });
}

/// One answer a message: a label and three probabilities.
fn answers(rows: usize) -> [Column; 2] {
    let count = CHUNK * rows;
    let label = Tensor::vector(Elements::Int64((0..count).map(|row| noise(row) as i64 % 3).collect()));
    let score = |index| (noise(index) % 1_000_000) as f32 / 1_000_000.0;
    let scores = Tensor::matrix(3, Elements::Fp32((0..count * 3).map(score).collect()));
    [Column::new("label", label), Column::new("probabilities", scores)]
}

fn ids() -> Vec<String> {
    (0..CHUNK).map(|message| format!("request-{message:07}")).collect()
}

#[divan::bench(args = [(1, Form::Tensors), (1, Form::Rows), (32, Form::Tensors), (32, Form::Rows)])]
fn write(bencher: Bencher<'_, '_>, (rows, form): (usize, Form)) {
    let (columns, ids) = (answers(rows), ids());
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        out.clear();
        let writer = Writer::new("iris", "3", &columns, form);
        for (index, id) in ids.iter().enumerate() {
            writer.write(&mut out, id, None, Some(index * rows..(index + 1) * rows));
        }
        black_box(out.len())
    });
}

/// One answer a message: 784 floats, as an auto-encoder gives; or the text of a label, with and without escapes.
#[divan::bench(args = ["784_floats", "label", "label_escaped"])]
fn write_wide(bencher: Bencher<'_, '_>, answer: &str) {
    let score = |index| (noise(index) % 1_000_000) as f32 / 1_000_000.0;
    let tensor = match answer {
        "784_floats" => Tensor::matrix(784, Elements::Fp32((0..CHUNK * 784).map(score).collect())),
        "label" => Tensor::vector(Elements::Bytes((0..CHUNK).map(sentence).collect())),
        _ => Tensor::vector(Elements::Bytes((0..CHUNK).map(|row| format!("{}\n\"{row}\"", sentence(row))).collect())),
    };
    let (columns, ids) = ([Column::new("output", tensor)], ids());
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        out.clear();
        let writer = Writer::new("iris", "3", &columns, Form::Tensors);
        for (index, id) in ids.iter().enumerate() {
            writer.write(&mut out, id, None, Some(index..index + 1));
        }
        black_box(out.len())
    });
}

#[divan::bench]
fn write_by_hand(bencher: Bencher<'_, '_>) {
    let ([label, scores], ids) = (answers(1), ids());
    let (Elements::Int64(labels), Elements::Fp32(scores)) = (label.tensor.elements(), scores.tensor.elements()) else {
        unreachable!()
    };
    let mut out = String::new();
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| {
        out.clear();
        for (index, id) in ids.iter().enumerate() {
            let scores = &scores[index * 3..][..3];
            write!(
                out,
                r#"{{"model_name":"iris","model_version":"3","id":"{id}","outputs":[{{"name":"label","shape":[1],"datatype":"INT64","data":[{}]}},{{"name":"probabilities","shape":[1,3],"datatype":"FP32","data":[{},{},{}]}}]}}"#,
                labels[index], scores[0], scores[1], scores[2]
            )
            .expect("a string takes everything");
        }
        black_box(out.len())
    });
}
