//! Avro in and out, with Confluent's serializers on the other side (`scripts/make_avro_goldens.py`).

use std::{fs, path::PathBuf};

use half::f16;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{Shape, Writer};
use crate::{
    codec::framed::tests::{
        alike, body, bytes,
        claims::{avro, decode, nowhere},
        columns_by, hexadecimal,
    },
    error::ErrorCode,
    request::{Form, Group, Ids, Request, Route},
    tensor::{Column, Elements, Tensor},
};

fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/avro").join(file)
}

/// The columns of a body, as the goldens write them.
fn columns(schema: &str, body: &[u8]) -> Result<Value, (ErrorCode, String)> {
    columns_by(body, |registry, id| registry.keep(id, schema, &[]))
}

#[test]
fn what_confluents_serializer_writes_becomes_columns() {
    let goldens = fs::read_to_string(data("values.jsonl")).unwrap();
    let mut count = 0;
    for line in goldens.lines() {
        let golden: Value = serde_json::from_str(line).unwrap();
        let body = bytes(golden["body"].as_str().unwrap());
        let found = columns(&golden["schema"].to_string(), &body).unwrap_or_else(|why| panic!("{why:?}: {line}"));
        assert_eq!(alike(found), alike(golden["columns"].clone()), "{line}");
        count += 1;
    }
    assert!(count >= 400, "{count}");
}

#[test]
fn bodies_that_are_no_records_are_refused_in_a_sentence() {
    let schema = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}"#;
    for (record, why) in [
        (&[][..], "schema 7: expected a whole number at byte 5"),
        (&[6, b'a', b'b'], "schema 7: expected a text or bytes of no more than are left at byte 6"),
        (&[2, b'a', 0], "schema 7: expected the end at byte 7"),
    ] {
        let (code, message) = columns(schema, &body(7, record)).unwrap_err();
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert!(message.contains(why), "{message}");
    }
    for (wrong, why) in [(&b"{\"instances\": [1]}"[..], "content-type"), (&[0, 0, 0], "3 bytes came")] {
        let decoded = decode(&nowhere(), &[wrong]);
        assert!(decoded.refused[0].error.message().contains(why), "{:?}", decoded.refused);
    }
}

#[test]
fn no_datatype_holds_missing_items_beside_large_whole_numbers() {
    let schema = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": {"type": "array", "items": ["null", "long"]}}]}"#;
    // Two items: none, and the largest.
    let large = [&[4, 0, 2][..], &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], &[0]].concat();
    let (code, message) = columns(schema, &body(1, &large)).unwrap_err();
    assert!(code == ErrorCode::InvalidInput && message.contains("`a`"), "{message}");
}

#[test]
fn what_has_no_known_schema_waits_and_its_neighbours_do_not() {
    let registry = nowhere();
    registry.keep(1, "\"double\"", &[]).unwrap();
    let (known, unknown) = (body(1, &1.5_f64.to_le_bytes()), body(2, &[0]));
    let decoded = decode(&registry, &[&known, &unknown, &known]);
    assert_eq!((decoded.groups[0].requests.len(), decoded.refused.len()), (2, 0));
    let [awaiting] = *decoded.awaiting else { panic!("one waits: {:?}", decoded.awaiting) };
    assert_eq!((awaiting.message, awaiting.schema), (1, 2));
    assert_eq!(decoded.ids.text(awaiting.id), "requests-0-0");
}

