//! What a bad request is told, and that its id is found.

use super::{Path, run};
use crate::error::ErrorCode;

/// The sentence for a body, which must be refused on every path, with the id.
fn refusal(body: &str) -> (Option<String>, String) {
    let good = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[5.1,3.5]}]}"#;
    let outcome = run(&[good, body], Path::Both);
    assert_eq!(outcome.groups[0].rows(), 1, "the neighbour keeps its row");
    let [(1, id, error)] = &outcome.refused[..] else { panic!("taken: {body}") };
    assert_eq!(error.code(), ErrorCode::InvalidRequest);
    let alone = run(&[body], Path::Both);
    assert_eq!(alone.refused[0].2.message(), error.message());
    (id.clone(), without_place(error.message(), body))
}

/// The sentence without ` (byte 17)`, after a check that what it shows stands there.
fn without_place(message: &str, body: &str) -> String {
    let Some((before, after)) = message.split_once(" (byte ") else { return message.to_owned() };
    let (place, after) = after.split_once(')').unwrap();
    let shown = before.strip_suffix(" came").unwrap_or(before).strip_suffix('`').unwrap();
    let value = shown.rsplit_once('`').unwrap().1;
    assert!(body[place.parse().unwrap()..].starts_with(value.trim_end_matches('…')), "{message}");
    format!("{before}{after}")
}

fn said(body: &str) -> String {
    refusal(body).1
}

