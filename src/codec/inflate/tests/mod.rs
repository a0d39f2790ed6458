//! Compressed bodies: what they become, what is refused and with which words, and how much memory they may have.

use std::{io::Write, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use proptest::{collection::vec, prelude::*};

use super::{Inflater, Room};
use crate::{
    broker::{
        Chunk,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{self, Decoded, Format, Intake, Intakes, Routing, decode_part, envelope::HEADER_LENGTH},
    error::{ErrorCode, RequestError},
    request::{Route, UNNAMED},
    tensor::Elements,
};

pub mod claims;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(body.len()));
    zstd_safe::compress(&mut out, body, 3).unwrap();
    out
}

/// Compresses a body.
type Compress = fn(&[u8]) -> Vec<u8>;

const BOTH: [(&str, Compress); 2] = [("gzip", gzip), ("zstd", zstd)];

fn record(encoding: &str, body: Vec<u8>) -> MemoryRecord {
    MemoryRecord {
        payload: Some(body),
        headers: vec![("Content-Encoding".to_owned(), Some(encoding.as_bytes().to_vec()))],
        ..MemoryRecord::default()
    }
}

fn typed(content_type: &str, record: MemoryRecord) -> MemoryRecord {
    let mut record = record;
    record.headers.push(("content-type".to_owned(), Some(content_type.as_bytes().to_vec())));
    record
}

fn intakes() -> Intakes {
    let intake = Intake::new(0, Format::Json, Routing::Fixed(Arc::new(Route { pipeline: 0, models: Vec::new() })));
    Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] }
}

fn chunk(records: Vec<MemoryRecord>) -> Chunk {
    Chunk::new(Box::new(MemoryRecords(records)))
}

fn decode(records: Vec<MemoryRecord>) -> Decoded {
    codec::decode(&chunk(records), &intakes())
}

/// The ids of those that were decoded and of those that were refused.
fn ids(decoded: &Decoded) -> (Vec<String>, Vec<String>) {
    let text = |id| decoded.ids.text(id).to_owned();
    let requests = decoded.groups.iter().flat_map(|group| &group.requests);
    (
        requests.map(|request| text(request.id)).collect(),
        decoded.refused.iter().map(|refused| text(refused.id)).collect(),
    )
}

/// What the sender of a body is told, and the id under which.
fn told(encoding: &str, body: Vec<u8>) -> (String, String) {
    told_within(Inflater::DEFAULT_MOST, encoding, body)
}

fn told_within(most: usize, encoding: &str, body: Vec<u8>) -> (String, String) {
    let chunk = chunk(vec![record(encoding, body)]);
    let decoded = decode_part(&chunk, 0, &intakes(), Inflater::alone(most), Decoded::default());
    assert!(decoded.groups.is_empty(), "{:?}", decoded.groups);
    let [refused] = decoded.refused.as_slice() else { panic!("one is refused") };
    assert_eq!((refused.error.code(), refused.is_letter), (ErrorCode::InvalidRequest, true));
    (decoded.ids.text(refused.id).to_owned(), refused.error.message().to_owned())
}

