//! Protobuf messages behind a registry's id, with Confluent's serializer on the other side
//! (`scripts/make_protobuf_goldens.py`), and `prost-reflect` beside it.

use std::{fs, path::PathBuf};

use proptest::{collection::vec, prelude::*};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value, prost::Message};
use serde_json::{Value as Json, json};

use crate::{
    codec::{
        framed::tests::{
            alike, body, bytes,
            claims::{PROTOBUF, decode, nowhere, protobuf_schema},
            columns_by, oracle,
        },
        registry::Referred,
    },
    error::ErrorCode,
    request::Form,
    tensor::Elements,
};

fn goldens() -> Vec<Json> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf/values.jsonl");
    let goldens = fs::read_to_string(file).unwrap();
    goldens.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The columns of a golden's body, by the text of its schema or by what Confluent's serializer registered.
fn columns_of(golden: &Json, form: &str, body: &[u8]) -> Result<Json, (ErrorCode, String)> {
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let references = golden["references"].as_array().unwrap().iter();
    let references: Vec<_> =
        references.map(|reference| Referred { name: text(&reference["name"]), text: text(&reference[form]) }).collect();
    columns_by(body, |registry, id| registry.keep_protobuf(id, golden[form].as_str().unwrap(), &references))
}

/// Columns of any order.
fn sorted(columns: &Json) -> Json {
    let mut columns = alike(columns.clone());
    columns.as_array_mut().unwrap().sort_by_key(|column| column["name"].as_str().unwrap().to_owned());
    columns
}

#[test]
fn what_confluents_serializer_writes_becomes_columns() {
    let goldens = goldens();
    assert!(goldens.len() >= 200, "{}", goldens.len());
    for golden in &goldens {
        let body = bytes(golden["body"].as_str().unwrap());
        for form in ["text", "registered"] {
            let found = columns_of(golden, form, &body).unwrap_or_else(|why| panic!("{why:?}: {golden}"));
            assert_eq!(sorted(&found), sorted(&golden["columns"]), "{golden}");
        }
    }
}

/// The columns of a message by this schema, or why there are none.
fn columns(schema: &str, message: &[u8]) -> Result<Json, (ErrorCode, String)> {
    columns_by(&body(7, message), |registry, id| registry.keep_protobuf(id, schema, &[]))
}

fn column<'a>(columns: &'a Json, name: &str) -> &'a Json {
    let found = columns.as_array().unwrap().iter().find(|column| column["name"] == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {columns}"))
}

#[test]
fn what_is_absent_is_zero_or_missing_as_the_field_says() {
    let schema = r#"syntax = "proto3";
        import "google/protobuf/wrappers.proto";
        enum Colour { GREY = 0; RED = 1; }
        message M {
            int32 count = 1; string name = 2; Colour colour = 3; repeated float list = 4;
            optional int32 asked = 5; optional string text = 6; optional float near = 7; optional bool flag = 8;
            Inner inner = 9; google.protobuf.Int32Value wrapped = 10;
            message Inner { int64 deep = 1; string word = 2; repeated float many = 3; }
        }"#;
    let absent = columns(schema, &[0]).unwrap();
    let nan = json!(["NaN"]);
    for (name, datatype, data) in [
        ("count", "INT32", json!([0])),
        ("name", "BYTES", json!([""])),
        ("colour", "BYTES", json!(["47524559"])),
        ("list", "FP32", json!([])),
        ("asked", "FP64", nan.clone()),
        ("near", "FP32", nan.clone()),
        ("inner.deep", "FP64", nan.clone()),
        ("wrapped", "FP64", nan),
    ] {
        let column = column(&absent, name);
        assert_eq!((&column["datatype"], &column["data"]), (&json!(datatype), &data), "{name}");
    }
    assert_eq!(absent.as_array().unwrap().len(), 8, "texts, flags and lists that are missing are not there: {absent}");
    // A nested message that is there, and empty; a wrapper of nothing is a zero.
    let present = columns(schema, &[0, 0x4A, 0, 0x52, 0]).unwrap();
    assert_eq!(column(&present, "inner.deep")["data"], json!(["0.0"]));
    assert_eq!(column(&present, "inner.word")["data"], json!([""]));
    assert_eq!(column(&present, "inner.many")["shape"], json!([1, 0]));
    assert_eq!(column(&present, "wrapped")["data"], json!(["0.0"]));
}

