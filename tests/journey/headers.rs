//! Headers: what a request's say, which of them come back, and what a worker adds.

use modelmill::broker::kafka::client::Record;
use serde_json::{Value, json};

use crate::support::{Ask, Rig, json};

fn body(id: &str) -> Ask {
    Ask::json(&json!({"id": id, "instances": [[5.1, 3.4, 1.5, 0.2]]}))
}

fn steps() -> Value {
    json!([{"predict": {"model": "iris"}}])
}

/// The names of the headers, in their order.
fn names(answer: &Record) -> Vec<&str> {
    answer.headers.iter().map(|(name, _)| name.as_str()).collect()
}

fn text<'a>(answer: &'a Record, name: &str) -> &'a str {
    answer.header(name).map_or("", |value| std::str::from_utf8(value).unwrap())
}

const OWN: [&str; 5] = ["content-type", "status", "model-name", "model-version", "model-digest"];

#[test]
fn a_bare_request_gets_a_bare_answer_and_one_with_headers_gets_them_back_with_ours() {
    let Some(rig) = Rig::new("headers") else { return };
    rig.model("iris", 3, "models/iris/1");
    let lane = rig.lane("iris", steps());
    let length = body("content").value().unwrap().len().to_string();
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        body("bare"),
        body("some")
            .header("tenant", "blue")
            .header("correlation-id", b"\x00\xFFbytes".as_slice())
            .header("kafka_correlationId", [1_u8, 2, 3])
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .header("tenant", "green")
            .header("empty", ""),
        body("content")
            .header("Content-Type", "Application/JSON; charset=utf-8")
            .header("content-encoding", "identity")
            .header("Timeout-Ms", "60000")
            .header("ce_source", "here")
            .header("__TypeId__", "com.example.Request")
            .header("inference-header-content-length", length.as_str())
            .header("model-name", "somebody-elses")
            .header("status", "FAKE")
            .header("x-tenant", "blue"),
        Ask::bytes("{").key("broken"),
    ]);
    worker.stop();
    assert_eq!(names(&answers["bare"]), [""; 0]);
    let some = &answers["some"];
    let theirs = ["tenant", "correlation-id", "kafka_correlationId", "traceparent", "tenant", "empty"];
    assert_eq!(names(some), [&theirs[..], &OWN[..]].concat());
    assert_eq!(some.header("correlation-id"), Some(&b"\x00\xFFbytes"[..]));
    assert_eq!(some.header("kafka_correlationId"), Some(&[1, 2, 3][..]));
    assert_eq!((some.headers[0].1.as_deref(), some.headers[4].1.as_deref()), (Some(&b"blue"[..]), Some(&b"green"[..])));
    let (status, model, version) = (text(some, "status"), text(some, "model-name"), text(some, "model-version"));
    assert_eq!((text(some, "content-type"), status, model, version), ("application/json", "OK", "iris", "3"));
    // The first 16 hex digits of the model file's sha256, as its manifest says it.
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let sha256 = files.iter().find(|file| file["path"] == "model.onnx").unwrap()["sha256"].as_str().unwrap();
    assert_eq!(text(some, "model-digest"), &sha256[..16]);
    let content = &answers["content"];
    assert_eq!(names(content), [&["x-tenant"][..], &OWN[..]].concat());
    assert_eq!((text(content, "status"), text(content, "model-name")), ("OK", "iris"));
    // An error says what it is even to a request without headers.
    let broken = &answers["broken"];
    assert_eq!((names(broken), text(broken, "status")), (vec!["content-type", "status"], "INVALID_REQUEST"));
}

#[test]
fn headers_can_be_sent_always_or_never() {
    let Some(rig) = Rig::new("policy") else { return };
    rig.model("iris", 1, "models/iris/1");
    let always = rig.lane_with("always", steps(), 1, |pipeline| pipeline["output"]["headers"] = json!("always"));
    let never = rig.lane_with("never", steps(), 1, |pipeline| pipeline["output"]["headers"] = json!("never"));
    let asks = [body("bare"), body("some").header("tenant", "blue"), Ask::bytes("{").key("broken")];
    let mut worker = rig.worker();
    let (always, never) = (always.exchange(&asks), never.exchange(&asks));
    worker.stop();
    assert_eq!(names(&always["bare"]), OWN);
    assert_eq!(text(&always["some"], "tenant"), "blue");
    for answer in never.values() {
        assert_eq!(names(answer), [""; 0], "{}", answer.text());
    }
    assert_eq!(never["broken"].status(), "INVALID_REQUEST");
}

#[test]
fn a_header_under_another_name_means_the_same_and_stays_behind_too() {
    let Some(rig) = Rig::new("renamed") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", steps(), 1, |pipeline| {
        pipeline["input"]["headers"] = json!({"timeout": "x-budget"});
    });
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        body("late").at(1_000_000).header("X-Budget", "1").header("tenant", "blue"),
        body("early").header("x-budget", "60000").header("tenant", "blue").header("X-Budget", "60000"),
    ]);
    worker.stop();
    assert_eq!(answers["late"].status(), "DEADLINE_EXCEEDED", "{}", answers["late"].text());
    assert_eq!(names(&answers["early"]), [&["tenant"][..], &OWN[..]].concat());
    assert_eq!(names(&answers["late"]), [&["tenant"][..], &OWN[..]].concat());
}

#[test]
fn a_request_whose_time_is_up_is_answered_without_inference() {
    let Some(rig) = Rig::new("deadline") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", steps(), 1, |pipeline| pipeline["timeout"] = json!("10m"));
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let minute = 60_000;
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        body("fresh").header("timeout-ms", "60000"),
        body("late").at(now() - minute).header("timeout-ms", "1000"),
        body("patient").at(now() - minute).header("timeout-ms", "3600000"),
        body("default").at(now() - 11 * minute),
        body("inside").at(now() - 9 * minute),
        body("soon").header("timeout-ms", "soon"),
    ]);
    let runs = worker.metric("modelmill_batch_rows_sum", &[]);
    worker.stop();
    let mut expected = [
        ("fresh", "OK"),
        ("late", "DEADLINE_EXCEEDED"),
        ("patient", "OK"),
        ("default", "DEADLINE_EXCEEDED"),
        ("inside", "OK"),
        ("soon", "INVALID_REQUEST"),
    ];
    for (id, status) in &mut expected {
        assert_eq!(answers[*id].status(), *status, "{id}: {}", answers[*id].text());
    }
    assert!((runs - 3.0).abs() < f64::EPSILON, "three rows are worth a run, but {runs} were run");
}

#[test]
fn a_reply_topic_is_refused_on_the_result_topic_without_inference() {
    let Some(rig) = Rig::new("reply") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", steps());
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        body("spring").header("kafka_replyTopic", "checkout.replies").header("kafka_correlationId", [0_u8; 16]),
        body("other").header("Reply-To", "checkout.replies"),
        body("none").header("reply-to", ""),
    ]);
    let runs = worker.metric("modelmill_batch_rows_sum", &[]);
    worker.stop();
    for id in ["spring", "other"] {
        let answer = json(&answers[id]);
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST", "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("`checkout.replies`"), "{answer}");
        assert!(!names(&answers[id]).iter().any(|name| name.to_lowercase().contains("reply")));
    }
    assert_eq!(answers["spring"].header("kafka_correlationId"), Some(&[0_u8; 16][..]));
    assert_eq!(answers["none"].status(), "OK");
    assert!((runs - 1.0).abs() < f64::EPSILON, "{runs} rows were run");
    assert_eq!(lane.dead_letters().len(), 2);
}
