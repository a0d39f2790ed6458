//! Requests as users write them, and which path takes them.

use proptest::prelude::*;

use super::{ByRequest, Path, intake, run, run_with};
use crate::{
    codec::Routing,
    request::{AskedOutput, Form},
    tensor::{Elements, Tensor},
};

/// The only column that the bodies make together.
fn column(bodies: &[&str]) -> Tensor {
    let outcome = run(bodies, Path::Both);
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    assert_eq!((outcome.groups.len(), outcome.groups[0].columns.len()), (1, 1), "{bodies:?}");
    let column = outcome.groups[0].columns.iter().next().unwrap();
    Tensor::clone(&column.tensor)
}

fn tensor(shape: &[usize], elements: Elements) -> Tensor {
    Tensor::new(shape.to_vec(), elements).unwrap()
}

const IRIS: &str = r#"{"id":"a","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[5.1,3.5]}]}"#;

#[test]
fn requests_of_one_signature_stand_one_after_another() {
    let second = r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2],[3,4e0]]}],"id":7}"#;
    let outcome = run(&[IRIS, second], Path::Both);
    let group = &outcome.groups[0];
    let values = vec![5.1, 3.5, 1.0, 2.0, 3.0, 4.0];
    assert_eq!(*group.columns.find("x").unwrap().tensor, tensor(&[3, 2], Elements::Fp32(values)));
    let requests: Vec<_> = group
        .requests
        .iter()
        .map(|request| (outcome.ids.text(request.id), request.rows.clone(), request.form))
        .collect();
    assert_eq!(requests, [("a", 0..1, Form::Tensors), ("7", 1..3, Form::Tensors)]);
}

