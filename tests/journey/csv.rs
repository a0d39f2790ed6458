//! Tables: many rows in one message, answered as the same rows in JSON are.

use serde_json::{Value, json};

use crate::support::{Ask, Rig, json};

fn table(id: &str, model: &str, body: &str) -> Ask {
    Ask::bytes(body).key(id).header("Content-Type", "text/csv; charset=utf-8").header("model-name", model)
}

fn rows(id: &str, model: &str, instances: Value) -> Ask {
    Ask::json(&json!({"id": id, "model_name": model, "instances": instances}))
}

/// The outputs of each row, as they stand in an answer of rows.
fn predictions(answer: &Value) -> Value {
    assert!(answer["predictions"].is_array(), "{answer}");
    answer["predictions"].clone()
}

#[test]
fn a_table_is_answered_as_the_same_rows_in_json_are() {
    let Some(rig) = Rig::new("tables") else { return };
    rig.model("passengers", 1, "tests/data/trained/gradient_boosting/1");
    rig.model("topics", 1, "tests/data/trained/tfidf_topics/1");
    rig.model("iris", 1, "models/iris/1");
    let any = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let bare = rig.lane_with("bare", json!([{"predict": {"model": "iris"}}]), 1, |pipeline| {
        pipeline["input"]["codec"] = json!("csv");
    });
    let passenger =
        |age: Value, port: &str| json!({"Age": age, "Fare__GBP_": 68.07, "Port": port, "Cabin_class": "first"});
    let flowers = [[5.1, 3.4, 1.5, 0.2], [6.3, 3.4, 5.6, 2.4]];
    let mut worker = rig.worker();
    let answers = any.exchange(&[
        table(
            "passengers-csv",
            "passengers",
            "Age,Port,Fare__GBP_,Cabin_class\r\n14,Atlantis,68.07,first\r\n,\"Queenstown\",6.807e1,\"first\"\r\n",
        ),
        rows(
            "passengers-json",
            "passengers",
            json!([passenger(json!(14), "Atlantis"), passenger(json!(null), "Queenstown")]),
        ),
        table("topics-csv", "topics", "text\n\"rain, rain and storm\"\ngoal match team\n"),
        rows("topics-json", "topics", json!([{"text": "rain, rain and storm"}, {"text": "goal match team"}])),
        table("iris-csv", "iris", "\u{FEFF}0,1,2,3\n5.1,3.4,1.5,0.2\n6.3,3.4,5.6,2.4\n"),
        rows("iris-json", "iris", json!(flowers)),
    ]);
    let bare_answers = bare.exchange(&[Ask::bytes("0,1,2,3\n5.1,3.4,1.5,0.2\n6.3,3.4,5.6,2.4").key("bare")]);
    worker.stop();
    any.assert_nothing_more();
    bare.assert_nothing_more();
    for model in ["passengers", "topics", "iris"] {
        let [csv, json] = ["csv", "json"].map(|form| predictions(&json(&answers[&format!("{model}-{form}")])));
        assert_eq!(csv.as_array().unwrap().len(), 2);
        assert_eq!(csv, json, "{model}");
    }
    assert_eq!(predictions(&json(&bare_answers["bare"])), predictions(&json(&answers["iris-json"])));
    assert!(bare_answers["bare"].headers.is_empty(), "a bare request gets a bare answer");
}

#[test]
fn a_table_that_is_wrong_is_answered_with_line_and_column_and_its_neighbours_are_not_touched() {
    let Some(rig) = Rig::new("broken-tables") else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.model("passengers", 1, "tests/data/trained/gradient_boosting/1");
    let lane = rig.lane_with("any", json!([{"predict": {"model": "{request.model}"}}]), 1, |_| {});
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        table("right", "iris", "0,1,2,3\n5.1,3.4,1.5,0.2\n"),
        table("ragged", "iris", "0,1,2,3\n5.1,3.4,1.5,0.2\n5.1,3.4,1.5\n"),
        table("open", "iris", "0,1,2,3\n5.1,3.4,1.5,\"0.2\n"),
        table("empty", "iris", "0,1,2,3\n"),
        table("named", "iris", "sepal length,sepal width,petal length,petal width\n5.1,3.4,1.5,0.2\n"),
        table("words", "iris", "0,1,2,3\n5.1,3.4,many,0.2\n"),
        table("nameless", "passengers", "0,1,2,3\n14,68.07,Atlantis,first\n"),
        table("last", "iris", "0,1,2,3\n5.1,3.4,1.5,0.2\n"),
    ]);
    worker.stop();
    lane.assert_nothing_more();
    assert_eq!(predictions(&json(&answers["right"])), predictions(&json(&answers["last"])));
    for (id, code, told) in [
        ("ragged", "INVALID_REQUEST", "line 3: the row has 3 cells, but the header has 4 columns"),
        ("open", "INVALID_REQUEST", "line 2, column `3`: the quote that begins the cell is never closed"),
        ("empty", "INVALID_REQUEST", "the table has a header and no rows; a request has at least one row"),
        ("named", "INVALID_INPUT", "input `input` is missing; the pipeline takes `input`"),
        ("words", "INVALID_INPUT", "input `input`: expected FP32 [?, 4], got BYTES"),
        ("nameless", "INVALID_INPUT", "send objects, or in CSV a header of these names"),
    ] {
        let error = json(&answers[id])["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(told), "{id}: {message}");
    }
    let letters: Vec<_> = lane.dead_letters().into_iter().map(|letter| letter.key.unwrap()).collect();
    assert_eq!(letters.len(), 3, "what is wrong without knowing the model is kept: {letters:?}");
}
