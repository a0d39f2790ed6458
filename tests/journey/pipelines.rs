//! Pipelines: steps around a model, chains of models, and what a step refuses.

use std::fs;

use serde_json::{Value, json};

use crate::{
    goldens::assert_outputs,
    support::{Ask, Rig, by_id, json},
};

/// The steps of a pipeline of the demo, and the cases of a golden file.
fn demo(pipeline: &str, golden: &str) -> (Value, Vec<Value>) {
    let root = env!("CARGO_MANIFEST_DIR");
    let read = |path: String| fs::read_to_string(path).unwrap();
    let file: Value = serde_yaml::from_str(&read(format!("{root}/models/pipelines/{pipeline}.yaml"))).unwrap();
    let cases = serde_json::from_str(&read(format!("{root}/tests/data/trained/goldens/{golden}.json"))).unwrap();
    (file["steps"].clone(), cases)
}

#[test]
fn raw_text_goes_in_and_a_label_comes_out() {
    let Some(rig) = Rig::new("text") else { return };
    let (steps, cases) = demo("spam", "spam_pipeline");
    rig.model("spam", 1, "models/spam/1");
    let lane = rig.lane("spam", steps);
    let asks: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| Ask::json(&json!({"id": index.to_string(), "inputs": case["inputs"]})))
        .collect();
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    let rows = lane.exchange(&[Ask::json(&json!({"id": "row", "instances": [
        {"text": "Your  INVOICE is overdue!\n Avoid legal action, pay £90 immediately at http://win-now.example"},
        {"text": "water the plants?"},
    ]}))]);
    worker.stop();
    assert!(cases.len() > 5);
    for (index, case) in cases.iter().enumerate() {
        assert_outputs(&format!("case {index}"), &json(&answers[&index.to_string()])["outputs"], &case["outputs"]);
    }
    let labels: Vec<_> = (0..2).map(|row| json(&rows["row"])["predictions"][row]["label"].clone()).collect();
    assert_eq!(labels, ["spam", "ham"]);
}

#[test]
fn digits_are_answered_with_their_likeliest_classes_by_name() {
    let Some(rig) = Rig::new("digits") else { return };
    let (steps, cases) = demo("digits", "digits");
    rig.model("digits", 1, "models/digits/1");
    let lane = rig.lane("digits", steps);
    let asks: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| Ask::json(&json!({"id": index.to_string(), "inputs": case["inputs"]})))
        .collect();
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    for (index, case) in cases.iter().enumerate() {
        let answer = json(&answers[&index.to_string()]);
        let output = |name: &str| {
            let outputs = answer["outputs"].as_array().unwrap();
            outputs.iter().find(|output| output["name"] == name).unwrap_or_else(|| panic!("{name}: {answer}")).clone()
        };
        let (labels, scores) = (output("labels"), output("scores"));
        let probabilities = case["reference"]["probabilities"].as_array().unwrap();
        assert_eq!((&labels["datatype"], &labels["shape"]), (&json!("BYTES"), &json!([probabilities.len(), 3])));
        for (row, probabilities) in probabilities.iter().enumerate() {
            let mut best: Vec<_> = probabilities.as_array().unwrap().iter().enumerate().collect();
            best.sort_by(|left, right| right.1.as_f64().unwrap().total_cmp(&left.1.as_f64().unwrap()));
            for (place, (class, probability)) in best.into_iter().take(3).enumerate() {
                let at = row * 3 + place;
                assert_eq!(labels["data"][at], class.to_string(), "{answer}");
                let (answered, expected) = (scores["data"][at].as_f64().unwrap(), probability.as_f64().unwrap());
                assert!((answered - expected).abs() < 1e-5, "{answered} instead of {expected}");
            }
        }
    }
}

