//! What is written, read back by `serde_json`.

use std::sync::Arc;

use half::f16;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{
    error::ErrorCode,
    tensor::{DataType, Elements},
};

const HEAD: AnswerHead<'_> = AnswerHead { id: "r\"1", model: "iris", version: "3", parameters: None };

fn text(head: &AnswerHead<'_>, columns: &[&Column], rows: Option<Range<usize>>, form: Form) -> String {
    let mut out = b"before ".to_vec();
    write_result(&mut out, head, columns, rows, form);
    String::from_utf8(out.split_off(7)).expect("answers are UTF-8")
}

fn value(columns: &[&Column], rows: Option<Range<usize>>, form: Form) -> Value {
    serde_json::from_str(&text(&HEAD, columns, rows, form)).expect("answers are JSON")
}

fn fp32(name: &str, shape: &[usize], values: &[f32]) -> Column {
    Column::new(name, Tensor::new(shape.to_vec(), Elements::Fp32(values.to_vec())).unwrap())
}

#[test]
fn tensors_are_named_and_flat_with_their_own_rows() {
    let mut scores = fp32("p", &[2, 2], &[0.5, 1.0, 1e-9, 3e20]);
    scores.classes = Some(Arc::new(Elements::Bytes(["no", "yes"].iter().collect())));
    let label = Column::new("label", Tensor::vector(Elements::Int64(vec![7, i64::MIN])));
    let answer = text(&HEAD, &[&label, &scores], Some(1..2), Form::Tensors);
    assert_eq!(
        answer,
        r#"{"model_name":"iris","model_version":"3","id":"r\"1","outputs":[{"name":"label","shape":[1],"datatype":"INT64","data":[-9223372036854775808]},{"name":"p","shape":[1,2],"datatype":"FP32","parameters":{"classes":["no","yes"]},"data":[1e-9,3e+20]}]}"#
    );
    assert_eq!(value(&[&scores], None, Form::Tensors)["outputs"][0]["shape"], json!([2, 2]));
    assert_eq!(value(&[], Some(0..1), Form::Tensors)["outputs"], json!([]));
}

