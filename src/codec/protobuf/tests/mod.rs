//! Protobuf in and out, with `prost` and tritonclient on the other side.

use std::{fs, path::Path, sync::Arc};

use half::f16;
use proptest::{collection::vec, prelude::*};
use prost::Message;

use super::{Writer, find_id};
use crate::{
    codec::binary,
    request::Options,
    tensor::{Column, DataType, Elements, Tensor},
};
use claims::{decode, protobuf};
use messages::{
    Choice, InferParameter, InferRequestedOutputTensor, InferTensorContents, ModelInferRequest, ModelInferResponse,
    Tensor as Input,
};

pub(in crate::codec) mod claims;
mod messages;

/// Three elements of every datatype.
fn samples() -> [Elements; 13] {
    [
        Elements::Bool(vec![true, false, true]),
        Elements::Uint8(vec![0, 1, u8::MAX]),
        Elements::Uint16(vec![0, 1, u16::MAX]),
        Elements::Uint32(vec![0, 1, u32::MAX]),
        Elements::Uint64(vec![0, 1, u64::MAX]),
        Elements::Int8(vec![i8::MIN, -1, i8::MAX]),
        Elements::Int16(vec![i16::MIN, -1, i16::MAX]),
        Elements::Int32(vec![i32::MIN, -1, i32::MAX]),
        Elements::Int64(vec![i64::MIN, -1, i64::MAX]),
        Elements::Fp16([0.5, -0.0, f32::INFINITY].map(f16::from_f32).to_vec()),
        Elements::Fp32(vec![f32::MIN_POSITIVE, -0.0, f32::INFINITY]),
        Elements::Fp64(vec![f64::MIN_POSITIVE, -0.0, f64::NEG_INFINITY]),
        Elements::Bytes(["", "Käse", "a\0b"].iter().collect()),
    ]
}

fn raw(elements: &Elements) -> Vec<u8> {
    let mut out = Vec::new();
    binary::put(&mut out, elements, 0..elements.len());
    out
}

fn input(name: &str, datatype: DataType, shape: &[i64], contents: Option<InferTensorContents>) -> Input {
    let (name, datatype) = (name.to_owned(), datatype.as_str().to_owned());
    Input { name, datatype, shape: shape.to_vec(), contents, ..Default::default() }
}

fn request(inputs: Vec<Input>, raw_input_contents: Vec<Vec<u8>>) -> ModelInferRequest {
    ModelInferRequest { inputs, raw_input_contents, ..Default::default() }
}

fn why(request: &ModelInferRequest) -> String {
    why_bytes(&request.encode_to_vec())
}

fn why_bytes(body: &[u8]) -> String {
    protobuf(body);
    let decoded = decode(&[body]);
    decoded.refused.first().unwrap_or_else(|| panic!("taken: {decoded:?}")).error.message().to_owned()
}

fn typed(elements: &Elements) -> Option<InferTensorContents> {
    let mut contents = InferTensorContents::default();
    match elements.clone() {
        Elements::Bool(all) => contents.bool_contents = all,
        Elements::Uint8(all) => contents.uint_contents = all.into_iter().map(Into::into).collect(),
        Elements::Uint16(all) => contents.uint_contents = all.into_iter().map(Into::into).collect(),
        Elements::Uint32(all) => contents.uint_contents = all,
        Elements::Uint64(all) => contents.uint64_contents = all,
        Elements::Int8(all) => contents.int_contents = all.into_iter().map(Into::into).collect(),
        Elements::Int16(all) => contents.int_contents = all.into_iter().map(Into::into).collect(),
        Elements::Int32(all) => contents.int_contents = all,
        Elements::Int64(all) => contents.int64_contents = all,
        Elements::Fp16(_) => return None,
        Elements::Fp32(all) => contents.fp32_contents = all,
        Elements::Fp64(all) => contents.fp64_contents = all,
        Elements::Bytes(all) => contents.bytes_contents = all.iter().map(<[u8]>::to_vec).collect(),
    }
    Some(contents)
}

#[test]
fn elements_of_every_datatype_are_the_same_raw_and_typed() {
    for elements in samples() {
        let datatype = elements.datatype();
        let raws = request(vec![input("x", datatype, &[3, 1], None)], vec![raw(&elements)]);
        let contents = typed(&elements);
        let typed = request(vec![input("x", datatype, &[3, 1], contents.clone())], vec![]);
        let bodies = [raws.encode_to_vec(), typed.encode_to_vec()];
        let decoded = decode(&[&bodies[0], &bodies[1]]);
        let found: Vec<_> = decoded.groups.iter().map(|group| group.columns.find("x").unwrap()).collect();
        // Raw data are never cast, typed ones may be: two groups. Halves have no typed form.
        let exact: Vec<_> = found.iter().map(|column| column.exact).collect();
        assert_eq!(exact, [true, false][..if contents.is_some() { 2 } else { 1 }], "{datatype}");
        for column in found {
            assert_eq!((column.tensor.shape(), column.tensor.elements()), (&[3, 1][..], &elements));
        }
        bodies.iter().for_each(|body| protobuf(body));
    }
}

