//! What must hold of any bytes as an Avro record: for the fuzzer (`fuzz/`), which compiles this file, too, and for its seeds.
//!
//! The first byte chooses one of a few schemas, the others are the record.

use std::sync::Arc;

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
const SCHEMAS: [&str; 4] = [
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
    let schema = *choice as usize % SCHEMAS.len();
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

fn body(schema: u32, record: &[u8]) -> Vec<u8> {
    [&[0][..], &schema.to_be_bytes(), record].concat()
}

/// A registry that knows the schemas, by their index, and is nowhere.
fn registry() -> Arc<Registry> {
    thread_local! {
        static KNOWN: Arc<Registry> = {
            let registry = nowhere();
            for (id, schema) in SCHEMAS.iter().enumerate() {
                registry.keep(id as u32, schema, &[]).unwrap();
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

/// Decodes bodies as one chunk of a pipeline that reads Avro.
pub fn decode(registry: &Registry, bodies: &[&[u8]]) -> Decoded {
    let intake = Intake::new(0, Format::Avro, Routing::Fixed(Arc::new(Route { pipeline: 0, models: Vec::new() })));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] };
    let record = |body: &&[u8]| MemoryRecord { payload: Some(body.to_vec()), ..MemoryRecord::default() };
    let chunk = Chunk::new(Box::new(MemoryRecords(bodies.iter().map(record).collect())));
    codec::decode(&chunk, Rules { intakes: &intakes, registry: Some(registry) })
}