/// The sentence for one input, of which `rest` is all but the name.
fn input(rest: &str) -> String {
    let (id, message) = refusal(&format!(r#"{{"inputs":[{{"name":"x",{rest}}}],"id":"r-1"}}"#));
    assert_eq!(id.as_deref(), Some("r-1"), "{message}");
    message
}

fn data(shape: &str, datatype: &str, data: &str) -> String {
    input(&format!(r#""shape":{shape},"datatype":"{datatype}","data":{data}"#))
}

#[test]
fn broken_json_says_where_and_what_was_expected() {
    assert_eq!(said("{"), "the body is broken at byte 1: expected a string, but it ends there");
    assert_eq!(said(r#"{"a" 1}"#), "the body is broken at byte 5: expected `:`, but `1` came");
    assert_eq!(said(r#"{"a":1}x"#), "the body is broken at byte 7: expected the end of the body, but `x` came");
    assert_eq!(said(r#"{"a":[1,]}"#), "the body is broken at byte 8: expected a value, but `]` came");
    assert_eq!(said(r#"{"a":01}"#), "the body is broken at byte 5: expected a value, but `0` came");
    assert_eq!(
        said("{\"a\":\"\n\"}"),
        "the body is broken at byte 6: expected the rest of a string (control characters must be escaped), but `\\n` came"
    );
    assert_eq!(said(r#"[1]"#), "a request must be a JSON object with `inputs` or `instances`, but `[1]` came");
    assert_eq!(said("  "), "the body is broken at byte 2: expected `{`, but it ends there");
}

#[test]
fn the_id_is_found_where_the_body_is_broken_behind_it() {
    assert_eq!(refusal(r#"{"id":"r-1","inputs":[{"#).0.as_deref(), Some("r-1"));
    assert_eq!(refusal(r#"{"id":17,"inputs":nul}"#).0.as_deref(), Some("17"));
    assert_eq!(refusal(r#"{"inputs":[{"shape":[01]}],"id":"r-1"}"#).0.as_deref(), Some("r-1"));
    assert_eq!(refusal(r#"{"inputs":[{"#).0, None);
    assert_eq!(refusal(r#"{"id":["r"],"inputs":[]}"#).0, None);
    let outcome = run(&[&b"{\"id\":\"r-1\",\"inputs\":\"\xFF\"}"[..]], Path::Both);
    let (_, id, error) = &outcome.refused[0];
    assert_eq!((id.as_deref(), error.message()), (Some("r-1"), "the body is no UTF-8 from byte 22 on"));
}

#[test]
fn endless_brackets_are_an_error_like_any_other() {
    for body in [
        "[".repeat(100_000),
        format!(r#"{{"id":"r","x":{}"#, "[".repeat(100_000)),
        format!(r#"{{"id":"r","inputs":[{{"name":"x","shape":[1],"datatype":"FP32","data":{}"#, "[".repeat(100_000)),
        format!(r#"{{"id":"r","instances":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
        format!(r#"{{"id":"r","parameters":{}1{}}}"#, "{\"a\":".repeat(100_000), "}".repeat(100_000)),
    ] {
        let message = said(&body);
        assert!(message.contains("expected at most 128 nested brackets, but `"), "{message}");
    }
}

#[test]
fn the_outer_object_is_checked() {
    assert_eq!(said("{}"), "a request has `inputs` or `instances`, but neither came");
    assert_eq!(said(r#"{"inputs":null}"#), "a request has `inputs` or `instances`, but neither came");
    assert_eq!(said(r#"{"inputs":[],"instances":[]}"#), "a request has `inputs` or `instances`, but both came");
    assert_eq!(said(r#"{"inputs":{}}"#), "`inputs` must be an array, but `{}` came");
    assert_eq!(said(r#"{"id":1,"id":2}"#), "the key `id` stands twice in the body");
    assert_eq!(said(r#"{"id":null,"\u0069d":2}"#), "the key `id` stands twice in the body");
    assert_eq!(said(r#"{"id":true}"#), "`id` must be a string or a number, but `true` came");
    assert_eq!(said(r#"{"model_name":1}"#), "`model_name` must be a string, but `1` came");
    assert_eq!(said(r#"{"parameters":[1]}"#), "`parameters` must be an object, but `[1]` came");
    assert!(said(r#"{"parameters":{"a":NaN}}"#).contains("expected a value, but `N` came"));
    assert_eq!(said(r#"{"outputs":[{"name":"y"},{"name":"y"}]}"#), "`outputs` asks for `y` twice");
    assert_eq!(said(r#"{"outputs":[{}]}"#), "outputs[0] has no name");
}

#[test]
fn an_input_without_a_part_names_the_part() {
    assert_eq!(said(r#"{"inputs":[{"shape":[1]}]}"#), "inputs[0] has no `name`");
    assert_eq!(said(r#"{"inputs":[{"name":""}]}"#), "the name of inputs[0] is empty");
    assert_eq!(input(r#""datatype":"FP32","data":[1]"#), "input `x` has no `shape`");
    assert_eq!(input(r#""shape":[1],"data":[1]"#), "input `x` has no `datatype`");
    assert_eq!(input(r#""shape":[1],"datatype":"FP32","data":null"#), "input `x` has no `data`");
    assert_eq!(
        input(r#""shape":[1],"shape":[1],"datatype":"FP32","data":[1]"#),
        "the key `shape` stands twice in inputs[0]"
    );
    assert_eq!(
        data("[1]", "fp32", "[1]"),
        "the datatype of input `x` must be one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BYTES, but `fp32` came"
    );
    let one = r#"{"name":"x","shape":[1],"datatype":"FP32","data":[1]}"#;
    assert_eq!(said(&format!(r#"{{"inputs":[{one},{one}]}}"#)), "the input `x` stands twice");
}

#[test]
fn a_shape_must_be_countable() {
    assert_eq!(data("[-1]", "FP32", "[1]"), "shape[0] of input `x` must be a whole number, 0 or more, but `-1` came");
    assert_eq!(
        data("[1,1.5]", "FP32", "[1]"),
        "shape[1] of input `x` must be a whole number, 0 or more, but `1.5` came"
    );
    assert_eq!(data("4", "FP32", "[1]"), "the shape of input `x` must be an array, but `4` came");
    assert!(data("[18446744073709551616]", "FP32", "[1]").starts_with("shape[0] of input `x` must be a whole number"));
    assert_eq!(
        data("[4294967296,4294967296]", "FP32", "[1]"),
        "shape [4294967296, 4294967296] of input `x` has more elements than can be counted"
    );
    assert_eq!(data("[9999999999,0]", "FP32", "[]"), "the shape of `x` has more elements than any request can hold");
}

#[test]
fn data_that_do_not_fit_the_shape_name_both_counts() {
    assert_eq!(data("[2,2]", "FP32", "[1,2,3]"), "input `x`: data has 3 elements, but shape [2, 2] has 4");
    assert_eq!(data("[2]", "BYTES", r#"["a","b","c"]"#), "input `x`: data has 3 elements, but shape [2] has 2");
    assert_eq!(
        data("[1000000000000]", "FP32", "[1]"),
        "input `x`: data has 1 elements, but shape [1000000000000] has 1000000000000"
    );
    assert_eq!(data("[2,2]", "FP32", "[[1,2],[3]]"), "input `x`: data[1] has 1 entries, but shape[1] of [2, 2] says 2");
    assert_eq!(data("[2,2]", "FP32", "[[1,2]]"), "input `x`: data has 1 entries, but shape[0] of [2, 2] says 2");
    assert_eq!(
        data("[2,1]", "FP32", "[[1],2]"),
        "input `x`: data[1] must be an array of 1, as shape [2, 1] says, but `2` came"
    );
    assert_eq!(
        data("[2]", "FP32", "[[1],[2]]"),
        "input `x`: data[0] is an array: the data are nested 2 deep, but shape [2] is not"
    );
    assert_eq!(data("[2]", "FP32", "7"), "input `x`: data must be an array, but `7` came");
}

#[test]
fn an_element_that_its_datatype_cannot_hold_is_shown() {
    assert_eq!(
        data("[2]", "INT8", "[1,300]"),
        "input `x`: data[1] is `300`, which is out of range for INT8 (-128 to 127)"
    );
    assert_eq!(
        data("[1]", "UINT64", "[18446744073709551616]"),
        "input `x`: data[0] is `18446744073709551616`, which is out of range for UINT64 (0 to 18446744073709551615)"
    );
    assert_eq!(data("[1]", "INT32", "[1.5]"), "input `x`: data[0] is `1.5`, but INT32 wants a whole number");
    assert_eq!(data("[1]", "INT32", "[null]"), "input `x`: data[0] is `null`, but INT32 wants a number");
    assert_eq!(data("[1]", "FP32", "[1e39]"), "input `x`: data[0] is `1e39`, which is beyond the range of FP32");
    assert_eq!(data("[1]", "FP16", "[65520]"), "input `x`: data[0] is `65520`, which is beyond the range of FP16");
    assert_eq!(data("[1]", "FP32", "[\"1\"]"), "input `x`: data[0] is `\"1\"`, but FP32 wants a number");
    assert_eq!(data("[1]", "BOOL", "[1]"), "input `x`: data[0] is `1`, but BOOL wants true or false");
    assert_eq!(data("[1,1]", "BYTES", "[[1]]"), "input `x`: data[0][0] is `1`, but BYTES wants a string");
    assert_eq!(
        data("[1]", "BYTES", r#"["\ud800"]"#),
        r#"input `x`: data[0] is `"\ud800"`, a string with half a surrogate pair"#
    );
    let long = data("[1]", "FP32", &format!("[\"{}\"]", "é".repeat(1000)));
    assert!(long.chars().count() < 150, "{long}");
}

#[test]
fn instances_must_be_alike() {
    assert_eq!(said(r#"{"instances":[]}"#), "`instances` is empty; a request has at least one instance");
    assert_eq!(said(r#"{"instances":{"a":1}}"#), "`instances` must be an array, but `{\"a\":1}` came");
    assert_eq!(said(r#"{"instances":[{}]}"#), "instances[0] has no features");
    assert_eq!(
        said(r#"{"instances":[{"a":1},[1]]}"#),
        "instances[1] is no object, but instances[0] is one: all must be of one kind"
    );
    assert_eq!(
        said(r#"{"instances":[1,{"a":1}]}"#),
        "instances[1] is an object, but instances[0] is none: all must be of one kind"
    );
    assert_eq!(
        said(r#"{"instances":[{"a":1,"b":1},{"a":1}]}"#),
        "instances[1] lacks the feature `b`, which instances[0] has"
    );
    assert_eq!(
        said(r#"{"instances":[{"a":1},{"a":1,"b":1}]}"#),
        "instances[1] has the feature `b`, which instances[0] has not"
    );
    assert_eq!(said(r#"{"instances":[{"a":1,"a":1}]}"#), "instances[0] has the feature `a` twice");
    assert_eq!(said(r#"{"instances":[{"a":1},{"a":1,"a":1}]}"#), "instances[1] has the feature `a` twice");
    assert_eq!(said(r#"{"instances":[{"":1}]}"#), "instances[0] has a feature without a name");
}

#[test]
fn a_feature_is_of_one_kind_and_one_shape() {
    assert_eq!(
        said(r#"{"instances":[{"a":1},{"a":"x"}]}"#),
        "instances[1]: feature `a` is `\"x\"`, a string, but numbers came before: the values of a feature are of one kind"
    );
    assert_eq!(
        said(r#"{"instances":["x",null]}"#),
        "instances[1] is `null`, null, but strings came before: the values of a feature are of one kind"
    );
    assert!(said(r#"{"instances":[true,1]}"#).contains("a number, but booleans came before"));
    assert!(said(r#"{"instances":["NaN",true]}"#).contains("a boolean, but strings came before"));
    assert!(
        said(r#"{"instances":[{"a":{"b":1}}]}"#)
            .starts_with("instances[0]: feature `a` must be a number, string, boolean or an array of them")
    );
    assert_eq!(
        said(r#"{"instances":[[1,2],[3]]}"#),
        "instances[1] is ragged at byte 20: an array of 1 came where arrays of 2 came before"
    );
    assert_eq!(
        said(r#"{"instances":[[[1],2]]}"#),
        "instances[0] is ragged at byte 19: a single value came where arrays came before"
    );
    assert_eq!(
        said(r#"{"instances":[[1],[[1]]]}"#),
        "instances[1] is ragged at byte 19: an array came where single values came before"
    );
    assert_eq!(
        said(r#"{"instances":[0.5,9007199254740993]}"#),
        "instances[1] is `9007199254740993`, which no FP64 holds exactly, and other values of the feature are no whole numbers"
    );
    assert_eq!(
        said(r#"{"instances":[-1,18446744073709551615]}"#),
        "instances[1] is `18446744073709551615`, and neither INT64 nor UINT64 holds all values of the feature"
    );
    assert_eq!(
        said(r#"{"instances":[{"a":1e999}]}"#),
        "instances[0]: feature `a` is `1e999`, which is beyond the range of FP64"
    );
}