#[test]
fn neighbours_of_one_signature_share_a_group_and_a_bad_one_leaves_no_trace() {
    let body = |id: &str, first: f32, bytes: usize| {
        let mut data = raw(&Elements::Fp32(vec![first, 2.0]));
        data.truncate(bytes);
        let inputs = ["x", "y"].map(|name| input(name, DataType::Fp32, &[1, 2], None)).to_vec();
        let raws = vec![raw(&Elements::Fp32(vec![first, 0.0])), data];
        ModelInferRequest { id: id.to_owned(), ..request(inputs, raws) }.encode_to_vec()
    };
    let bodies = [body("a", 1.0, 8), body("bad", 7.0, 5), body("c", 3.0, 8)];
    let decoded = decode(&[&bodies[0], &bodies[1], &bodies[2]]);
    let group = &decoded.groups[0];
    let ids: Vec<_> = group.requests.iter().map(|request| decoded.ids.text(request.id)).collect();
    assert_eq!((ids, decoded.ids.text(decoded.refused[0].id)), (vec!["a", "c"], "bad"));
    assert_eq!(group.columns.find("x").unwrap().tensor.elements(), &Elements::Fp32(vec![1.0, 0.0, 3.0, 0.0]));
    assert_eq!(group.columns.find("y").unwrap().tensor.elements(), &Elements::Fp32(vec![1.0, 2.0, 3.0, 2.0]));
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let fp32 = |contents| request(vec![input("x", DataType::Fp32, &[1, 2], contents)], vec![]);
    let floats = |count: usize| InferTensorContents { fp32_contents: vec![0.5; count], ..Default::default() };
    let ints = |values: &[i32]| InferTensorContents { int_contents: values.to_vec(), ..Default::default() };
    let with_raw = |request: ModelInferRequest, raws: &[usize]| ModelInferRequest {
        raw_input_contents: raws.iter().map(|bytes| vec![0; *bytes]).collect(),
        ..request
    };
    let int8 = request(vec![input("x", DataType::Int8, &[3], Some(ints(&[1, -128, 128])))], vec![]);
    let half = request(vec![input("x", DataType::Fp16, &[1], Some(floats(1)))], vec![]);
    let negative = request(vec![input("x", DataType::Fp32, &[1, -1], None)], vec![]);
    let huge = request(vec![input("x", DataType::Fp32, &[i64::MAX, i64::MAX], None)], vec![]);
    let twice = request(vec![input("x", DataType::Fp32, &[0], None), input("x", DataType::Fp32, &[0], None)], vec![]);
    let nameless = request(vec![input("", DataType::Fp32, &[0], None)], vec![]);
    let odd = request(vec![Input { datatype: "FLOAT".to_owned(), ..input("x", DataType::Fp32, &[0], None) }], vec![]);
    let bfloat = request(vec![Input { datatype: "BF16".to_owned(), ..input("x", DataType::Fp32, &[0], None) }], vec![]);
    let asked = InferRequestedOutputTensor { name: "y".to_owned(), ..Default::default() };
    let asks = ModelInferRequest { outputs: vec![asked.clone(), asked], ..fp32(Some(floats(2))) };
    for (request, expected) in [
        (fp32(None), "input `x`: FP32 [1, 2] as `contents` has 2 elements, but 0 came"),
        (fp32(Some(floats(3))), "has 2 elements, but 3 came"),
        (fp32(Some(ints(&[1, 2]))), "stands in `fp32_contents`, but `int_contents` came"),
        (half, "FP16 [1] as `contents` has no typed contents, but `fp32_contents` came; send raw_input_contents"),
        (int8, "INT8 [3] as `contents` cannot hold 128, which is element 2"),
        (with_raw(fp32(None), &[7]), "FP32 [1, 2] as raw_input_contents takes 8 bytes, but 7 came"),
        (with_raw(fp32(Some(floats(2))), &[8]), "`contents` or raw_input_contents, but both came"),
        (with_raw(fp32(None), &[8, 8]), "there are 1 inputs and 2 entries"),
        (negative, "the shape of inputs[0] has an axis of -1"),
        (huge, "more elements than can be counted"),
        (twice, "the input `x` stands twice"),
        (nameless, "inputs[0] has no name"),
        (odd, "must be one of BOOL, UINT8"),
        (asks, "`outputs` asks for `y` twice"),
    ] {
        let why = why(&request);
        assert!(why.contains(expected), "{why} instead of {expected}");
    }
    let decoded = decode(&[&bfloat.encode_to_vec()]);
    assert!(decoded.refused[0].error.message().contains("BF16, which is not supported; send FP32 or FP16"));
    let json = why_bytes(br#"{"inputs": []}"#);
    assert!(json.starts_with("the body is no inference.ModelInferRequest: at byte "), "{json}");
    assert!(why_bytes(&[0x2A, 0x7F, 0x0A]).contains("at byte 1 is a length that goes beyond the end"));
    assert!(why_bytes(&[0x0D, 0, 0, 0, 0]).contains("of another wire type"));
    assert!(why_bytes(&[0x1A, 1, 0xFF]).contains("no UTF-8"));
}

#[test]
fn the_id_is_found_before_the_fault() {
    let whole = ModelInferRequest { id: "a-1".to_owned(), ..request(vec![], vec![vec![1; 100]]) }.encode_to_vec();
    assert_eq!(find_id(&whole[..whole.len() - 1]), Some("a-1"));
    assert_eq!((find_id(b""), find_id(&[0x1A, 0])), (None, None));
}

#[test]
fn a_cut_body_is_refused_wherever_it_is_cut() {
    let contents = InferTensorContents { bytes_contents: vec![b"a".to_vec(), vec![]], ..Default::default() };
    let text = InferParameter { choice: Some(Choice::Text("t".to_owned())) };
    let body = ModelInferRequest {
        model_name: "m".to_owned(),
        id: "i".to_owned(),
        parameters: [("p".to_owned(), text)].into(),
        ..request(vec![input("x", DataType::Bytes, &[2], Some(contents))], vec![])
    };
    let body = body.encode_to_vec();
    (0..=body.len()).for_each(|end| protobuf(&body[..end]));
}

#[test]
fn an_answer_is_what_prost_reads() {
    for elements in samples() {
        let datatype = elements.datatype();
        let tensor = Tensor::new(vec![3, 1], elements.clone()).unwrap();
        let scalar = Tensor::new(vec![], Elements::Int64(vec![7])).unwrap();
        let mut columns = [Column::new("y", tensor), Column::new("s", scalar)];
        columns[0].classes = Some(Arc::new(Elements::Bytes(["a", "b\""].iter().collect())));
        let parameters = ModelInferRequest {
            parameters: [("n".to_owned(), InferParameter { choice: Some(Choice::Uint64(u64::MAX)) })].into(),
            ..Default::default()
        };
        let fields = parameters.encode_to_vec();
        let mut out = b"before".to_vec();
        Writer::new("iris", "3", &columns).write(&mut out, "r-1", Some(&fields), None);
        let answer = ModelInferResponse::decode(&out[6..]).unwrap();
        assert_eq!((&*answer.model_name, &*answer.model_version, &*answer.id), ("iris", "3", "r-1"));
        assert_eq!(answer.parameters, parameters.parameters);
        let [y, s] = &answer.outputs[..] else { panic!("{answer:?}") };
        assert_eq!((&*y.name, &*y.datatype, &y.shape[..]), ("y", datatype.as_str(), &[3, 1][..]));
        assert_eq!(y.parameters["classes"].choice, Some(Choice::Text(r#"["a","b\""]"#.to_owned())));
        assert_eq!((&*s.name, &*s.datatype, &s.shape[..]), ("s", "INT64", &[][..]));
        assert_eq!(answer.raw_output_contents, [raw(&elements), 7_i64.to_le_bytes().to_vec()]);
        let mut rows = Vec::new();
        Writer::new("iris", "3", &columns[..1]).write(&mut rows, "r-1", None, Some(1..2));
        let rows = ModelInferResponse::decode(&rows[..]).unwrap();
        let mut own = Elements::empty(datatype);
        own.extend_from(&elements, 1..2);
        assert_eq!((&rows.outputs[0].shape[..], &rows.raw_output_contents[0]), (&[1, 1][..], &raw(&own)));
    }
}

#[test]
fn parameters_come_back_and_are_json_for_what_chooses_a_model() {
    let choice = |choice| InferParameter { choice: Some(choice) };
    let parameters = [
        ("flag".to_owned(), choice(Choice::Bool(false))),
        ("least".to_owned(), choice(Choice::Int64(i64::MIN))),
        ("most".to_owned(), choice(Choice::Uint64(u64::MAX))),
        ("text".to_owned(), choice(Choice::Text("a\"b".to_owned()))),
        ("half".to_owned(), choice(Choice::Double(0.5))),
        ("nothing".to_owned(), InferParameter::default()),
    ];
    let request = ModelInferRequest { parameters: parameters.into(), ..request(vec![], vec![]) };
    let body = request.encode_to_vec();
    let json: serde_json::Value =
        serde_json::from_str(&super::parameters::json(super::wire::Walk::new(&body)).unwrap()).unwrap();
    let expected = serde_json::json!({"flag": false, "least": i64::MIN, "most": u64::MAX, "text": "a\"b", "half": 0.5,
                                      "nothing": null});
    assert_eq!(json, expected);
    let decoded = decode(&[&body]);
    let options: &Options = decoded.groups[0].requests[0].options.as_ref().unwrap();
    let kept = ModelInferRequest::decode(options.parameter_fields.as_deref().unwrap()).unwrap();
    assert_eq!(kept.parameters, request.parameters);
}

/// Requests that the real client made (`scripts/make_grpc_goldens.py`).
#[test]
fn requests_of_tritonclient_are_read_as_prost_reads_them() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grpc/requests.jsonl");
    let text = fs::read_to_string(file).unwrap();
    let mut requests = 0;
    for line in text.lines() {
        let golden: serde_json::Value = serde_json::from_str(line).unwrap();
        let body = from_hex(golden["body"].as_str().unwrap());
        protobuf(&body);
        assert!(decode(&[&body]).refused.is_empty(), "{line}");
        requests += 1;
    }
    assert!(requests > 100, "only {requests}");
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The answer that `scripts/make_grpc_goldens.py` reads with the real client.
#[test]
fn the_answer_that_tritonclient_reads_is_the_one_that_is_written() {
    let columns: Vec<_> = samples()
        .into_iter()
        .map(|elements| Column::new(elements.datatype().as_str().to_lowercase(), Tensor::matrix(1, elements)))
        .chain([Column::new("empty", Tensor::new(vec![0, 2], Elements::Fp32(vec![])).unwrap())])
        .collect();
    let mut out = Vec::new();
    Writer::new("all", "1", &columns).write(&mut out, "r-1", None, None);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grpc/answer.bin");
    if std::env::var_os("MODELMILL_UPDATE_GOLDENS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &out).unwrap();
    }
    assert_eq!(fs::read(&file).unwrap(), out, "MODELMILL_UPDATE_GOLDENS=1 writes it anew, then run the script");
}

fn any_input() -> impl Strategy<Value = Input> {
    let datatype = prop_oneof![
        9 => prop::sample::select(&DataType::ALL[..]).prop_map(|datatype| datatype.as_str().to_owned()),
        1 => "[A-Z]{0,4}[0-9]?"
    ];
    let contents = (vec(any::<bool>(), 0..3), vec(-300..300_i32, 0..4), vec(any::<u64>(), 0..3), vec(".{0,3}", 0..3));
    (("[a-c]{0,2}", datatype, vec(-1..4_i64, 0..3)), (contents, 0..14_usize)).prop_map(
        |((name, datatype, shape), ((bools, ints, longs, strings), kind))| {
            let mut contents = InferTensorContents::default();
            match kind {
                0 => contents.bool_contents = bools,
                1..=3 => contents.int_contents = ints,
                4..=6 => contents.uint_contents = ints.into_iter().map(|int| int as u32 % 512).collect(),
                7 => contents.uint64_contents = longs,
                8 => contents.int64_contents = longs.into_iter().map(|long| long as i64).collect(),
                9 => contents.fp32_contents = ints.into_iter().map(|int| int as f32).collect(),
                10 => contents.fp64_contents = longs.into_iter().map(f64::from_bits).collect(),
                11 => contents.bytes_contents = strings.into_iter().map(String::into_bytes).collect(),
                _ => {}
            }
            let contents = (kind < 13).then_some(contents);
            Input { name, datatype, shape, contents, ..Default::default() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_request_means_what_prost_makes_of_it(
        inputs in vec(any_input(), 0..4),
        raws in prop_oneof![3 => Just(vec![]), 1 => vec(vec(0..2_u8, 0..9), 0..4)],
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut body = ModelInferRequest { id: "i".to_owned(), ..request(inputs, raws) }.encode_to_vec();
        protobuf(&body);
        for (at, byte) in flips {
            *at.get_mut(&mut body) = byte;
        }
        protobuf(&body);
    }

    #[test]
    fn any_bytes_mean_what_prost_makes_of_them(body in vec(any::<u8>(), 0..64)) {
        protobuf(&body);
    }
}
