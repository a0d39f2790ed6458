//! Bodies with bytes behind their JSON, in and out.

use std::sync::Arc;

use half::f16;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{Behind, Misfit, Writer, append, size};
use crate::{
    broker::{
        Chunk,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{self, Decoded, Format, Intake, Intakes, Routing, envelope::HEADER_LENGTH},
    error::ErrorCode,
    request::{Form, Route},
    tensor::{Column, DataType, Elements, Tensor},
};

/// Decodes records of these JSON headers and bytes, as one chunk.
fn decode(bodies: &[(Value, &[u8])]) -> Decoded {
    let bodies: Vec<_> = bodies.iter().map(|(json, behind)| (json.to_string(), behind.to_vec())).collect();
    let record = |(json, behind): &(String, Vec<u8>)| MemoryRecord {
        payload: Some([json.as_bytes(), behind].concat()),
        headers: vec![
            ("Content-Type".to_owned(), Some(b"application/octet-stream".to_vec())),
            ("Inference-Header-Content-Length".to_owned(), Some(json.len().to_string().into_bytes())),
        ],
        ..MemoryRecord::default()
    };
    decode_records(bodies.iter().map(record).collect())
}

fn decode_records(records: Vec<MemoryRecord>) -> Decoded {
    let intake = Intake::new(0, Format::Json, Routing::Fixed(Arc::new(Route { pipeline: 0, models: Vec::new() })));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] };
    codec::decode(&Chunk::new(Box::new(MemoryRecords(records))), &intakes)
}

