//! The forms that a request may take, and the form that its answer takes after it.

use serde_json::{Value, json};

use crate::{
    goldens::{assert_outputs, is_close},
    support::{Ask, Lane, Rig, json, murmur2},
};

fn iris(rig: &Rig) -> Lane {
    rig.model("iris", 1, "models/iris/1");
    rig.lane("iris", json!([{"predict": {"model": "iris"}}]))
}

/// Two flowers, their classes and the probabilities of those, from the goldens.
const SETOSA: [f64; 4] = [5.1, 3.4, 1.5, 0.2];
const VIRGINICA: [f64; 4] = [6.3, 3.4, 5.6, 2.4];

fn input(data: Value) -> Value {
    json!([{"name": "input", "datatype": "FP32", "shape": [2, 4], "data": data}])
}

#[test]
fn tensors_may_be_flat_nested_or_of_a_wider_datatype_and_are_answered_as_tensors() {
    let Some(rig) = Rig::new("tensors") else { return };
    let lane = iris(&rig);
    let flat: Vec<_> = [SETOSA, VIRGINICA].concat();
    let wide = |datatype: &str| json!([{"name": "input", "datatype": datatype, "shape": [2, 4], "data": flat}]);
    let whole = json!([{"name": "input", "datatype": "INT64", "shape": [2, 4], "data": [5, 3, 1, 0, 6, 3, 6, 2]}]);
    let asks = [
        ("flat", json!({"id": "flat", "inputs": input(json!(flat))})),
        ("nested", json!({"id": "nested", "inputs": input(json!([SETOSA, VIRGINICA]))})),
        ("fp64", json!({"id": "fp64", "inputs": wide("FP64")})),
        ("int64", json!({"id": "int64", "inputs": whole})),
        // Absent and null are the same.
        (
            "nulls",
            json!({"id": "nulls", "parameters": null, "outputs": null, "inputs": input(json!(flat)), "unknown": [1]}),
        ),
        (
            "asked",
            json!({"id": "asked", "parameters": {"tenant": "blue", "n": [1, {"deep": null}]}, "inputs": input(json!(flat)),
                   "outputs": [{"name": "probabilities"}, {"name": "label"}]}),
        ),
        ("one", json!({"id": "one", "outputs": [{"name": "label"}], "inputs": input(json!(flat))})),
    ];
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks.map(|(_, body)| Ask::json(&body)));
    worker.stop();
    lane.assert_nothing_more();
    let outputs = |id: &str| json(&answers[id])["outputs"].clone();
    let label = json!({"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 2]});
    for id in ["flat", "nested", "fp64", "int64", "nulls"] {
        let answer = json(&answers[id]);
        assert_eq!(
            (&answer["id"], &answer["model_name"], &answer["model_version"]),
            (&json!(id), &json!("iris"), &json!("1"))
        );
        assert_eq!(answer.get("parameters"), None, "{answer}");
        assert_eq!(answer["outputs"][0], label, "{answer}");
        assert_eq!(answer["outputs"][1]["name"], "probabilities");
    }
    assert_outputs("nested", &outputs("nested"), &outputs("flat"));
    assert_outputs("fp64", &outputs("fp64"), &outputs("flat"));
    let probabilities = outputs("flat")[1]["data"].as_array().unwrap().clone();
    // The golden's last row: scikit-learn's own probability of virginica.
    assert!(is_close(probabilities[5].as_f64().unwrap(), 0.96385133), "{probabilities:?}");
    let asked = json(&answers["asked"]);
    assert_eq!(asked["parameters"], json!({"tenant": "blue", "n": [1, {"deep": null}]}));
    let names: Vec<_> = asked["outputs"].as_array().unwrap().iter().map(|output| output["name"].clone()).collect();
    assert_eq!(names, ["probabilities", "label"]);
    assert_eq!(outputs("one"), json!([label]));
}

#[test]
fn rows_may_be_objects_arrays_or_single_values_and_are_answered_as_rows() {
    let Some(rig) = Rig::new("rows") else { return };
    let lane = iris(&rig);
    rig.model("passengers", 1, "tests/data/trained/gradient_boosting/1");
    rig.model("topics", 1, "tests/data/trained/tfidf_topics/1");
    rig.model("line", 1, "tests/data/trained/linear_regression/1");
    rig.model("poison", 1, "tests/data/fixtures/poison/1");
    let any = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let passenger = |port: &str| json!({"Age": 14, "Fare__GBP_": 68.07, "Port": port, "Cabin_class": "first"});
    let to = |model: &str, id: &str, instances: Value| {
        Ask::json(&json!({"id": id, "model_name": model, "instances": instances}))
    };
    let mut worker = rig.worker();
    let flowers = lane.exchange(&[
        Ask::json(&json!({"id": "arrays", "instances": [SETOSA, VIRGINICA]})),
        Ask::json(&json!({"id": "objects", "instances": [{"input": SETOSA}, {"input": VIRGINICA}]})),
        Ask::json(&json!({"id": "label", "instances": [SETOSA, VIRGINICA], "outputs": [{"name": "label"}],
                          "parameters": {"a": 1}})),
    ]);
    let answers = any.exchange(&[
        to("passengers", "objects", json!([passenger("Atlantis"), passenger("Queenstown")])),
        to("topics", "strings", json!(["rain rain storm", "goal match team"])),
        to("topics", "wrapped", json!([["rain rain storm"], ["goal match team"]])),
        to(
            "line",
            "one",
            json!([[
                0.038075905,
                0.05068012,
                0.061696205,
                0.021872386,
                -0.0442235,
                -0.03482076,
                -0.043400846,
                -0.002592262,
                0.019907486,
                -0.017646125
            ]]),
        ),
    ]);
    worker.stop();
    for id in ["arrays", "objects"] {
        let answer = json(&flowers[id]);
        let predictions = answer["predictions"].as_array().unwrap();
        let labels: Vec<_> = predictions.iter().map(|row| row["label"].clone()).collect();
        assert_eq!(labels, [0, 2], "{answer}");
        let virginica = predictions[1]["probabilities"][2].as_f64().unwrap();
        assert!(is_close(virginica, 0.96385133), "{answer}");
        assert_eq!(answer["id"], id);
    }
    let label = json(&flowers["label"]);
    assert_eq!((&label["predictions"], &label["parameters"]), (&json!([0, 2]), &json!({"a": 1})));
    let saved = json(&answers["objects"]);
    assert_eq!(saved["predictions"][0]["label"], "saved");
    assert!(is_close(saved["predictions"][0]["probabilities"][1].as_f64().unwrap(), 0.9739647), "{saved}");
    for id in ["strings", "wrapped"] {
        let topics = json(&answers[id]);
        let labels: Vec<_> = (0..2).map(|row| topics["predictions"][row]["output_label"].clone()).collect();
        assert_eq!(labels, ["weather", "sport"], "{topics}");
    }
    // One output of one column: the row is an array of one.
    let line = json(&answers["one"])["predictions"].clone();
    assert!(is_close(line[0][0].as_f64().unwrap(), 206.11667), "{line}");
}

#[test]
fn an_id_is_taken_from_the_body_then_the_header_then_the_key_then_the_position() {
    let Some(rig) = Rig::new("ids") else { return };
    let lane = iris(&rig);
    let body = |id: Option<Value>| {
        let mut body = json!({"instances": [SETOSA]});
        if let Some(id) = id {
            body["id"] = id;
        }
        Ask::json(&body)
    };
    lane.send(&[
        body(Some(json!("text"))).header("x-request-id", "header").key("key"),
        body(Some(json!(17))),
        Ask::bytes(r#"{"instances": [[5.1, 3.4, 1.5, 0.2]], "id": 12345678901234567890.50}"#),
        body(None).header("X-Request-Id", "header").key("key"),
        body(Some(Value::Null)).key("key"),
        body(Some(json!(""))).key("empty body id"),
        body(Some(json!("quote \" \\ \u{1F980} \u{0}"))),
        body(None).partition(2),
        body(None).key(b"\xFF\xFE".as_slice()).partition(2),
    ]);
    let mut worker = rig.worker();
    let answers = lane.receive(9);
    worker.stop();
    lane.assert_nothing_more();
    let position = |offset: i64| format!("{}-2-{offset}", lane.requests);
    // Whatever else fell into partition 2, these two are the last of it but in the order in which they were sent.
    let mut ids: Vec<String> = answers.iter().map(|answer| json(answer)["id"].as_str().unwrap().to_owned()).collect();
    let at = |ids: &[String], id: &str| ids.iter().position(|found| found == id);
    let expected =
        ["text", "17", "12345678901234567890.50", "header", "key", "empty body id", "quote \" \\ \u{1F980} \u{0}"];
    for id in expected {
        let found = at(&ids, id).unwrap_or_else(|| panic!("no answer to `{id}` in {ids:?}"));
        ids.remove(found);
    }
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!((0..9).any(|offset| ids.contains(&position(offset)) && ids.contains(&position(offset + 1))), "{ids:?}");
    for answer in &answers {
        // An answer's key is its request's id, and it lies where a Java producer would have put it.
        let (key, id) = (answer.key.as_deref().unwrap(), json(answer)["id"].as_str().unwrap().to_owned());
        assert_eq!(key, id.as_bytes());
        assert_eq!(answer.partition, murmur2::partition(key, 3), "{id}");
    }
}

#[test]
fn what_is_no_number_travels_as_text_and_what_is_missing_is_nan() {
    let Some(rig) = Rig::new("nan") else { return };
    rig.model("same", 1, "tests/data/fixtures/identity_fp32/1");
    rig.model("large", 1, "tests/data/fixtures/identity_int64/1");
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let tensor = |id: &str, data: &str| {
        Ask::bytes(format!(
            r#"{{"id": "{id}", "model_name": "same", "inputs": [{{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": {data}}}]}}"#
        ))
    };
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        tensor("texts", r#"["NaN", "Infinity", "-Infinity"]"#),
        tensor("bare", "[NaN, Infinity, -Infinity]"),
        tensor("missing", "[[null, 1e30, -0.0]]"),
        Ask::bytes(r#"{"id": "rows", "model_name": "same", "instances": [[null, "NaN", 0.1]]}"#),
        Ask::bytes(
            r#"{"id": "exact", "model_name": "large", "inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 3],
                "data": [9223372036854775807, -9223372036854775808, 9007199254740993]}]}"#,
        ),
        Ask::bytes(
            r#"{"id": "rounded", "model_name": "same", "inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 3],
                "data": [16777217, 0, 0]}]}"#,
        ),
    ]);
    worker.stop();
    let data = |id: &str| json(&answers[id])["outputs"][0]["data"].clone();
    assert_eq!(data("texts"), json!(["NaN", "Infinity", "-Infinity"]));
    assert_eq!(data("bare"), data("texts"));
    let missing = data("missing");
    assert_eq!((&missing[0], missing[2].as_f64()), (&json!("NaN"), Some(-0.0)));
    assert!(is_close(missing[1].as_f64().unwrap(), 1e30));
    let rows = json(&answers["rows"])["predictions"].clone();
    assert_eq!((&rows[0][0], &rows[0][1]), (&json!("NaN"), &json!("NaN")), "{rows}");
    assert_eq!(data("exact"), json!([i64::MAX, i64::MIN, 9_007_199_254_740_993_i64]));
    let rounded = json(&answers["rounded"]);
    assert_eq!(rounded["error"]["code"], "INVALID_INPUT", "an integer is never changed: {rounded}");
}