#[test]
fn of_values_the_last_counts_lists_go_on_and_messages_are_merged() {
    let schema = r#"syntax = "proto3";
        message M {
            int32 a = 1; repeated int32 list = 2; Inner inner = 3;
            oneof one { Inner left = 4; int32 right = 5; }
            message Inner { optional int32 x = 1; optional int32 y = 2; repeated int32 z = 3; }
        }"#;
    let found = columns(
        schema,
        // a, list packed, a, list alone, inner.x, list packed, inner.y and z, inner.x and z
        &[0, 8, 1, 18, 2, 1, 2, 8, 9, 16, 3, 26, 2, 8, 4, 18, 1, 4, 26, 4, 16, 5, 24, 6, 26, 4, 8, 7, 24, 8],
    );
    let found = found.unwrap();
    assert_eq!(column(&found, "a")["data"], json!([9]));
    assert_eq!(column(&found, "list")["data"], json!([1, 2, 3, 4]));
    assert_eq!(column(&found, "inner.x")["data"], json!(["7.0"]));
    assert_eq!(column(&found, "inner.y")["data"], json!(["5.0"]));
    assert_eq!(column(&found, "inner.z")["data"], json!([6, 8]));
    // left.x and z, right, left.y: what was left before is no more.
    let found = columns(schema, &[0, 34, 4, 8, 1, 24, 2, 40, 3, 34, 2, 16, 4]).unwrap();
    assert_eq!(column(&found, "left.x")["data"], json!(["NaN"]));
    assert_eq!(column(&found, "left.y")["data"], json!(["4.0"]));
    assert_eq!(column(&found, "left.z")["shape"], json!([1, 0]));
    assert_eq!(column(&found, "right")["data"], json!(["NaN"]));
    let found = columns(schema, &[0, 34, 4, 8, 1, 24, 2, 40, 3]).unwrap();
    assert_eq!(column(&found, "left.x")["data"], json!(["NaN"]));
    assert_eq!(column(&found, "right")["data"], json!(["3.0"]));
}

#[test]
fn times_are_microseconds_and_one_too_far_away_is_refused() {
    let schema = r#"syntax = "proto3";
        import "google/protobuf/timestamp.proto";
        message M { google.protobuf.Timestamp at = 1; }"#;
    // One second and 1999 nanoseconds, the latter in a message of its own that is merged.
    let found = columns(schema, &[0, 10, 2, 8, 1, 10, 3, 16, 0xCF, 0x0F]).unwrap();
    assert_eq!(column(&found, "at")["data"], json!(["1000001.0"]));
    let far = [&[0, 10, 10, 8][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]].concat();
    let (code, why) = columns(schema, &far).unwrap_err();
    assert!(code == ErrorCode::InvalidRequest && why.contains("`at`"), "{why}");
}

#[test]
fn the_indexes_say_which_message_comes_and_a_wrong_one_is_told_which_there_are() {
    let schema = r#"syntax = "proto3";
        package shop;
        message Order { map<string, int32> counts = 1; message Item { message Size { float wide = 1; } int32 id = 1; } string who = 2; }
        message Return { string why = 1; }"#;
    let name = |message: &[u8]| {
        let columns = columns(schema, message)?;
        Ok::<_, (ErrorCode, String)>(columns[0]["name"].as_str().unwrap().to_owned())
    };
    assert_eq!(name(&[0]).unwrap(), "who");
    assert_eq!(name(&[2, 2]).unwrap(), "why");
    // The entry of the map is the first type in the order.
    assert_eq!(name(&[4, 0, 2]).unwrap(), "id");
    assert_eq!(name(&[6, 0, 2, 0]).unwrap(), "wide");
    for wrong in [&[2, 4][..], &[4, 2, 0], &[2, 1], &[8, 0, 2, 0, 0], &[1]] {
        let (code, why) = name(wrong).unwrap_err();
        assert_eq!(code, ErrorCode::InvalidRequest);
        for there in ["schema 7", "`shop.Order` (0)", "`shop.Order.Item` (0.1)", "`shop.Return` (1)"] {
            assert!(why.contains(there), "{wrong:?}: {why}");
        }
    }
    let (_, why) = name(&[2]).unwrap_err();
    assert!(why.contains("at byte 6 the message ends inside a number"), "{why}");
    let (_, why) = columns("syntax = \"proto3\"; enum E { A = 0; }", &[0]).unwrap_err();
    assert!(why.contains("no message types"), "{why}");
}