fn input(name: &str, datatype: &str, shape: &[usize], size: usize) -> Value {
    json!({"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}})
}

fn inputs(inputs: &[Value]) -> Value {
    json!({"id": "r", "inputs": inputs})
}

/// The error that a request is answered with.
fn refused(json: Value, behind: &[u8]) -> String {
    let decoded = decode(&[(json, behind)]);
    assert!(decoded.groups.is_empty());
    let [refused] = decoded.refused.as_slice() else { panic!("{:?}", decoded.refused) };
    assert_eq!((refused.error.code(), refused.is_letter), (ErrorCode::InvalidRequest, true));
    assert_eq!(decoded.ids.text(refused.id), "r", "the caller finds its answer");
    refused.error.message().to_owned()
}

#[test]
fn inputs_in_json_and_behind_it_stand_side_by_side_in_their_order() {
    let words = [&[3, 0, 0, 0][..], b"red", &[0, 0, 0, 0]].concat();
    let numbers: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    let body = inputs(&[
        input("word", "BYTES", &[2, 1], 11),
        json!({"name": "n", "shape": [2], "datatype": "INT64", "data": [7, 9]}),
        input("x", "FP32", &[2], 8),
    ]);
    let behind = [words, numbers].concat();
    // Neighbours, so that the fast path reads the second.
    let decoded = decode(&[(body.clone(), &behind), (body, &behind)]);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    let [group] = decoded.groups.as_slice() else { panic!("one signature is one group") };
    let of = |name: &str| group.columns.find(name).unwrap();
    let words: Vec<&str> = vec!["red", "", "red", ""];
    assert_eq!(of("word").tensor.elements(), &Elements::Bytes(words.iter().collect()));
    assert_eq!(of("word").tensor.shape(), [4, 1]);
    assert_eq!(of("n").tensor.elements(), &Elements::Int64(vec![7, 9, 7, 9]));
    assert_eq!(of("x").tensor.elements(), &Elements::Fp32(vec![1.5, -2.0, 1.5, -2.0]));
    assert_eq!((of("word").exact, of("n").exact, of("x").exact), (true, false, true), "binary data are never cast");
}

#[test]
fn no_datatype_minds_its_alignment() {
    for datatype in DataType::ALL.into_iter().filter(|datatype| *datatype != DataType::Bytes) {
        let width = size(&Elements::zeros(datatype, 1), 0..1);
        for before in 0..9 {
            let behind: Vec<u8> = (0..before + 3 * width as u8).map(|byte| byte % 2).collect();
            let body = inputs(&[
                input("before", "UINT8", &[1, before.into()], before.into()),
                input("x", datatype.as_str(), &[1, 3], 3 * width),
            ]);
            let decoded = decode(&[(body, &behind)]);
            assert!(decoded.refused.is_empty(), "{datatype} behind {before}: {:?}", decoded.refused);
            let x = decoded.groups[0].columns.find("x").unwrap();
            let mut written = Vec::new();
            super::write::put(&mut written, x.tensor.elements(), 0..3);
            assert_eq!(written, behind[before.into()..], "{datatype} behind {before}");
        }
    }
}

#[test]
fn sizes_that_lie_are_told_with_what_came() {
    let one = |size| inputs(&[input("x", "FP32", &[1, 2], size)]);
    for (body, behind, told) in [
        (one(8), &[0; 7][..], "input `x`: `binary_data_size` is 8, but only 7 bytes are left behind the JSON"),
        (one(8), &[0; 9], "1 bytes behind the JSON belong to no input: no `binary_data_size` counts them"),
        (one(12), &[0; 12], "input `x`: FP32 [1, 2] as binary data takes 8 bytes, but 12 came"),
        (one(7), &[0; 7], "input `x`: FP32 [1, 2] as binary data takes 8 bytes, but 7 came"),
        (
            inputs(&[input("x", "INT8", &[1 << 40, 1 << 20], 1)]),
            &[0],
            "input `x`: INT8 [1099511627776, 1048576] as binary data takes 1152921504606846976 bytes, but 1 came",
        ),
        (
            inputs(&[input("x", "FP64", &[1 << 31, 1 << 31], 8)]),
            &[0; 8],
            "input `x`: FP64 [2147483648, 2147483648] as binary data takes more bytes than can be counted, but 8 came",
        ),
        (
            inputs(&[input("x", "BOOL", &[2], 2)]),
            &[1, 2],
            "input `x`: BOOL [2] as binary data is 0 or 1 in each element, but 2 in element 1",
        ),
        (json!({"id": "r", "instances": [1]}), &[0], "1 bytes behind the JSON belong to no input"),
        (
            inputs(&[json!({"name": "x", "shape": [1], "datatype": "INT8", "data": [1],
                            "parameters": {"binary_data_size": 1}})]),
            &[0],
            "input `x` has `data` or a `binary_data_size`, but both came",
        ),
        (
            inputs(&[json!({"name": "x", "shape": [1], "datatype": "INT8", "parameters": {"binary_data_size": -1}})]),
            &[0],
            "`binary_data_size` in `parameters` of input `x` must be a whole number, 0 or more, but `-1` came",
        ),
    ] {
        let error = refused(body, behind);
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn strings_that_lie_about_their_lengths_are_told_with_their_index() {
    let broken = "as binary data breaks off in element";
    for (count, behind, told) in [
        (1, &[4, 0, 0, 0, b'a'][..], format!("{broken} 0")),
        (1, &[255; 8], format!("{broken} 0")),
        (2, &[1, 0, 0, 0, b'a', 0, 0, 0], format!("{broken} 1")),
        (usize::MAX, &[0; 4], format!("{broken} 1")),
        (1, &[0; 8], "as binary data ends 4 bytes before its data do".to_owned()),
    ] {
        let error = refused(inputs(&[input("s", "BYTES", &[count], behind.len())]), behind);
        assert!(error.contains(&told), "{error}");
    }
}

#[test]
fn a_header_that_is_longer_than_the_body_and_one_that_is_missing_are_told() {
    let record = |headers: &[(&str, &str)], body: &str| MemoryRecord {
        payload: Some(body.as_bytes().to_vec()),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec()))).collect(),
        ..MemoryRecord::default()
    };
    let told = |headers: &[(&str, &str)]| {
        let body = inputs(&[input("x", "INT8", &[1], 1)]).to_string();
        let decoded = decode_records(vec![record(headers, &body)]);
        decoded.refused[0].error.message().to_owned()
    };
    assert!(
        told(&[(HEADER_LENGTH, "1000")]).starts_with("the header `inference-header-content-length` says 1000, but")
    );
    assert!(told(&[(HEADER_LENGTH, "many")]).contains("must be a whole number"));
    let missing = told(&[]);
    assert!(missing.contains("input `x` has a `binary_data_size`, but the record has no header"), "{missing}");
}

#[test]
fn an_input_without_rows_needs_no_bytes_behind_the_json() {
    let record = |data: Value, rows: usize| {
        let mut input = input("x", "FP32", &[rows, 3], 0);
        input["data"] = data;
        MemoryRecord { payload: Some(inputs(&[input]).to_string().into_bytes()), ..MemoryRecord::default() }
    };
    // As KServe's client writes it: `data` is null, and there is no header length as there are no bytes.
    let decoded = decode_records(vec![record(Value::Null, 0)]);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    assert_eq!(decoded.groups[0].columns.find("x").unwrap().tensor.shape(), [0, 3]);
    let decoded = decode_records(vec![record(Value::Null, 1)]);
    let lie = decoded.refused[0].error.message();
    assert!(decoded.groups.is_empty() && lie.contains("input `x`"), "{lie}");
}

#[test]
fn bfloat16_is_an_input_that_no_model_takes() {
    let decoded = decode(&[(inputs(&[input("x", "BF16", &[1], 2)]), &[0, 0])]);
    let error = &decoded.refused[0].error;
    assert_eq!(error.code(), ErrorCode::InvalidInput);
    assert!(error.message().contains("send FP32 or FP16"), "{error}");
}

#[test]
fn a_request_asks_for_binary_outputs_one_by_one_or_for_all() {
    let form = |more: Value| {
        let mut body = json!({"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        decode(&[(body, b"")]).groups[0].requests[0].form
    };
    let output = |binary: Value| json!([{"name": "y"}, {"name": "z", "parameters": {"binary_data": binary}}]);
    assert_eq!(form(json!({})), Form::Tensors, "a binary request alone does not ask for it");
    assert_eq!(form(json!({"parameters": {"binary_data_output": true}})), Form::Binary);
    assert_eq!(form(json!({"outputs": output(json!(true))})), Form::Binary);
    assert_eq!(form(json!({"outputs": output(json!(null))})), Form::Tensors);
    let both = json!({"outputs": [{"name": "z", "parameters": {"binary_data": false}}],
                      "parameters": {"binary_data_output": true}});
    assert_eq!(form(both), Form::Tensors, "what an output says goes before what is said for all");
    let error = refused(json!({"id": "r", "inputs": [], "parameters": {"binary_data_output": 1}}), b"");
    assert!(error.contains("`binary_data_output` in `parameters` must be true or false, but `1` came"), "{error}");
}

/// An answer of every kind of output; `scripts/make_triton_goldens.py` reads its bytes with the real client.
fn answer() -> (Vec<u8>, usize) {
    let column =
        |name: &str, shape: &[usize], elements| Column::new(name, Tensor::new(shape.to_vec(), elements).unwrap());
    let mut scores = column("scores", &[2, 2], Elements::Fp32(vec![0.25, 0.75, 1.0, 0.0]));
    scores.classes = Some(Arc::new(Elements::Bytes(["no", "yes"].iter().collect())));
    let outputs = [
        (&column("word", &[2, 1], Elements::Bytes(["süß", ""].iter().collect())), true),
        (&scores, true),
        (&column("text", &[2], Elements::Bytes(["a", "b"].iter().collect())), false),
        (&column("count", &[2], Elements::Int64(vec![i64::MIN, 9_007_199_254_740_993])), true),
        (&column("half", &[2], Elements::Fp16(vec![f16::from_f32(0.5), f16::NAN])), true),
        (&column("flag", &[2, 2], Elements::Bool(vec![true, false, false, true])), true),
        (&column("none", &[2, 0], Elements::Uint16(vec![])), true),
        (&column("label", &[2], Elements::Int32(vec![1, -1])), false),
    ];
    let mut out = b"before".to_vec();
    let header = Writer::new("m\"1", "3", &outputs).write(&mut out, "a", Some(r#"{"x":1}"#), Some(0..2));
    (out.split_off(6), header)
}

#[test]
fn an_answer_is_what_the_real_client_was_shown() {
    let (answer, header) = answer();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/triton/answer.bin");
    if std::env::var_os("MODELMILL_UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &answer).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert!(answer == golden, "read it with scripts/make_triton_goldens.py: {}", String::from_utf8_lossy(&answer));
    let json: Value = serde_json::from_slice(&answer[..header]).unwrap();
    assert_eq!(json["outputs"][1]["parameters"], json!({"classes": ["no", "yes"], "binary_data_size": 16}));
    assert_eq!(json["outputs"][2]["data"], json!(["a", "b"]));
}

#[test]
fn a_request_gets_its_own_rows_as_bytes() {
    let column = Column::new("y", Tensor::matrix(2, Elements::Uint16(vec![1, 2, 3, 4, 5, 6])));
    let mut out = Vec::new();
    let header = Writer::new("m", "1", &[(&column, true)]).write(&mut out, "a", None, Some(1..3));
    let json: Value = serde_json::from_slice(&out[..header]).unwrap();
    assert_eq!(json["outputs"][0]["shape"], json!([2, 2]));
    assert_eq!(out[header..], [3, 0, 4, 0, 5, 0, 6, 0]);
}

#[test]
fn bytes_are_taken_whole_or_not_at_all() {
    let mut behind = Behind::new(&[1, 2, 3]);
    assert_eq!((behind.take(2), behind.take(2), behind.left()), (Some(&[1, 2][..]), None, 1));
    let mut nothing = Behind::default();
    assert_eq!((nothing.take(0), nothing.take(1), nothing.is_there()), (Some(&[][..]), None, false));
}

proptest! {
    #[test]
    fn elements_survive_being_written_and_read(
        datatype in select(DataType::ALL.as_slice()), bytes in vec(any::<u8>(), 0..64), strings in vec(".{0,5}", 0..9)
    ) {
        let mut elements = Elements::empty(datatype);
        if let Elements::Bytes(texts) = &mut elements {
            strings.iter().for_each(|string| texts.push(string.as_bytes()));
        } else {
            let width = size(&Elements::zeros(datatype, 1), 0..1);
            let bytes: Vec<u8> = bytes.iter().map(|byte| if datatype == DataType::Bool { byte % 2 } else { *byte }).collect();
            let count = bytes.len() / width;
            append(&mut elements, count, &bytes[..count * width]).unwrap();
            let wrong = append(&mut Elements::empty(datatype), count + 1, &bytes[..count * width]);
            prop_assert_eq!(wrong, Err(Misfit::Size { expected: Some((count + 1) * width), found: count * width }));
        }
        let mut written = Vec::new();
        super::write::put(&mut written, &elements, 0..elements.len());
        prop_assert_eq!(written.len(), size(&elements, 0..elements.len()));
        let mut read = Elements::empty(datatype);
        append(&mut read, elements.len(), &written).unwrap();
        let mut again = Vec::new();
        super::write::put(&mut again, &read, 0..read.len());
        prop_assert_eq!((read.len(), again), (elements.len(), written));
    }
}
