//! Bodies that are data and nothing else: texts and bytes, whose id stands in a header or is the key.

use serde_json::{Value, json};

use super::goldens::assert_outputs;
use crate::support::{Ask, Rig, json};

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xFF{\"id\": \"inside\"}";

fn ask(key: &str, content_type: &str, body: &[u8]) -> Ask {
    Ask::bytes(body).key(key).header("Content-Type", content_type)
}

/// The answer to the same text in JSON, and how it is asked for.
fn in_json(id: &str, name: &str, text: &str) -> Ask {
    let input = json!({"name": name, "shape": [1, 1], "datatype": "BYTES", "data": [text]});
    Ask::json(&json!({"id": id, "inputs": [input]}))
}

#[test]
fn a_text_is_answered_as_the_same_text_in_json_is() {
    let Some(rig) = Rig::new("text") else { return };
    rig.model("topics", 1, "tests/data/trained/tfidf_topics/1");
    let lane = rig.lane("topics", json!([{"lowercase": {"column": "text"}}, {"predict": {"model": "topics"}}]));
    let bare = rig.lane_with("bare", json!([{"predict": {"model": "topics"}}]), 2, |pipeline| {
        pipeline["input"]["codec"] = json!("raw");
    });
    let texts = ["Rain RAIN storm", "goal match team", "{\"id\": \"a text like any other\"}"];
    let mut asks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        asks.push(ask(&format!("raw-{index}"), "text/plain; charset=utf-8", text.as_bytes()));
        asks.push(in_json(&format!("json-{index}"), "text", text));
    }
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    let bare_answers = bare.exchange(&[
        Ask::bytes(texts[1]).key("bare"),
        in_json("named", "text", texts[1]).header("content-type", "application/json"),
    ]);
    worker.stop();
    lane.assert_nothing_more();
    let outputs = |id: &str| json(&answers[id])["outputs"].clone();
    for (index, text) in texts.iter().enumerate() {
        let (raw, json) = (outputs(&format!("raw-{index}")), outputs(&format!("json-{index}")));
        assert!(raw.is_array(), "{raw}");
        assert_outputs(text, &raw, &json);
    }
    assert_outputs("bare", &json(&bare_answers["bare"])["outputs"], &json(&bare_answers["named"])["outputs"]);
    assert!(bare_answers["bare"].headers.is_empty(), "a bare request gets a bare answer");
}

#[test]
fn bytes_reach_the_model_as_they_are_and_what_cannot_take_them_says_what_to_send() {
    let Some(rig) = Rig::new("bytes") else { return };
    for (model, place) in [
        ("echo", "tests/data/fixtures/one_text/1"),
        ("iris", "models/iris/1"),
        ("many", "tests/data/fixtures/many_inputs_and_outputs/1"),
    ] {
        rig.model(model, 1, place);
    }
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let to = |model: &str, key: &str, content_type: &str, body: &[u8]| {
        ask(key, content_type, body).header("model-name", model)
    };
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        to("echo", "text", "text/plain", "Grüße".as_bytes()),
        to("echo", "octets", "application/octet-stream", b"bytes"),
        to("echo", "triton", "application/octet-stream", b"raw").header("inference-header-content-length", "0"),
        to("iris", "iris", "image/png", PICTURE),
        to("many", "many", "image/png", PICTURE),
        to("echo", "xml", "application/xml", b"<x/>"),
    ]);
    worker.stop();
    lane.assert_nothing_more();
    let data = |id: &str| {
        assert_eq!(answers[id].status(), "OK", "{}", answers[id].text());
        json(&answers[id])["outputs"][0]["data"].clone()
    };
    assert_eq!((data("text"), data("octets"), data("triton")), (json!(["Grüße"]), json!(["bytes"]), json!(["raw"])));
    let error = |id: &str| -> (Value, String) {
        let error = json(&answers[id])["error"].clone();
        (error["code"].clone(), error["message"].as_str().unwrap().to_owned())
    };
    for (id, told) in [
        ("iris", "the pipeline's `input` is FP32"),
        ("many", "the pipeline takes `features`, `count`, `word`: send application/json with `inputs`"),
    ] {
        let (code, message) = error(id);
        assert!(code == "INVALID_INPUT" && message.contains(told), "{code} {message}");
    }
    let (code, message) = error("xml");
    assert!(code == "INVALID_REQUEST" && message.contains("image/… or text/plain"), "{code} {message}");
}