#[test]
fn rows_of_one_schema_share_a_group() {
    let registry = nowhere();
    let schema = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": "float"}, {"name": "b", "type": ["null", "int"]}]}"#;
    registry.keep(1, schema, &[]).unwrap();
    let record = |a: f32, b: &[u8]| body(1, &[&a.to_le_bytes()[..], b].concat());
    let bodies = [record(1.0, &[2, 6]), record(2.0, &[0]), record(3.0, &[2, 1])];
    let decoded = decode(&registry, &bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let [group] = &*decoded.groups else { panic!("{decoded:?}") };
    let column = |name: &str| group.columns.find(name).unwrap().tensor.clone();
    assert_eq!((column("a").shape(), column("a").elements()), (&[3, 1][..], &Elements::Fp32(vec![1.0, 2.0, 3.0])));
    let Elements::Fp64(missing) = column("b").elements().clone() else { panic!("numbers that may be missing") };
    assert!(missing[0] == 3.0 && missing[1].is_nan() && missing[2] == -1.0, "{missing:?}");
    assert!(group.requests.iter().all(|request| request.form == Form::Avro));
}

/// A group of two requests of one row each, whose answers have every datatype.
fn answered() -> Group {
    let tensors = [
        ("bool", Tensor::vector(Elements::Bool(vec![true, false]))),
        ("uint8", Tensor::vector(Elements::Uint8(vec![0, 255]))),
        ("uint32", Tensor::vector(Elements::Uint32(vec![0, u32::MAX]))),
        ("uint64", Tensor::vector(Elements::Uint64(vec![0, u64::MAX]))),
        ("int8", Tensor::vector(Elements::Int8(vec![0, -128]))),
        ("int64", Tensor::vector(Elements::Int64(vec![0, i64::MIN]))),
        ("fp16", Tensor::vector(Elements::Fp16(vec![f16::ONE, f16::from_f32(-0.5)]))),
        ("fp32", Tensor::matrix(2, Elements::Fp32(vec![0.0, 0.0, 1.5, -2.0]))),
        ("fp64", Tensor::new(vec![2, 2, 1], Elements::Fp64(vec![0.0, 0.0, 1.5, 0.1])).unwrap()),
        ("label 1", Tensor::vector(Elements::Bytes(["", "Käse"].iter().collect()))),
    ];
    let column = |(name, tensor): (&str, Tensor)| Column { answer: true, ..Column::new(name, tensor) };
    let mut ids = Ids::default();
    let request = |row: usize| Request {
        message: row,
        id: ids.push("r"),
        rows: row..row + 1,
        form: Form::Avro,
        deadline: Request::NO_DEADLINE,
        has_headers: false,
        options: None,
        failure: None,
    };
    Group {
        route: std::sync::Arc::new(Route { pipeline: 0, models: Vec::new() }),
        columns: tensors.into_iter().map(column).collect(),
        requests: (0..2).map(request).collect(),
    }
}

#[test]
fn an_answer_is_what_confluents_deserializer_reads() {
    let group = answered();
    let mut out = Vec::new();
    Writer::new(258, "mill", "3", group.columns.iter()).write(&mut out, "r-1", Some(1..2));
    assert_eq!(out[..5], [0, 0, 0, 1, 2]);
    let golden = json!({
        "schema": Shape::of_group(&group).schema("every-type"),
        "body": hexadecimal(&out),
        "value": {
            "id": "r-1", "model_name": "mill", "model_version": "3", "bool": false, "uint8": 255, "uint32": u32::MAX,
            "uint64": u64::MAX, "int8": -128, "int64": i64::MIN, "fp16": -0.5, "fp32": [1.5, -2.0],
            "fp64": [[1.5], [0.1]], "label_1": "Käse",
        },
    });
    if std::env::var_os("MODELMILL_UPDATE_GOLDENS").is_some() {
        fs::write(data("answer.json"), format!("{golden:#}\n")).unwrap();
    }
    let known: Value = serde_json::from_str(&fs::read_to_string(data("answer.json")).unwrap()).unwrap();
    assert_eq!(golden, known, "scripts/make_avro_goldens.py read another answer");
}

#[test]
fn an_answer_is_read_by_the_schema_that_it_was_written_by() {
    let group = answered();
    let mut out = Vec::new();
    let id = 3;
    Writer::new(id, "mill", "3", group.columns.iter()).write(&mut out, "r-0", Some(0..1));
    let found = columns(&Shape::of_group(&group).schema("p"), &out).unwrap();
    let names: Vec<_> = found.as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert!(
        names.starts_with(&["id", "model_name", "model_version", "bool"]) && names.contains(&"label_1"),
        "{names:?}"
    );
}

proptest! {
    #[test]
    fn no_bytes_are_taken_for_more_than_they_are(data in vec(any::<u8>(), 0..60)) {
        avro(&data);
    }

    #[test]
    fn a_body_that_was_changed_anywhere_harms_nobody(case in 0_usize..400, at: prop::sample::Index, byte: u8) {
        let goldens = fs::read_to_string(data("values.jsonl")).unwrap();
        let golden: Value = serde_json::from_str(goldens.lines().nth(case).unwrap()).unwrap();
        let mut body = bytes(golden["body"].as_str().unwrap());
        if body.len() > 5 {
            let at = 5 + at.index(body.len() - 5);
            body[at] = byte;
        }
        drop(columns(&golden["schema"].to_string(), &body));
    }
}