#[test]
fn two_models_make_a_chain() {
    let Some(rig) = Rig::new("chain") else { return };
    rig.model("double", 1, "tests/data/fixtures/optional_input/1");
    rig.model("sum", 1, "tests/data/fixtures/fixed_one/1");
    rig.model("same", 1, "tests/data/fixtures/identity_fp32/1");
    // [n, 2] doubled; with a third column of zeros it feeds the next model, whose answer is then scaled.
    let lane = rig.lane(
        "chain",
        json!([
            {"predict": {"model": "double"}},
            {"stack": {"columns": ["y", "third"], "into": "x"}},
            {"predict": {"model": "same"}},
            {"clip": {"column": "y", "max": 10}},
            {"round": {"column": "y", "decimals": 1}},
        ]),
    );
    let ask = |id: &str, rows: &[[f64; 2]], third: &[f64]| {
        let count = rows.len();
        Ask::json(&json!({"id": id, "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [count, 2], "data": rows},
            {"name": "third", "datatype": "FP32", "shape": [count], "data": third},
        ]}))
    };
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        ask("one", &[[1.0, 2.0]], &[0.26]),
        ask("two", &[[3.0, 40.0], [-1.0, 0.0]], &[5.0, -0.04]),
        Ask::json(&json!({"id": "half", "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})),
    ]);
    worker.stop();
    let expected = |shape: Value, data: Value| json!([{"name": "y", "datatype": "FP32", "shape": shape, "data": data}]);
    assert_outputs("one", &json(&answers["one"])["outputs"], &expected(json!([1, 3]), json!([2.0, 4.0, 0.3])));
    let two = json!([6.0, 10.0, 5.0, -2.0, 0.0, 0.0]);
    assert_outputs("two", &json(&answers["two"])["outputs"], &expected(json!([2, 3]), two));
    let half = json(&answers["half"]);
    assert_eq!(half["error"]["code"], "INVALID_INPUT");
    assert!(half["error"]["message"].as_str().unwrap().contains("`third`"), "{half}");
    // The model that is named is the last of the chain.
    assert_eq!(json(&answers["one"])["model_name"], "same");
}

#[test]
fn a_step_that_refuses_a_row_fails_the_request_that_owns_it_and_no_other() {
    let Some(rig) = Rig::new("refuse") else { return };
    rig.model("same", 1, "tests/data/fixtures/identity_int64/1");
    let steps = |after: bool| {
        let cast = json!({"cast": {"column": if after { "y" } else { "x" }, "datatype": if after { "INT8" } else { "INT64" }}});
        let predict = json!({"predict": {"model": "same"}});
        if after { json!([predict, cast]) } else { json!([cast, predict]) }
    };
    let (before, after) = (rig.lane("before", steps(false)), rig.lane("after", steps(true)));
    let ask = |id: &str, data: Value| {
        let rows = data.as_array().unwrap().len();
        let datatype = if data[0][0].is_string() { "BYTES" } else { "INT64" };
        let input = json!({"name": "x", "datatype": datatype, "shape": [rows, 3], "data": data});
        Ask::json(&json!({"id": id, "inputs": [input]}))
    };
    // Sent before there is a worker, so that they come as one chunk.
    before.send(&[
        ask("good", json!([["1", " 2 ", "3"]])).partition(0),
        ask("bad", json!([["4", "5", "6"], ["7", "eight", "9"]])).partition(0),
        ask("fine", json!([["7", "8", "9"]])).partition(0),
    ]);
    after.send(&[
        ask("good", json!([[1, 2, 3]])).partition(0),
        ask("bad", json!([[300, 5, 6]])).partition(0),
        ask("fine", json!([[7, 8, -128]])).partition(0),
    ]);
    let mut worker = rig.worker();
    let (before, after) = (by_id(before.receive(3)), by_id(after.receive(3)));
    worker.stop();
    for (answers, code) in [(&before, "PREPROCESS_FAILED"), (&after, "POSTPROCESS_FAILED")] {
        let bad = json(&answers["bad"]);
        assert_eq!(bad["error"]["code"], code, "{bad}");
        assert!(bad["error"]["message"].as_str().unwrap().starts_with("step `cast`: "), "{bad}");
    }
    let data = |answer| json(answer)["outputs"][0]["data"].clone();
    assert_eq!((data(&before["good"]), data(&before["fine"])), (json!([1, 2, 3]), json!([7, 8, 9])));
    assert_eq!((data(&after["good"]), data(&after["fine"])), (json!([1, 2, 3]), json!([7, 8, -128])));
}