#[test]
fn what_is_wrong_with_a_message_is_told_in_a_sentence() {
    let schema = r#"syntax = "proto2";
        enum Colour { RED = 1; }
        message M { required int32 a = 1; optional string b = 2; optional Colour c = 3; repeated float d = 4; }"#;
    for (message, why) in [
        (&[0][..], "the required field `a` is not there"),
        (&[0, 8], "at byte 7 the message ends inside a number"),
        (&[0, 10, 0], "at byte 6 is a known field of another wire type"),
        (&[0, 8, 1, 18, 1, 0xFF], "at byte 8 is text that is no UTF-8"),
        (&[0, 8, 1, 24, 2], "at byte 8 is no value of its enum"),
        (&[0, 8, 1, 34, 3, 0, 0, 0], "are packed numbers, the last of which is cut off"),
        (&[0, 8, 1, 18, 9], "beyond the end of its message"),
        (&[], "at byte 5 the message ends inside a number"),
    ] {
        let (code, message) = columns(schema, message).unwrap_err();
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert!(message.contains(why) && message.contains("schema 7"), "{message}, not {why}");
    }
}

#[test]
fn items_in_too_many_places_are_refused_and_so_are_none_that_stand_together() {
    let schema = "syntax = \"proto3\"; message M { repeated int32 a = 1; repeated int32 b = 2; }";
    let together: Vec<u8> = std::iter::once(0).chain((0..200_000).flat_map(|_| [8, 1])).collect();
    let found = columns(schema, &together).unwrap();
    assert_eq!(column(&found, "a")["shape"], json!([1, 200_000]));
    let scattered: Vec<u8> = std::iter::once(0).chain((0..200_000).flat_map(|_| [8, 1, 16, 2])).collect();
    let (code, why) = columns(schema, &scattered).unwrap_err();
    assert!(code == ErrorCode::InvalidRequest && why.contains("too many other places"), "{why}");
}

