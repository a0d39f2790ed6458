//! What must hold of any bytes whose schema is in a registry: for the fuzzer (`fuzz/`), which compiles this file, too, and for its
//! seeds.
//!
//! The first byte chooses one of a few schemas, the others are what stands behind its id. What a protobuf message comes to, is held
//! against `prost-reflect` ([`super::oracle`]).

use std::sync::Arc;

use super::oracle::{self, Verdict};
use crate::{
    broker::{
        Chunk,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{
        self, Decoded, Format, Intake, Intakes, Routing, Rules,
        registry::{Login, Place, Registry},
    },
    request::Route,
};

/// Among them every type, in what becomes a column, in what is read over, and within itself.
const AVRO: [&str; 4] = [
    r#"{"type": "record", "name": "Flat", "fields": [
        {"name": "a", "type": "int"}, {"name": "b", "type": ["null", "long"]}, {"name": "c", "type": "float"},
        {"name": "d", "type": ["double", "null"]}, {"name": "e", "type": "boolean"}, {"name": "f", "type": "string"},
        {"name": "g", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}},
        {"name": "h", "type": {"type": "fixed", "name": "F", "size": 3}},
        {"name": "i", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}"#,
    r#"{"type": "record", "name": "Lists", "fields": [
        {"name": "a", "type": {"type": "array", "items": "float"}},
        {"name": "b", "type": {"type": "array", "items": ["null", "long"]}},
        {"name": "c", "type": {"type": "array", "items": "string"}},
        {"name": "d", "type": ["null", {"type": "array", "items": "boolean"}]}]}"#,
    r#"{"type": "record", "name": "Tree", "fields": [
        {"name": "left", "type": ["null", "Tree"]}, {"name": "leaf", "type": ["null", "double"]},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "null"}}},
        {"name": "many", "type": {"type": "array", "items": "Tree"}}, {"name": "either", "type": ["int", "string", "Tree"]}]}"#,
    r#"{"type": "array", "items": "int"}"#,
];

/// The bytes as a record of each of a few schemas.
pub fn avro(data: &[u8]) {
    let Some((choice, record)) = data.split_first() else { return };
    let schema = *choice as usize % AVRO.len();
    let whole = body(schema as u32, record);
    let (longer, shorter) = ([&whole[..], &[0]].concat(), &whole[..whole.len() - 1]);
    let neighbour = body(3, &[4, 2, 2, 0]);
    let decoded = decode(&registry(), &[&neighbour, &whole, &neighbour, &longer, shorter]);
    assert!(decoded.awaiting.is_empty());
    let taken: Vec<_> =
        decoded.groups.iter().flat_map(|group| &group.requests).map(|request| request.message).collect();
    assert_eq!(taken.len() + decoded.refused.len(), 5, "each is answered once");
    let takes = |message: usize| taken.contains(&message);
    assert!(takes(0) && takes(2), "neighbours are not touched: {decoded:?}");
    assert!(!takes(1) || (!takes(3) && !takes(4)), "one end and no other: {decoded:?}");
    for group in &decoded.groups {
        assert!(group.columns.iter().all(|column| column.tensor.rows() == group.requests.len()));
    }
}

/// Among them every type, alone, in lists and wrapped, with and without presence, in what becomes a column, in what is read over,
/// and within itself.
pub const PROTOBUF: [&str; 4] = [
    r#"syntax = "proto3";
    package flat;
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/wrappers.proto";
    enum Colour { NONE = 0; RED = 1; BLUE = 7; }
    message Flat {
        int32 a = 1; int64 b = 2; uint32 c = 3; uint64 d = 4; sint32 e = 5; sint64 f = 6; fixed32 g = 7; fixed64 h = 8;
        sfixed32 i = 9; sfixed64 j = 10; float k = 11; double l = 12; bool m = 13; string n = 14; bytes o = 15; Colour p = 16;
        optional int32 oa = 21; optional int64 ob = 22; optional uint32 oc = 23; optional uint64 od = 24;
        optional float ok = 31; optional double ol = 32; optional bool om = 33; optional string on = 34; optional Colour op = 36;
        oneof either { int64 left = 41; string right = 42; Colour third = 43; }
        google.protobuf.Timestamp at = 51; google.protobuf.Duration took = 52;
        google.protobuf.DoubleValue wrapped = 53; google.protobuf.StringValue text = 54; google.protobuf.UInt64Value large = 55;
        google.protobuf.BoolValue flag = 56;
        float far = 536870911;
    }"#,
    r#"syntax = "proto3";
    enum Colour { NONE = 0; RED = 1; MINUS = -1; }
    message Lists {
        repeated int32 a = 1; repeated int64 b = 2; repeated uint32 c = 3; repeated uint64 d = 4; repeated sint32 e = 5;
        repeated sint64 f = 6; repeated fixed32 g = 7; repeated fixed64 h = 8; repeated sfixed32 i = 9; repeated sfixed64 j = 10;
        repeated float k = 11; repeated double l = 12; repeated bool m = 13; repeated string n = 14; repeated bytes o = 15;
        repeated Colour p = 16; repeated float q = 17 [packed = false];
        Inner inner = 18;
        message Inner { repeated double r = 1; repeated string s = 2; float t = 3; }
    }"#,
    r#"syntax = "proto3";
    package deep.er;
    import "google/protobuf/struct.proto";
    message First { int32 a = 1; }
    message Tree {
        message Leaf { double value = 1; optional int32 kind = 2; repeated float list = 3; }
        map<string, Leaf> named = 1;
        Tree left = 2; double weight = 3; Leaf leaf = 4; repeated Leaf leaves = 5; google.protobuf.Struct any = 6;
        oneof one { Leaf this = 7; Tree that = 8; int32 other = 9; Pair pair = 10; }
        message Pair { Leaf first = 1; Leaf second = 2; oneof inner { int64 x = 3; double y = 4; } }
        google.protobuf.Value value = 11;
    }"#,
    r#"syntax = "proto2";
    message Old {
        required int32 a = 1; optional int64 b = 2 [default = 5]; optional string c = 3; required Part part = 4;
        optional group Grouped = 5 { optional int32 inside = 1; }
        repeated int32 d = 6 [packed = true]; repeated double e = 7; optional Part other = 8;
        oneof one { group Either = 9 { optional int32 x = 1; } uint32 or = 10; }
        message Part { required float f = 1; optional bool g = 2; }
        extensions 100 to 200;
    }
    extend Old { optional int32 more = 100; }"#,
];

