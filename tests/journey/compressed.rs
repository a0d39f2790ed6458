//! Compressed bodies of every format, answered as what they were; and bombs, which cost nobody anything but their sender.

use std::{collections::BTreeMap, fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use prost::Message;
use serde_json::{Value, json};

use crate::{
    messages::ModelInferResponse,
    protobuf::Golden,
    support::{Ask, Lane, Rig, Worker, json},
};

const MIB: usize = 1 << 20;

/// An id, headers and a body.
type Form = (&'static str, Vec<(&'static str, &'static str)>, Vec<u8>);

pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(body.len()));
    zstd_safe::compress(&mut out, body, 3).unwrap();
    out
}

/// A request as it is and compressed, by the encoding's name.
fn thrice(id: &str, headers: &[(&str, &str)], body: &[u8]) -> [Ask; 3] {
    [("plain", body.to_vec()), ("gzip", gzip(body)), ("zstd", zstd(body))].map(|(encoding, body)| {
        let mut ask = Ask::bytes(body).header("x-request-id", format!("{id}-{encoding}"));
        if encoding != "plain" {
            ask = ask.header("Content-Encoding", encoding);
        }
        headers.iter().fold(ask, |ask, (name, value)| ask.header(name, *value))
    })
}

#[test]
fn every_format_may_come_compressed_and_is_answered_as_what_it_was() {
    let Some(rig) = Rig::new("compressed") else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.model("topics", 1, "tests/data/trained/tfidf_topics/1");
    let golden = Golden::all().into_iter().next().expect("there are some");
    rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let numbers: Vec<u8> = [5.1_f32, 3.4, 1.5, 0.2].iter().flat_map(|number| number.to_le_bytes()).collect();
    let head = json!({"model_name": "iris", "parameters": {"binary_data_output": true}, "inputs": [
        {"name": "input", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]})
    .to_string();
    let rows = json!({"model_name": "iris", "instances": [[5.1, 3.4, 1.5, 0.2]]});
    let event = json!({"specversion": "1.0", "id": "any", "type": "t", "source": "s", "data": rows});
    let forms: [Form; 7] = [
        ("rows", vec![], rows.to_string().into_bytes()),
        (
            "binary",
            vec![("content-type", "application/octet-stream"), ("inference-header-content-length", "HEAD")],
            [head.as_bytes(), &numbers].concat(),
        ),
        ("table", vec![("content-type", "text/csv"), ("model-name", "iris")], b"0,1,2,3\n5.1,3.4,1.5,0.2\n".to_vec()),
        ("text", vec![("content-type", "text/plain"), ("model-name", "topics")], b"rain rain storm".to_vec()),
        (
            "event",
            vec![("ce_specversion", "1.0"), ("ce_id", "any"), ("ce_type", "t"), ("ce_source", "s")],
            rows.to_string().into_bytes(),
        ),
        ("structured", vec![("content-type", "application/cloudevents+json")], event.to_string().into_bytes()),
        ("protobuf", vec![("content-type", "application/x-protobuf")], golden.body.clone()),
    ];
    let length = head.len().to_string();
    let mut asks = Vec::new();
    for (id, headers, body) in &forms {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, if *value == "HEAD" { &*length } else { *value })).collect();
        asks.extend(thrice(id, &headers, body));
    }
    let mut worker = rig.worker();
    for three in asks.chunks(3) {
        let bodies: Vec<_> = three.iter().map(|ask| answer(&lane, ask)).collect();
        let text = String::from_utf8_lossy(&bodies[0]);
        assert!(bodies[0] == bodies[1], "gzip: {:?} instead of {text:?}", String::from_utf8_lossy(&bodies[1]));
        assert!(bodies[0] == bodies[2], "zstd: {:?} instead of {text:?}", String::from_utf8_lossy(&bodies[2]));
    }
    worker.stop();
    lane.assert_nothing_more();
}

/// The body of the answer to a request that is alone, so that no batch changes its last digits; without its id, which is all
/// that differs.
fn answer(lane: &Lane, ask: &Ask) -> Vec<u8> {
    lane.send(std::slice::from_ref(ask));
    let answer = lane.receive(1).remove(0);
    assert!(answer.header("content-encoding").is_none(), "{}", answer.text());
    assert_eq!(answer.header("status"), Some(&b"OK"[..]), "{}", answer.text());
    let body = answer.value.clone().unwrap();
    if answer.header("content-type") == Some(b"application/x-protobuf") {
        let mut response = ModelInferResponse::decode(body.as_slice()).unwrap();
        response.id.clear();
        // A map is written in any order.
        let parameters: BTreeMap<_, _> = std::mem::take(&mut response.parameters).into_iter().collect();
        return format!("{parameters:?} {response:?}").into_bytes();
    }
    if answer.header("content-type") == Some(b"application/cloudevents+json") {
        let mut event = json(&answer);
        event["time"].take();
        return event.to_string().into_bytes();
    }
    replaced(&body, answer.key.as_deref().unwrap())
}

/// A body without its first `id`.
fn replaced(body: &[u8], id: &[u8]) -> Vec<u8> {
    let at = body.windows(id.len()).position(|window| window == id).expect("an answer names its id");
    [&body[..at], &body[at + id.len()..]].concat()
}