#[test]
fn usual_bodies_take_the_fast_path() {
    let alike = [
        [IRIS, r#"{"id": "b", "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[5, -3.5e1]]}]}"#],
        [IRIS, r#"{"inputs":[{"datatype":"FP32","shape":[0,2],"name":"x","data":[],"parameters":null}],"id":12}"#],
        [
            IRIS,
            r#"{"model_name":"m","model_version":1,"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":["NaN",null]}],"outputs":[{"name":"y"}],"parameters":{"a":1}}"#,
        ],
        [
            r#"{"inputs":[{"name":"t","shape":[1],"datatype":"BYTES","data":["a"]},{"name":"n","shape":[1],"datatype":"INT64","data":[1]}]}"#,
            r#"{"inputs":[{"name":"t","shape":[1],"datatype":"BYTES","data":["é\n\u00e9"]},{"name":"n","shape":[1],"datatype":"INT64","data":[-9007199254740993]}]}"#,
        ],
        [
            r#"{"instances":[{"a":1,"b":"s","c":true}]}"#,
            r#"{"id":"b","instances":[{"a":2.5,"b":"","c":false},{"a":null,"b":"NaN","c":true}]}"#,
        ],
        [r#"{"instances":[[1,2]]}"#, r#"{"signature_name":"serving","instances":[[1,2],[3,4]]}"#],
        [r#"{"instances":[1]}"#, r#"{"instances":[2,[3]]}"#],
        [r#"{"instances":["a"]}"#, r#"{"instances":["b\t"]}"#],
        [r#"{"instances":[[[1],[2]]]}"#, r#"{"instances":[[[1],[16777216]]]}"#],
    ];
    for bodies in alike {
        let outcome = run(&bodies, Path::Fast);
        assert!(outcome.refused.is_empty(), "{}: {:?}", bodies[1], outcome.refused);
        assert_eq!(outcome.describe(), run(&bodies, Path::Complete).describe());
    }
}

#[test]
fn what_needs_a_second_look_is_left_to_the_complete_path() {
    let row = r#"{"instances":[{"a":1}]}"#;
    for (first, second) in [
        (IRIS, r#"{"inputs":[{"name":"x","data":[1,2],"shape":[1,2],"datatype":"FP32"}]}"#),
        (IRIS, r#"{"inputs":[{"n\u0061me":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#),
        (IRIS, r#"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}"#),
        (row, r#"{"instances":[{"a":16777217}]}"#),
        (row, r#"{"instances":[{"a":"NaN"},{"a":1}]}"#),
        (row, r#"{"instances":[{"a":[1]},{"a":[2]}]}"#),
    ] {
        let both = run(&[first, second], Path::Both);
        assert!(both.refused.is_empty(), "{second}: {:?}", both.refused);
        assert_eq!(both.describe(), run(&[first, second], Path::Complete).describe());
    }
    assert_eq!(run(&[row, r#"{"instances":[{"a":16777217}]}"#], Path::Fast).refused.len(), 1);
}

#[test]
fn every_datatype_is_read() {
    let read = |datatype: &str, data: &str| {
        column(&[&format!(r#"{{"inputs":[{{"name":"x","shape":[2],"datatype":"{datatype}","data":{data}}}]}}"#)])
    };
    let vector = Tensor::vector;
    assert_eq!(read("BOOL", "[true, false]"), vector(Elements::Bool(vec![true, false])));
    assert_eq!(read("UINT8", "[0, 255]"), vector(Elements::Uint8(vec![0, 255])));
    assert_eq!(read("UINT16", "[1.0, 65535]"), vector(Elements::Uint16(vec![1, 65535])));
    assert_eq!(read("UINT32", "[1e3, 4294967295]"), vector(Elements::Uint32(vec![1000, u32::MAX])));
    assert_eq!(read("UINT64", "[0, 18446744073709551615]"), vector(Elements::Uint64(vec![0, u64::MAX])));
    assert_eq!(read("INT8", "[-128, 127]"), vector(Elements::Int8(vec![-128, 127])));
    assert_eq!(read("INT16", "[-32768, 0]"), vector(Elements::Int16(vec![i16::MIN, 0])));
    assert_eq!(read("INT32", "[-2147483648, -0]"), vector(Elements::Int32(vec![i32::MIN, 0])));
    let large = Elements::Int64(vec![9_007_199_254_740_993, i64::MIN]);
    assert_eq!(read("INT64", "[9007199254740993, -9223372036854775808]"), vector(large));
    let halves = [0.1, -2.0].map(half::f16::from_f32).to_vec();
    assert_eq!(read("FP16", "[0.1, -2]"), vector(Elements::Fp16(halves)));
    assert_eq!(
        read("FP32", "[Infinity, \"-Infinity\"]"),
        vector(Elements::Fp32(vec![f32::INFINITY, f32::NEG_INFINITY]))
    );
    assert_eq!(read("FP64", "[0.1, 1e-310]"), vector(Elements::Fp64(vec![0.1, 1e-310])));
    let strings = Elements::Bytes(["", "a\u{0}\u{1F600}\"/"].into_iter().collect());
    assert_eq!(read("BYTES", r#"["", "a\u0000\ud83d\ude00\"\/"]"#), vector(strings));
}

#[test]
fn scalars_are_bare_or_in_brackets_and_keep_a_group_to_themselves() {
    let scalar = |data: &str| format!(r#"{{"inputs":[{{"name":"x","shape":[],"datatype":"FP64","data":{data}}}]}}"#);
    let outcome = run(&[scalar("2.5"), scalar("[2.5]")], Path::Both);
    for group in &outcome.groups {
        assert_eq!(*group.columns.find("x").unwrap().tensor, tensor(&[], Elements::Fp64(vec![2.5])));
    }
    assert_eq!(outcome.groups.len(), 2);
}

#[test]
fn features_find_their_datatype_over_all_instances() {
    let read = |values: &str| column(&[&format!(r#"{{"instances":[{values}]}}"#)]).into_parts().1;
    assert_eq!(read("5, 5.0, null, 1e2").len(), 4);
    assert_eq!(read("5, 16777216"), Elements::Fp64(vec![5.0, 16_777_216.0]));
    assert_eq!(read("5, 16777217"), Elements::Int64(vec![5, 16_777_217]));
    assert_eq!(read("0, 18446744073709551615"), Elements::Uint64(vec![0, u64::MAX]));
    assert_eq!(read("0.5, 9007199254740992"), Elements::Fp64(vec![0.5, 9_007_199_254_740_992.0]));
    assert_eq!(read("\"Infinity\", 1"), Elements::Fp64(vec![f64::INFINITY, 1.0]));
    assert_eq!(read("\"NaN\", \"Infinity\""), Elements::Bytes(["NaN", "Infinity"].into_iter().collect()));
    assert_eq!(read("true, false"), Elements::Bool(vec![true, false]));
    let Elements::Fp64(missing) = read("null, NaN") else { panic!("missing values are FP64") };
    assert!(missing.iter().all(|value| value.is_nan()));
}

#[test]
fn rows_have_the_shape_of_their_instances() {
    let shape = |body: &str| column(&[body]).shape().to_vec();
    assert_eq!(shape(r#"{"instances":[1,2,3]}"#), [3, 1]);
    assert_eq!(shape(r#"{"instances":["a"]}"#), [1, 1]);
    assert_eq!(shape(r#"{"instances":[[1,2,3]]}"#), [1, 3]);
    assert_eq!(shape(r#"{"instances":[{"a":[[1,2],[3,4],[5,6]]},{"a":[[1,2],[3,4],[5,6]]}]}"#), [2, 3, 2]);
    assert_eq!(shape(r#"{"instances":[{"a":[]},{"a":[]}]}"#), [2, 0]);
    let outcome = run(&[r#"{"instances":[{"b":"s","a":1},{"a":2,"b":"t"}]}"#], Path::Both);
    let names: Vec<_> = outcome.groups[0].columns.iter().map(|column| (&*column.name, column.tensor.rows())).collect();
    assert_eq!(names, [("b", 2), ("a", 2)]);
    let outcome = run(&[r#"{"instances":[1]}"#], Path::Both);
    assert!(outcome.groups[0].columns.find(crate::request::UNNAMED).is_some());
}

#[test]
fn the_model_may_be_named_before_or_after_the_inputs() {
    let intake = intake(Routing::Chosen(Box::new(ByRequest)));
    let inputs = r#""inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]"#;
    let bodies = [
        format!(r#"{{"model_name":"a",{inputs}}}"#),
        format!(r#"{{"model_name":"b",{inputs},"model_version":2}}"#),
        format!(r#"{{{inputs},"model_name":"a"}}"#),
        format!(r#"{{{inputs},"model_version":"2","model_name":"b"}}"#),
        format!(r#"{{"model_version":null,"model_name":"b",{inputs}}}"#),
        format!("{{{inputs}}}"),
        format!(r#"{{"parameters":{{"m":"a"}},{inputs}}}"#),
        format!(r#"{{{inputs},"parameters":{{"m":"b"}},"model_version":2}}"#),
    ];
    let outcome = run_with(&intake, &bodies, Path::Both);
    let routes: Vec<_> = outcome
        .groups
        .iter()
        .map(|group| {
            let messages: Vec<_> = group.requests.iter().map(|request| request.message).collect();
            (&*group.route.models[0].name, messages)
        })
        .collect();
    assert_eq!(routes, [("a@latest", vec![0, 2, 6]), ("b@2", vec![1, 3, 7]), ("b@latest", vec![4])]);
    assert_eq!(outcome.refused[0].2.message(), "the request must name a model");
}

#[test]
fn an_id_of_ten_kilobytes_and_a_body_of_megabytes_are_fine() {
    let id = "é".repeat(5_000);
    let numbers = vec!["0.7254902"; 400_000].join(", ");
    let body =
        format!(r#"{{"id":"{id}","inputs":[{{"name":"x","shape":[400000],"datatype":"FP32","data":[{numbers}]}}]}}"#);
    let outcome = run(&[&body, &body], Path::Both);
    let group = &outcome.groups[0];
    assert_eq!((group.requests.len(), group.rows()), (2, 800_000));
    assert_eq!(outcome.ids.text(group.requests[1].id), id);
}

#[test]
fn options_cost_nothing_where_there_are_none() {
    let options = |rest: &str| {
        let body = format!(r#"{{"instances":[1]{rest}}}"#);
        let mut outcome = run(&[&body, &body], Path::Both);
        outcome.groups.remove(0).requests.remove(1).options
    };
    assert!(options("").is_none());
    assert!(options(r#","parameters":null,"outputs":[]"#).is_none());
    let options = options(r#","parameters": {"a" : 1},"outputs":[{"name":"z"},{"name":"y","parameters":{}}]"#).unwrap();
    assert_eq!(options.parameters.as_deref(), Some(r#"{"a" : 1}"#));
    let asked = |name: &str| AskedOutput { name: name.into(), binary: None };
    assert_eq!(options.outputs.as_deref().unwrap(), [asked("z"), asked("y")]);
}

proptest! {
    #[test]
    fn bare_words_of_python_are_the_same_on_both_paths(words in prop::collection::vec(
        prop::sample::select(vec!["NaN", "Infinity", "-Infinity", "1.5", "null", "\"NaN\"", "nan", "-NaN", "7"]), 2,
    )) {
        let body = format!(r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","data":[{}]}}]}}"#, words.join(","));
        prop_assert_eq!(run(&[IRIS, &body], Path::Both).describe(), run(&[IRIS, &body], Path::Complete).describe());
        let row = format!(r#"{{"instances":[{}]}}"#, words.join(","));
        let bodies = [r#"{"instances":[1]}"#, &row];
        prop_assert_eq!(run(&bodies, Path::Both).describe(), run(&bodies, Path::Complete).describe());
    }
}