/// The bytes as a message of each of a few schemas, behind the indexes of its type.
pub fn protobuf_schema(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    let schema = *choice as usize % PROTOBUF.len();
    let id = (AVRO.len() + schema) as u32;
    let (whole, neighbour) = (body(id, message), body((AVRO.len() + 2) as u32, &[0, 8, 5]));
    let decoded = decode(&registry(), &[&neighbour, &whole, &neighbour]);
    assert!(decoded.awaiting.is_empty());
    let place = |message: usize| {
        let is_it = |group: &&crate::request::Group| group.requests.iter().any(|request| request.message == message);
        decoded.groups.iter().find(is_it)
    };
    assert!(place(0).is_some() && place(2).is_some(), "neighbours are not touched: {decoded:?}");
    assert_eq!(usize::from(place(1).is_some()) + decoded.refused.len(), 1, "it is answered once");
    match (place(1), oracle::verdict(PROTOBUF[schema], message)) {
        (Some(group), Verdict::Columns(expected)) => {
            let row = group.requests.iter().position(|request| request.message == 1).unwrap();
            assert_eq!(oracle::row(group, row), expected, "{message:02x?}");
        }
        (Some(_), Verdict::Broken(why)) => {
            // What is read over is not looked at.
            assert!(schema >= 2, "taken, but {why}: {message:02x?}");
        }
        (Some(_), Verdict::Refused(why)) => panic!("taken, but {why}: {message:02x?}"),
        (None, Verdict::Columns(_)) => {
            let why = decoded.refused[0].error.message();
            // The last value counts, and one that it replaces must be one all the same.
            let known = ["too deep", "too many other places", "no value of its enum"];
            assert!(known.iter().any(|known| why.contains(known)), "{why}: {message:02x?}");
        }
        (None, _) => {
            let why = decoded.refused[0].error.message();
            assert!(!why.is_empty() && why.len() < 600, "{why}");
        }
    }
}

fn body(schema: u32, record: &[u8]) -> Vec<u8> {
    [&[0][..], &schema.to_be_bytes(), record].concat()
}

/// A registry that knows the schemas, those in protobuf behind those in Avro, and is nowhere.
fn registry() -> Arc<Registry> {
    thread_local! {
        static KNOWN: Arc<Registry> = {
            let registry = nowhere();
            for (id, schema) in AVRO.iter().enumerate() {
                registry.keep(id as u32, schema, &[]).unwrap();
            }
            for (id, schema) in PROTOBUF.iter().enumerate() {
                registry.keep_protobuf((AVRO.len() + id) as u32, schema, &[]).unwrap();
            }
            registry
        };
    }
    KNOWN.with(Arc::clone)
}

/// A registry that cannot be asked.
pub fn nowhere() -> Arc<Registry> {
    let place = Place {
        url: "http://127.0.0.1:1".to_owned(),
        login: Login::Nobody,
        ca_file: None,
        timeout: std::time::Duration::from_secs(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Registry::new(place, [], runtime.handle().clone()).unwrap()
}

/// Decodes bodies as one chunk of a pipeline that reads what has its schema in a registry.
pub fn decode(registry: &Registry, bodies: &[&[u8]]) -> Decoded {
    let intake = Intake::new(0, Format::Avro, Routing::Fixed(Arc::new(Route { pipeline: 0, models: Vec::new() })));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] };
    let record = |body: &&[u8]| MemoryRecord { payload: Some(body.to_vec()), ..MemoryRecord::default() };
    let chunk = Chunk::new(Box::new(MemoryRecords(bodies.iter().map(record).collect())));
    codec::decode(&chunk, Rules { intakes: &intakes, registry: Some(registry) })
}