#[test]
fn one_topic_has_avro_and_protobuf_and_the_type_of_the_schema_decides() {
    let registry = nowhere();
    registry.keep(1, r#"{"type": "record", "name": "R", "fields": [{"name": "x", "type": "float"}]}"#, &[]).unwrap();
    registry.keep_protobuf(2, "syntax = \"proto3\"; message R { float x = 1; }", &[]).unwrap();
    let avro = body(1, &1.5_f32.to_le_bytes());
    let protobuf = body(2, &[&[0, 13][..], &2.5_f32.to_le_bytes()].concat());
    let decoded = decode(&registry, &[&avro, &protobuf, &avro]);
    let [group] = &*decoded.groups else { panic!("{decoded:?}") };
    assert_eq!(group.columns.find("x").unwrap().tensor.elements(), &Elements::Fp32(vec![1.5, 2.5, 1.5]));
    // Their answers are alike, too.
    assert!(group.requests.iter().all(|request| request.form == Form::Avro));
}

#[test]
fn a_type_that_is_too_large_is_refused_when_it_comes_and_its_neighbours_are_not() {
    let mut schema = "syntax = \"proto3\"; message Small { float x = 1; }".to_owned();
    for level in 0..40 {
        let next = level + 1;
        schema.push_str(&format!("message L{level} {{ L{next} a = 1; L{next} b = 2; float c = 3; }}"));
    }
    schema.push_str("message L40 { float x = 1; }");
    assert!(columns(&schema, &[0]).is_ok());
    let (_, why) = columns(&schema, &[2, 2]).unwrap_err();
    assert!(why.contains("`L0` cannot be used") && why.contains("more than 10000 fields"), "{why}");
    let mut schema =
        format!("syntax = \"proto3\"; message Long {{ Wide {} = 1; }} message Wide {{", "n".repeat(1 << 20));
    (1..10).for_each(|number| schema.push_str(&format!("float f{number} = {number};")));
    schema.push('}');
    let (_, why) = columns(&schema, &[0]).unwrap_err();
    assert!(why.contains("`Long` cannot be used") && why.contains("names") && why.len() < 500, "{why}");
}

/// Random bytes that decide what a message holds.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn throw(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn bits(&mut self) -> u64 {
        match self.throw() % 4 {
            0 => self.throw().into(),
            1 => 0,
            2 => u64::MAX - u64::from(self.throw()),
            _ => (0..8).fold(0, |bits, _| bits << 8 | u64::from(self.throw())),
        }
    }

    fn value(&mut self, kind: &Kind, depth: usize) -> Value {
        match kind {
            Kind::Double => Value::F64(f64::from_bits(self.bits())),
            Kind::Float => Value::F32(f32::from_bits(self.bits() as u32)),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.bits() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.bits() as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.bits() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.bits()),
            Kind::Bool => Value::Bool(self.throw() % 2 == 1),
            Kind::String => Value::String("aß☃".chars().cycle().take(self.throw() as usize % 9).collect()),
            Kind::Bytes => Value::Bytes((0..self.throw() % 9).map(|_| self.throw()).collect::<Vec<_>>().into()),
            Kind::Enum(list) => {
                let values: Vec<_> = list.values().collect();
                Value::EnumNumber(values[self.throw() as usize % values.len()].number())
            }
            Kind::Message(message) => Value::Message(self.message(message, depth + 1)),
        }
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if depth > 4 || (self.throw().is_multiple_of(3) && !field.is_required()) {
                continue;
            }
            message.set_field(&field, self.field(&field, depth));
        }
        message
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let count = self.throw() % 4;
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = entry.map_entry_value_field();
                Value::Map((0..count).map(|key| (MapKey::String(key.to_string()), self.field(&value, depth))).collect())
            }
            kind if field.is_list() => Value::List((0..count).map(|_| self.value(&kind, depth)).collect()),
            kind => self.value(&kind, depth),
        }
    }
}

/// Indexes of the types of the claims' schemas: of each a flat one, and some that are nested.
const TYPES: [(u8, &[u8]); 7] =
    [(0, &[0]), (1, &[0]), (1, &[4, 0, 0]), (2, &[2, 2]), (2, &[4, 2, 2]), (2, &[4, 2, 4]), (3, &[0])];

/// A message that the dice made, behind the choice of its schema and its indexes.
fn made(which: usize, dice: &[u8]) -> Vec<u8> {
    let (schema, indexes) = TYPES[which];
    let (descriptor, _) = oracle::chosen(PROTOBUF[usize::from(schema)], indexes).unwrap();
    let message = Dice(dice.iter()).message(&descriptor, 0).encode_to_vec();
    [&[schema][..], indexes, &message].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_message_becomes_what_prost_reflect_reads(which in 0..TYPES.len(), dice in vec(any::<u8>(), 0..400)) {
        protobuf_schema(&made(which, &dice));
    }

    #[test]
    fn messages_one_after_another_are_merged(
        which in 0..TYPES.len(), first in vec(any::<u8>(), 0..200), second in vec(any::<u8>(), 0..200),
    ) {
        let first = made(which, &first);
        let second = made(which, &second);
        protobuf_schema(&[&first[..], &second[1 + TYPES[which].1.len()..]].concat());
    }

    #[test]
    fn a_message_that_was_cut_or_changed_anywhere_harms_nobody(
        which in 0..TYPES.len(), dice in vec(any::<u8>(), 0..300), cut: prop::sample::Index,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut data = made(which, &dice);
        data.truncate(1 + cut.index(data.len()));
        for (at, byte) in changes {
            let at = at.index(data.len());
            data[at] = byte;
        }
        protobuf_schema(&data);
    }

    #[test]
    fn no_bytes_are_taken_for_more_than_they_are(data in vec(any::<u8>(), 0..60)) {
        protobuf_schema(&data);
    }
}