/// A request for the classes of so many flowers, about as many bytes as `size`.
fn flowers(id: &str, size: usize) -> Vec<u8> {
    let rows = size / "5,3,1,0,".len();
    let data = vec!["5,3,1,0"; rows].join(",");
    let input = format!(r#"{{"name": "input", "datatype": "FP32", "shape": [{rows}, 4], "data": [{data}]}}"#);
    format!(r#"{{"id": "{id}", "outputs": [{{"name": "label"}}], "inputs": [{input}]}}"#).into_bytes()
}

/// The most memory that a process has had, in bytes.
fn most_resident(worker: &Worker) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says it");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn assert_all_answered(lane: &Lane, asks: &[Ask]) {
    let answers = lane.exchange(asks);
    for (id, answer) in &answers {
        let outputs = json(answer)["outputs"].clone();
        assert!(outputs[0]["shape"][0].as_u64().is_some_and(|rows| rows > 1000), "{id}: {:.300}", answer.text());
    }
}

#[test]
fn many_small_messages_that_become_large_ones_are_answered_within_bounded_memory() {
    const SIZE: usize = 4 * MIB;
    const REQUESTS: usize = 60;
    let Some(rig) = Rig::new("large") else { return };
    rig.server(|server| server["limits"] = json!({"inflated_bytes": "5MiB"}));
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 2, |_| {});
    let asks: Vec<_> = (0..REQUESTS)
        .map(|index| Ask::bytes(gzip(&flowers(&format!("large-{index}"), SIZE))).header("content-encoding", "gzip"))
        .collect();
    // They are one chunk: all are there before the worker is.
    lane.send(&asks);
    let mut worker = rig.worker();
    let before = most_resident(&worker);
    lane.receive(REQUESTS);
    let most = most_resident(&worker);
    worker.stop();
    lane.assert_nothing_more();
    println!("{} MiB at first, {} MiB at most, for {} MiB", before / MIB, most / MIB, SIZE * REQUESTS / MIB);
    // With the bound it was 120 MiB, without one 1187.
    assert!(most < 300 * MIB, "{} MiB for {REQUESTS} requests of {} MiB", most / MIB, SIZE / MIB);
}

#[test]
fn exactly_once_answers_a_chunk_that_is_decoded_in_parts_together() {
    let Some(rig) = Rig::new("parts") else { return };
    rig.server(|server| {
        server["limits"] = json!({"inflated_bytes": "200KiB"});
        server["delivery"] = json!("exactly_once");
    });
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 1, |_| {});
    let mut worker = rig.worker();
    let asks: Vec<_> = (0..40)
        .map(|index| Ask::bytes(zstd(&flowers(&format!("part-{index}"), 100 << 10))).header("content-encoding", "zstd"))
        .collect();
    assert_all_answered(&lane, &asks);
    worker.stop();
    lane.assert_nothing_more();
}

#[test]
fn a_body_that_cannot_be_inflated_is_answered_with_what_is_wrong_and_kept_as_it_came() {
    let Some(rig) = Rig::new("bombs") else { return };
    rig.server(|server| server["limits"] = json!({"inflated_bytes": "1MiB"}));
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 1, |_| {});
    let bomb = |id: &str| flowers(id, 50 * MIB);
    let right = flowers("right", 64 << 10);
    let mut cut = gzip(&flowers("cut", 64 << 10));
    cut.truncate(cut.len() - 4);
    let of = |body: Vec<u8>, encoding: &str, key: &str| Ask::bytes(body).key(key).header("content-encoding", encoding);
    let asks = [
        of(gzip(&right), "gzip", ""),
        of(gzip(&bomb("gzip-bomb")), "gzip", ""),
        of(zstd(&bomb("zstd-bomb")), "zstd", ""),
        of(cut, "gzip", ""),
        of(b"{}".to_vec(), "zstd", "plain"),
        of(flowers("brotli", 64 << 10), "br", ""),
        of([gzip(&flowers("more", 64 << 10)), b"more".to_vec()].concat(), "gzip", ""),
    ];
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    lane.assert_nothing_more();
    assert!(json(&answers["right"])["outputs"].is_array(), "neighbours are not touched");
    for (id, told) in [
        ("gzip-bomb", "of gzip and more than 1048576 when inflated, the most that is taken (`limits.inflated_bytes`)"),
        ("zstd-bomb", "of zstd and more than 1048576 when inflated"),
        ("cut", "the body is cut off: its "),
        (
            "plain",
            "the body is no zstd, or broken, at byte 0: it does not begin with a frame; its content-encoding says zstd",
        ),
        ("brotli", "content-encoding `br` is not supported; send gzip, zstd or identity"),
        ("more", "of the body, but 4 more bytes follow"),
    ] {
        let error: Value = json(&answers[id])["error"].clone();
        assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(told), "{id}: {message}");
    }
    let letters = lane.dead_letters();
    assert_eq!(letters.len(), asks.len() - 1);
    let value = |letter: &modelmill::broker::kafka::client::Record| letter.value.clone().unwrap();
    assert!(asks[1..].iter().all(|ask| letters.iter().any(|letter| value(letter) == ask.value().unwrap())));
}
