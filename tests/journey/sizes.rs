//! Sizes: ids that are long, requests and answers that are large, and topics that take small records only.

use serde_json::json;

use crate::support::{Ask, Rig, by_id, json, kafka, wait_for};

fn good(id: &str) -> Ask {
    Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]}))
}

#[test]
fn ids_that_repeat_or_are_very_long_come_back_as_often_and_as_long() {
    let Some(rig) = Rig::new("long") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let long = "ü".repeat(5_000);
    let mut worker = rig.worker();
    lane.send(&[
        good("same"),
        good("same"),
        good(&long),
        Ask::bytes("{").key("same"),
        Ask::bytes("{").key(long.clone()),
    ]);
    let answers = lane.receive(5);
    worker.stop();
    lane.assert_nothing_more();
    let count = |id: &str, status: &str| {
        answers.iter().filter(|answer| answer.id().as_deref() == Some(id) && answer.status() == status).count()
    };
    assert_eq!((count("same", "OK"), count("same", "INVALID_REQUEST")), (2, 1));
    assert_eq!((count(&long, "OK"), count(&long, "INVALID_REQUEST")), (1, 1));
    assert!(answers.iter().any(|answer| answer.key.as_deref() == Some(long.as_bytes())));
}

#[test]
fn a_large_request_is_answered_and_an_answer_that_is_too_large_is_replaced() {
    let Some(rig) = Rig::new("large") else { return };
    rig.model("same", 1, "tests/data/fixtures/identity_bytes/1");
    let lane = rig.lane("same", json!([{"predict": {"model": "same"}}]));
    // The same pipeline, but its results may only have 100 kB.
    let narrow = format!("{}.narrow", rig.name);
    kafka::create_topic(&rig.brokers, &narrow, 1, &[("max.message.bytes", "100000")]);
    rig.owns(&narrow);
    let small = rig.lane_with("small", json!([{"predict": {"model": "same"}}]), 1, |pipeline| {
        pipeline["output"]["topic"] = json!(narrow);
    });
    let small = small.with_results(&narrow);
    rig.server(|server| server["kafka"]["properties"] = json!({"message.max.bytes": "16000000"}));
    let ask = |id: &str, size: usize| Ask::json(&json!({"id": id, "instances": [["a", "b", "x".repeat(size)]]}));
    let mut worker = rig.worker();
    let large = lane.exchange(&[ask("5 MB", 5_000_000), ask("small", 1)]);
    let replaced = small.exchange(&[ask("1 MB", 1_000_000), ask("small", 1)]);
    worker.stop();
    let body = json(&large["5 MB"]);
    assert_eq!(body["predictions"][0][2].as_str().map(str::len), Some(5_000_000));
    assert_eq!(replaced["1 MB"].status(), "RESPONSE_TOO_LARGE", "{}", replaced["1 MB"].text());
    for answers in [large, replaced] {
        assert_eq!(json(&answers["small"])["predictions"], json!([["a", "b", "x"]]));
    }
}

#[test]
fn a_result_topic_for_small_records_takes_many_answers_at_once() {
    let Some(rig) = Rig::new("tight") else { return };
    rig.model("iris", 1, "models/iris/1");
    let results = format!("{}.tight", rig.name);
    // Far less than what the client puts into one batch.
    kafka::create_topic(&rig.brokers, &results, 1, &[("max.message.bytes", "20000")]);
    rig.owns(&results);
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 1, |pipeline| {
        pipeline["output"]["topic"] = json!(results);
    });
    let lane = lane.with_results(&results);
    let rows = |id: &str, count: usize| Ask::json(&json!({"id": id, "instances": vec![[6.3, 3.4, 5.6, 2.4]; count]}));
    let mut asks: Vec<_> = (0..1000).map(|id| rows(&id.to_string(), 1)).collect();
    asks.insert(500, rows("wide", 1000));
    asks.insert(700, Ask::bytes("{").key("broken"));
    lane.send(&asks);
    let mut worker = rig.worker();
    let answers = by_id(lane.receive(asks.len()));
    worker.stop();
    lane.assert_nothing_more();
    for (id, answer) in &answers {
        let expected = match id.as_str() {
            "wide" => "RESPONSE_TOO_LARGE",
            "broken" => "INVALID_REQUEST",
            _ => "OK",
        };
        assert_eq!(answer.status(), expected, "{id}: {}", answer.text());
    }
}

#[test]
fn whatever_is_too_large_of_an_answer_the_caller_is_told_and_counted_once() {
    let Some(rig) = Rig::new("told") else { return };
    rig.model("same", 1, "tests/data/fixtures/identity_bytes/1");
    let results = format!("{}.narrow", rig.name);
    kafka::create_topic(&rig.brokers, &results, 1, &[("max.message.bytes", "20000")]);
    rig.owns(&results);
    let lane = rig.lane_with("same", json!([{"predict": {"model": "same"}}]), 1, |pipeline| {
        pipeline["output"]["topic"] = json!(results);
    });
    let lane = lane.with_results(&results);
    let ask = |id: &str, size: usize| Ask::json(&json!({"id": id, "instances": [["a", "b", "x".repeat(size)]]}));
    let wants = |id: &str, output: String| {
        let input = json!({"name": "x", "shape": [1, 3], "datatype": "BYTES", "data": ["a", "b", "c"]});
        Ask::json(&json!({"id": id, "inputs": [input], "outputs": [{"name": output}]}))
    };
    let mut worker = rig.worker();
    lane.send(&[
        ask("result", 30_000).header("tenant", "blue").header("content-type", "application/json"),
        wants("error", "ü".repeat(30_000)).header("tenant", "blue"),
        ask("headers", 1).header("ballast", vec![b'x'; 30_000]),
        Ask::bytes("{").key("ballast").header("ballast", vec![b'x'; 30_000]),
        ask(&"i".repeat(30_000), 1),
        ask("small", 1).header("tenant", "blue"),
    ]);
    let answers = by_id(lane.receive(5));
    let outcome = |code: &str| {
        worker.metric("modelmill_requests_total", &[r#"pipeline="same""#, &format!("outcome=\"{code}\"")]) as u64
    };
    wait_for("all outcomes", || {
        let counts = ["OK", "RESPONSE_TOO_LARGE", "INVALID_INPUT", "INVALID_REQUEST"].map(outcome);
        (counts.iter().sum::<u64>() >= 6).then_some(counts).map(|counts| assert_eq!(counts, [1, 3, 1, 1]))
    });
    let unheard = worker.lines_with("no answer is possible");
    worker.stop();
    lane.assert_nothing_more();
    let status = ["result", "error", "headers", "ballast", "small"].map(|id| answers[id].status());
    assert_eq!(status, ["RESPONSE_TOO_LARGE", "INVALID_INPUT", "RESPONSE_TOO_LARGE", "INVALID_REQUEST", "OK"]);
    for id in ["result", "error", "small"] {
        assert_eq!(answers[id].header("tenant"), Some(&b"blue"[..]), "{id} was sent anew with its headers");
    }
    assert!(answers["headers"].header("ballast").is_none() && answers["ballast"].header("ballast").is_none());
    assert!(json(&answers["error"])["error"]["message"].as_str().unwrap().starts_with("there is no output `üü"));
    assert_eq!(unheard.len(), 1, "{unheard:#?}");
    // The dead letter has everything that came.
    let dead = lane.dead_letters();
    assert_eq!((dead.len(), dead[0].header("ballast").map(<[u8]>::len)), (1, Some(30_000)));
}