#[test]
fn parameters_come_back_as_they_were_written() {
    let head = AnswerHead { parameters: Some(r#"{ "trace" : 1.50 }"#), ..HEAD };
    for form in [Form::Tensors, Form::Rows] {
        let answer = text(&head, &[&fp32("y", &[1], &[1.0])], None, form);
        assert!(answer.contains(r#","parameters":{ "trace" : 1.50 },"#), "{answer}");
    }
}

#[test]
fn scalars_and_empty_tensors_keep_their_shapes() {
    let scalar = value(&[&fp32("y", &[], &[2.0])], None, Form::Tensors);
    assert_eq!((&scalar["outputs"][0]["shape"], &scalar["outputs"][0]["data"]), (&json!([]), &json!([2.0])));
    let empty = value(&[&fp32("y", &[0, 3], &[])], None, Form::Tensors);
    assert_eq!((&empty["outputs"][0]["shape"], &empty["outputs"][0]["data"]), (&json!([0, 3]), &json!([])));
}

#[test]
fn predictions_have_the_form_of_their_rows() {
    let flat = fp32("a", &[2], &[1.0, 2.0]);
    let column = fp32("b", &[2, 1], &[3.0, 4.0]);
    let deep = fp32("c", &[2, 2, 1], &[5.0, 6.0, 7.0, 8.0]);
    let predictions = |columns: &[&Column], rows| value(columns, rows, Form::Rows)["predictions"].clone();
    assert_eq!(predictions(&[&flat], None), json!([1.0, 2.0]));
    assert_eq!(predictions(&[&column], Some(1..2)), json!([[4.0]]));
    assert_eq!(predictions(&[&deep], None), json!([[[5.0], [6.0]], [[7.0], [8.0]]]));
    assert_eq!(predictions(&[&flat, &column], Some(0..1)), json!([{"a": 1.0, "b": [3.0]}]));
    assert_eq!(predictions(&[&flat], Some(1..1)), json!([]));
    let scalar = fp32("s", &[], &[9.0]);
    assert_eq!(predictions(&[&scalar], None), json!(9.0));
    assert_eq!(predictions(&[&scalar, &flat], None), json!({"s": 9.0, "a": [1.0, 2.0]}));
}

#[test]
fn floats_that_json_cannot_say_are_words_and_whole_ones_keep_their_point() {
    let all = fp32("y", &[6], &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0, -0.0, 0.1]);
    let answer = text(&HEAD, &[&all], None, Form::Rows);
    assert!(answer.ends_with(r#""predictions":["NaN","Infinity","-Infinity",1.0,-0.0,0.1]}"#), "{answer}");
}

#[test]
fn bytes_that_are_no_text_become_replacement_characters() {
    let bytes = Elements::Bytes([&b"a\xFFb\xF0\x9F"[..], "é\u{1}\"\\\n\u{7f}".as_bytes()].into_iter().collect());
    let answer = value(&[&Column::new("y", Tensor::vector(bytes))], None, Form::Rows);
    assert_eq!(answer["predictions"], json!(["a\u{FFFD}b\u{FFFD}", "é\u{1}\"\\\n\u{7f}"]));
}

#[test]
fn an_error_names_its_code_and_its_request() {
    let mut out = Vec::new();
    write_error(&mut out, "r-\n1", &RequestError::new(ErrorCode::InvalidInput, "input `x` must be FP32 [?, \"4\"]"));
    let answer: Value = serde_json::from_slice(&out).unwrap();
    let error = json!({"code": "INVALID_INPUT", "message": "input `x` must be FP32 [?, \"4\"]"});
    assert_eq!(answer, json!({"id": "r-\n1", "error": error}));
}

/// Elements of one datatype; bits at random, so that floats of every kind come.
fn elements(datatype: DataType, bits: &[u64], strings: &[String]) -> Elements {
    macro_rules! integers {
        ($kind:ident, $integer:ty) => {
            Elements::$kind(bits.iter().map(|&bits| bits as $integer).collect())
        };
    }
    match datatype {
        DataType::Bool => Elements::Bool(bits.iter().map(|bits| bits & 1 == 1).collect()),
        DataType::Uint8 => integers!(Uint8, u8),
        DataType::Uint16 => integers!(Uint16, u16),
        DataType::Uint32 => integers!(Uint32, u32),
        DataType::Uint64 => integers!(Uint64, u64),
        DataType::Int8 => integers!(Int8, i8),
        DataType::Int16 => integers!(Int16, i16),
        DataType::Int32 => integers!(Int32, i32),
        DataType::Int64 => integers!(Int64, i64),
        DataType::Fp16 => Elements::Fp16(bits.iter().map(|&bits| f16::from_bits(bits as u16)).collect()),
        DataType::Fp32 => Elements::Fp32(bits.iter().map(|&bits| f32::from_bits(bits as u32)).collect()),
        DataType::Fp64 => Elements::Fp64(bits.iter().map(|&bits| f64::from_bits(bits)).collect()),
        DataType::Bytes => Elements::Bytes(strings.iter().collect()),
    }
}

/// What a JSON value says, in the bits of a datatype; `NaN`s of all kinds are one.
fn bits(datatype: DataType, leaf: &str) -> u64 {
    let word = |leaf: &str| leaf.trim_matches('"').replace("Infinity", "inf");
    let nan = |is_nan: bool, bits: u64| if is_nan { u64::MAX } else { bits };
    match datatype {
        DataType::Bool => leaf.parse::<bool>().unwrap().into(),
        DataType::Fp16 => {
            let half = f16::from_f32(word(leaf).parse().unwrap());
            nan(half.is_nan(), half.to_bits().into())
        }
        DataType::Fp32 => {
            let float: f32 = word(leaf).parse().unwrap();
            nan(float.is_nan(), float.to_bits().into())
        }
        DataType::Fp64 => {
            let float: f64 = word(leaf).parse().unwrap();
            nan(float.is_nan(), float.to_bits())
        }
        _ => leaf.parse::<i128>().unwrap() as u64,
    }
}

#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    outputs: Vec<Written<'a>>,
}

#[derive(serde::Deserialize)]
struct Written<'a> {
    datatype: String,
    shape: Vec<usize>,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_datatype_is_read_back_to_the_same_values(
        datatype in prop::sample::select(&DataType::ALL[..]),
        values in vec((any::<u64>(), ".{0,6}"), 0..7),
        width in 1..3_usize,
        first in any::<prop::sample::Index>(),
    ) {
        let rows = values.len() / width;
        let (numbers, strings): (Vec<u64>, Vec<String>) = values[..rows * width].iter().cloned().unzip();
        let tensor = Tensor::new(vec![rows, width], elements(datatype, &numbers, &strings)).unwrap();
        let first = first.index(rows + 1);
        let written = text(&HEAD, &[&Column::new("y", tensor.clone())], Some(first..rows), Form::Tensors);
        let answer: Answer<'_> = serde_json::from_str(&written).unwrap();
        let output = &answer.outputs[0];
        prop_assert_eq!((&*output.datatype, &output.shape[..]), (datatype.as_str(), &[rows - first, width][..]));
        prop_assert_eq!(output.data.len(), (rows - first) * width);
        for (leaf, at) in output.data.iter().zip(first * width..) {
            if datatype == DataType::Bytes {
                prop_assert_eq!(&serde_json::from_str::<String>(leaf.get()).unwrap(), &strings[at]);
                continue;
            }
            let mut whole = Vec::new();
            elements::list(&mut whole, tensor.elements(), at..at + 1);
            let mask = match datatype {
                DataType::Bool => 1,
                DataType::Fp16 => 0xFFFF,
                DataType::Fp32 => 0xFFFF_FFFF,
                _ => u64::MAX,
            };
            let expected = match tensor.elements() {
                Elements::Fp16(all) if all[at].is_nan() => u64::MAX,
                Elements::Fp32(all) if all[at].is_nan() => u64::MAX,
                Elements::Fp64(all) if all[at].is_nan() => u64::MAX,
                Elements::Uint8(all) => all[at].into(),
                Elements::Uint16(all) => all[at].into(),
                Elements::Uint32(all) => all[at].into(),
                Elements::Int8(all) => i64::from(all[at]) as u64,
                Elements::Int16(all) => i64::from(all[at]) as u64,
                Elements::Int32(all) => i64::from(all[at]) as u64,
                _ => numbers[at] & mask,
            };
            prop_assert_eq!(bits(datatype, leaf.get()), expected, "{}", leaf);
        }
    }

    #[test]
    fn any_text_is_escaped_as_serde_json_reads_it(text: String, bytes in vec(any::<u8>(), 0..20)) {
        let column = |bytes: &[u8]| Column::new(&*text, Tensor::vector(Elements::Bytes([bytes].into_iter().collect())));
        let mut out = Vec::new();
        let head = AnswerHead { id: &text, model: &text, version: &text, parameters: None };
        write_result(&mut out, &head, &[&column(&bytes)], None, Form::Tensors);
        let answer: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!([&answer["id"], &answer["model_name"], &answer["model_version"]], [&*text; 3]);
        prop_assert_eq!(&answer["outputs"][0]["name"], &*text);
        prop_assert_eq!(&answer["outputs"][0]["data"][0], &*String::from_utf8_lossy(&bytes));
    }
}
