//! What `inspect` tells of a model is true, and the request that it prints is one that the model takes.

use modelmill::{
    backend::{Session, check_input},
    cli::inspect::{Report, inspect, locate},
    tensor::Columns,
};
use serde_json::Value;

use crate::{fixtures, golden, open};

fn report(name: &str) -> Report {
    inspect(&locate(&fixtures().join(name)).unwrap()).unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

#[test]
fn the_sample_request_of_every_model_is_one_that_it_takes() {
    let mut tried = 0;
    for folder in std::fs::read_dir(fixtures()).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        if name.starts_with("refused") {
            continue;
        }
        let report = report(&name);
        let folder = tempfile::tempdir().unwrap();
        report.write(folder.path()).unwrap();
        let written = std::fs::read_to_string(folder.path().join("request.json")).unwrap();
        let request: Value = serde_json::from_str(&written).unwrap();
        let inputs: Columns = request["inputs"].as_array().unwrap().iter().map(golden::read).collect();
        let mut session = open(&name);
        let batched = report.batching.axis != "none";
        for input in inputs.iter() {
            check_input(session.signature().input(&input.name).unwrap(), &input.tensor, batched).unwrap();
        }
        session.run(&inputs, batched.then_some(0..1)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.run_seconds.is_some_and(|seconds| seconds > 0.0), "{name}");
        tried += 1;
    }
    assert!(tried > 30, "only {tried} models were found");
}

#[test]
fn people_read_what_a_model_takes_and_gives_and_how_to_serve_it() {
    let text = report("zipmap_string").to_string();
    for part in [
        "zipmap_string, version 1\n",
        "made by   make_fixtures, operators of ai.onnx 20, ai.onnx.ml 3, file format 9",
        "inputs\n  scores  FP32 [?, 3]\n",
        "outputs\n  by_name  FP32 [?, 3]  virginica, setosa, versicolor\n",
        "batching\n  the first axis is the batch; rows of many requests share a run: every first axis is dynamic",
        "topics: [zipmap_string.requests]",
        "- predict: {model: zipmap_string}",
        r#"{"name":"scores","shape":[1,3],"datatype":"FP32","data":["#,
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    assert!(report("optional_input").to_string().contains("factor  FP32 [1]     may be left out"));
    assert!(report("fixed_four").to_string().contains("runs are cut and filled up to 4 rows"));
    assert!(report("time_axis").to_string().contains("one request a run: rows disturb each other"));
}

#[test]
fn programs_read_the_same_as_json() {
    let json = serde_json::to_value(report("fixed_four")).unwrap();
    assert_eq!(json["model"], "fixed_four");
    assert_eq!(json["inputs"][0], serde_json::json!({"name": "x", "datatype": "FP32", "shape": [4, 3]}));
    assert_eq!((&json["batching"]["axis"], &json["batching"]["rows"]), (&"fixed".into(), &4.into()));
    assert_eq!(json["request"]["inputs"][0]["shape"], serde_json::json!([1, 3]));
    let unranked = serde_json::to_value(report("unranked_output")).unwrap();
    assert_eq!(unranked["outputs"][0]["shape"], Value::Null);
    assert_eq!(json["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_model_with_weights_beside_it_is_as_large_as_both() {
    let folder = fixtures().join("external_data/1");
    let bytes = |file: &str| std::fs::metadata(folder.join(file)).unwrap().len();
    assert_eq!(report("external_data").size, bytes("model.onnx") + bytes("weights.bin"));
}

#[test]
fn a_model_that_cannot_be_served_is_an_error_with_the_reason() {
    let error = inspect(&locate(&fixtures().join("refused_truncated")).unwrap()).unwrap_err();
    assert!(format!("{error:#}").contains("is cut short"), "{error:#}");
}