fn rows(id: &str, rows: usize) -> Vec<u8> {
    format!(r#"{{"id": "{id}", "instances": [{}]}}"#, vec!["[1.5]"; rows].join(",")).into_bytes()
}

#[test]
fn a_compressed_request_is_what_it_was() {
    let mut records = vec![record("identity", rows("as it is", 2)), record("", rows("empty", 2))];
    for (name, compress) in BOTH {
        records.push(record(name, compress(&rows(name, 2))));
    }
    records.push(record(" X-GZIP , identity", gzip(&rows("old name", 2))));
    records.push(record("ZStd", zstd(&rows("in capitals", 2))));
    let decoded = decode(records);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    assert_eq!(ids(&decoded).0, ["as it is", "empty", "gzip", "zstd", "old name", "in capitals"]);
    let [group] = decoded.groups.as_slice() else { panic!("one signature is one group") };
    assert_eq!(group.columns.find(UNNAMED).unwrap().tensor.elements(), &Elements::Fp64(vec![1.5; 12]));
}

#[test]
fn lengths_in_headers_are_those_of_the_inflated_body() {
    let json = br#"{"id": "b", "inputs": [{"name": "x", "shape": [2], "datatype": "UINT8", "parameters": {"binary_data_size": 2}}]}"#;
    let mut binary = record("gzip", gzip(&[&json[..], &[7, 9]].concat()));
    binary.headers.push((HEADER_LENGTH.to_owned(), Some(json.len().to_string().into_bytes())));
    let decoded = decode(vec![binary, typed("text/plain", record("zstd", zstd(b"a text")))]);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    let elements =
        |group: usize, name: &str| decoded.groups[group].columns.find(name).unwrap().tensor.elements().clone();
    assert_eq!(elements(0, "x"), Elements::Uint8(vec![7, 9]));
    assert_eq!(elements(1, UNNAMED), Elements::Bytes([b"a text"].into_iter().collect()));
}

#[test]
fn events_may_be_compressed_in_both_modes() {
    let event = br#"{"specversion": "1.0", "id": "e", "type": "t", "source": "s", "data": {"instances": [[1.5]]}}"#;
    let mut binary = record("zstd", zstd(&rows("", 1)));
    for (name, value) in [("ce_specversion", "1.0"), ("ce_id", "b"), ("ce_type", "t"), ("ce_source", "s")] {
        binary.headers.push((name.to_owned(), Some(value.as_bytes().to_vec())));
    }
    let decoded = decode(vec![typed("application/cloudevents+json", record("gzip", gzip(event))), binary]);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    assert_eq!(ids(&decoded).0, ["e", "b"]);
}

#[test]
fn members_and_frames_that_follow_one_another_are_one_body() {
    let body = rows("pieces", 3);
    let (first, second) = body.split_at(20);
    let skippable = [&[0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"any"].concat();
    let decoded = decode(vec![
        record("gzip", [gzip(first), gzip(b""), gzip(second)].concat()),
        record("zstd", [skippable.clone(), zstd(first), skippable, zstd(second)].concat()),
    ]);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    assert_eq!(ids(&decoded).0, ["pieces", "pieces"]);
}

#[test]
fn a_bomb_is_given_up_at_the_limit_and_its_caller_is_told_under_its_id() {
    let zeros = [br#"{"id": "bomb", "instances": [["#.to_vec(), b"0,".repeat(2 << 20)].concat();
    for (name, compress) in BOTH {
        let bomb = compress(&zeros);
        assert!(bomb.len() < zeros.len() / 100);
        let length = bomb.len();
        let (id, why) = told_within(1 << 20, name, bomb);
        assert_eq!(id, "bomb");
        let expected = format!(
            "the body is {length} bytes of {name} and more than 1048576 when inflated, the most that is taken \
             (`limits.inflated_bytes`): send fewer rows at a time"
        );
        assert_eq!(why, expected);
    }
}

#[test]
fn the_limit_itself_is_allowed() {
    let body = rows("just", 5000);
    for (name, compress) in BOTH {
        let chunk = chunk(vec![record(name, compress(&body))]);
        let part = |most| decode_part(&chunk, 0, &intakes(), Inflater::alone(most), Decoded::default());
        assert_eq!(ids(&part(body.len())), (vec!["just".to_owned()], vec![]), "{name}");
        assert_eq!(ids(&part(body.len() - 1)), (vec![], vec!["just".to_owned()]), "{name}");
    }
}

#[test]
fn what_cannot_be_inflated_is_answered_with_what_is_wrong() {
    let body = rows("found", 200);
    let cut = |mut body: Vec<u8>| {
        body.truncate(body.len() - 5);
        body
    };
    let with = |mut body: Vec<u8>, more: &[u8]| {
        body.extend_from_slice(more);
        body
    };
    let mut wrong = gzip(&body);
    let crc = wrong.len() - 6;
    wrong[crc] ^= 1;
    let length = gzip(&body).len();
    for (encoding, body, id, words) in [
        ("gzip", cut(gzip(&body)), "found", "the body is cut off: its ".to_owned()),
        // Its one block has not come as a whole.
        ("zstd", cut(zstd(&body)), "requests-0-0", "the body is cut off: its ".to_owned()),
        ("zstd", zstd(&body)[..3].to_vec(), "requests-0-0", "the body is cut off: its 3 bytes are not all".to_owned()),
        ("gzip", gzip(&body)[..1].to_vec(), "requests-0-0", "the body is cut off: its 1 bytes are not all".to_owned()),
        (
            "gzip",
            with(gzip(&body), b"\0\0\0"),
            "found",
            format!("the gzip ends at byte {length} of the body, but 3 more bytes follow"),
        ),
        ("zstd", with(zstd(&body), b"{}"), "found", "of the body, but 2 more bytes follow".to_owned()),
        ("gzip", wrong, "found", "incorrect data check; its content-encoding says gzip".to_owned()),
        (
            "gzip",
            body.clone(),
            "requests-0-0",
            "the body is no gzip, or broken, at byte 0: incorrect header".to_owned(),
        ),
        ("zstd", body.clone(), "requests-0-0", "at byte 0: it does not begin with a frame".to_owned()),
        ("zstd", gzip(&body), "requests-0-0", "the body is no zstd".to_owned()),
        ("br", body.clone(), "found", "content-encoding `br` is not supported; send gzip, zstd or identity".to_owned()),
        (
            "gzip, zstd",
            body.clone(),
            "found",
            "content-encoding `gzip, zstd` is more than one; compress the body once".to_owned(),
        ),
        ("gzip", gzip(b""), "requests-0-0", "the record's value is empty".to_owned()),
        ("gzip", Vec::new(), "requests-0-0", "the record's value is empty".to_owned()),
    ] {
        let told = told(encoding, body);
        assert!(told.1.contains(&words), "{told:?} should say: {words}");
        assert_eq!(told.0, id, "{told:?}");
    }
}

#[test]
fn a_frame_that_wants_much_memory_is_refused_before_it_has_it() {
    // A window descriptor of 2^31 bytes, and nothing behind it.
    let (_, why) = told("zstd", vec![0x28, 0xB5, 0x2F, 0xFD, 0, 21 << 3, 0, 0, 0]);
    assert!(why.contains("too much memory"), "{why}");
}

#[test]
fn frames_of_formats_before_the_standard_are_none() {
    let (_, why) = told("zstd", vec![0x27, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0, 0, 0]);
    assert!(why.contains("does not begin with a frame"), "{why}");
}

#[test]
fn a_chunk_is_decoded_in_parts_of_the_limit_and_each_message_once() {
    let body = rows("r", 1000);
    let room = Room::new(body.len() * 5 / 2);
    let mut records: Vec<_> = (0..6).map(|_| record("gzip", gzip(&body))).collect();
    records.insert(3, record("identity", rows("plain", 1)));
    records.insert(0, record("zstd", zstd(b"no request")));
    let chunk = chunk(records);
    let (mut parts, mut from, mut before, mut space) = (Vec::new(), 0, Decoded::default(), None);
    loop {
        let mut part = decode_part(&chunk, from, &intakes(), Inflater::within(&room, space.take()), before);
        let mut messages: Vec<_> =
            part.groups.iter().flat_map(|group| group.requests.iter().map(|request| request.message)).collect();
        messages.extend(part.refused.iter().map(|refused| refused.message));
        messages.sort_unstable();
        parts.push(messages);
        let Some(rest) = part.rest else { break };
        part.space = None;
        (from, space) = (rest, room.try_enter());
        before = part;
    }
    assert_eq!(parts, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
}

#[test]
fn without_room_a_chunk_is_decoded_up_to_the_first_compressed_message() {
    let body = rows("r", 10);
    let room = Room::new(1 << 20);
    let mut taken: Vec<_> = std::iter::from_fn(|| room.try_enter()).collect();
    let chunk = chunk(vec![record("identity", rows("plain", 1)), record("gzip", gzip(&body))]);
    let part = decode_part(&chunk, 0, &intakes(), Inflater::within(&room, None), Decoded::default());
    assert_eq!((ids(&part).0, part.rest), (vec!["plain".to_owned()], Some(1)));
    let rest = decode_part(&chunk, 1, &intakes(), Inflater::within(&room, taken.pop()), part);
    assert_eq!((ids(&rest).0, rest.rest), (vec!["r".to_owned()], None));
    drop(taken);
    let others: Vec<_> = std::iter::from_fn(|| room.try_enter()).collect();
    assert_eq!(others.len(), 3, "what the columns are made of stays taken");
    drop(rest);
    assert!(room.try_enter().is_some());
}

#[test]
fn an_id_that_only_compression_can_carry_is_not_kept() {
    let body = rows(&"i".repeat(1 << 20), 1);
    let decoded = decode(vec![record("gzip", gzip(&body)), record("identity", body)]);
    let (ids, _) = ids(&decoded);
    assert_eq!((ids[0].as_str(), ids[1].len()), ("requests-0-0", 1 << 20));
}

#[test]
fn of_messages_that_killed_the_worker_only_the_beginning_is_inflated() {
    let body = [br#"{"id": "suspect", "instances": [["#.to_vec(), b"0,".repeat(2 << 20)].concat();
    let why = RequestError::new(ErrorCode::InferenceFailed, "it killed the worker");
    let decoded = codec::refuse_all(&chunk(vec![record("gzip", gzip(&body))]), &intakes(), &why);
    assert_eq!(ids(&decoded).1, ["suspect"]);
}

proptest! {
    #[test]
    fn whatever_is_compressed_comes_back(texts in vec(".{0,40}", 1..20), split in 0_usize..20) {
        for (name, compress) in BOTH {
            let (first, second) = texts.split_at(split.min(texts.len()));
            let body = |texts: &[String]| texts.concat().into_bytes();
            let compressed = [compress(&body(first)), compress(&body(second))].concat();
            let decoded = decode(vec![typed("text/plain", record(name, compressed))]);
            if texts.concat().is_empty() {
                prop_assert_eq!(decoded.refused.len(), 1);
            } else {
                let elements = decoded.groups[0].columns.find(UNNAMED).unwrap().tensor.elements();
                prop_assert_eq!(elements, &Elements::Bytes([texts.concat()].into_iter().collect()));
            }
        }
    }

    #[test]
    fn bytes_that_are_nothing_are_answered_once(
        mut body in vec(any::<u8>(), 0..200), spoil in 0_usize..200, with: u8, of in 0_usize..3,
    ) {
        if let Some((_, compress)) = BOTH.get(of) {
            body = compress(&body);
        }
        if let Some(byte) = body.get_mut(spoil) {
            *byte ^= with;
        }
        for (name, _) in BOTH {
            let decoded = decode(vec![record(name, body.clone())]);
            let (taken, refused) = ids(&decoded);
            prop_assert_eq!(taken.len() + refused.len(), 1);
        }
    }
}
