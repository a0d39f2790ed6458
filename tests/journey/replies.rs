//! Answers on the topics that requests ask for: which may be asked for, what comes there, and what becomes of the rest.

use std::collections::HashMap;

use modelmill::broker::kafka::client::{Record, delete_topics, read_all};
use serde_json::{Value, json};

use crate::support::{Ask, Lane, Rig, Worker, by_id, json, kafka, wait_for};

const BINARY: [u8; 16] = [0, 255, 1, 254, 10, 13, 0, 0, 128, 127, 34, 92, 195, 40, 237, 160];

fn body(id: &str) -> Ask {
    Ask::json(&json!({"id": id, "instances": [[5.1, 3.4, 1.5, 0.2]]}))
}

/// The request asks for its answer on a topic, by Spring's headers.
fn asking(ask: Ask, topic: &str) -> Ask {
    ask.header("kafka_replyTopic", topic).header("kafka_correlationId", BINARY)
}

fn steps() -> Value {
    json!([{"predict": {"model": "iris"}}])
}

/// An iris pipeline that lets its requests ask for what the globs match, delivered so.
fn lane(rig: &Rig, delivery: &str, globs: &[String]) -> Lane {
    rig.model("iris", 1, "models/iris/1");
    rig.server(|server| {
        server["delivery"] = json!(delivery);
        server["transaction"] = json!({"timeout": "10s"});
    });
    rig.lane_with("iris", steps(), 2, |pipeline| {
        pipeline["output"]["reply_topics"] = json!(globs);
        // Longer than a group takes to notice that a worker has ended without a farewell.
        pipeline["timeout"] = json!("10m");
    })
}

/// A topic for replies with so many partitions.
fn topic(rig: &Rig, name: &str, partitions: i32) -> String {
    let topic = format!("{}.{name}", rig.name);
    kafka::create_topic(&rig.brokers, &topic, partitions, &[]);
    rig.owns(&topic);
    topic
}

/// Waits for so many replies, by id.
fn replies(rig: &Rig, topic: &str, count: usize) -> HashMap<String, Record> {
    let all = || Some(read_all(&rig.brokers, topic).unwrap()).filter(|records| records.len() >= count);
    let records = wait_for(&format!("{count} replies on {topic}"), all);
    assert_eq!(records.len(), count, "{:?}", records.iter().filter_map(Record::id).collect::<Vec<_>>());
    by_id(records)
}

/// The rows that a model has run on.
fn rows_run(worker: &Worker) -> f64 {
    worker.metric("modelmill_batch_rows_sum", &[])
}

#[track_caller]
fn assert_rows(rows: f64, expected: u32) {
    assert!((rows - f64::from(expected)).abs() < f64::EPSILON, "{rows} rows were run, {expected} were expected");
}

#[test]
fn results_and_errors_go_where_requests_ask_for_them_with_their_correlation_ids() {
    go_where_requests_ask("granted", "at_least_once");
}

#[test]
fn they_do_so_in_transactions() {
    go_where_requests_ask("granted-exactly", "exactly_once");
}

fn go_where_requests_ask(label: &str, delivery: &str) {
    let Some(rig) = Rig::new(label) else { return };
    let (named, globbed) = (topic(&rig, "named", 4), topic(&rig, "globbed.one", 1));
    let lane = lane(&rig, delivery, &[named.clone(), format!("{}.globbed.*", rig.name)]);
    let mut worker = rig.worker();
    let spring = |ask: Ask, partition: i32| {
        asking(ask, &named).header("kafka_replyPartition", partition.to_be_bytes()).header("tenant", "blue")
    };
    let plain = |ask: Ask| ask.header("Reply-To", globbed.as_str()).header("Correlation-ID", "c-1");
    lane.send(&[
        body("ours").header("kafka_correlationId", "c-0"),
        spring(body("third"), 3),
        spring(body("first"), 0),
        spring(Ask::bytes("{").key("broken"), 2),
        spring(Ask::json(&json!({"id": "misfit", "instances": [[1.0]]})), 1),
        spring(body("late").at(1_000_000), 3),
        spring(body("soon").header("timeout-ms", "soon"), 3),
        body("any").header("kafka_replyTopic", named.as_str()),
        plain(body("globbed")),
        plain(body("null")).header("kafka_replyPartition", ""),
    ]);
    let ours = by_id(lane.receive(1));
    let (named, globbed) = (replies(&rig, &named, 7), replies(&rig, &globbed, 2));
    assert_rows(rows_run(&worker), 6);
    worker.stop();
    lane.assert_nothing_more();
    assert_eq!(ours["ours"].header("kafka_correlationId"), Some(&b"c-0"[..]));
    for (id, status, partition) in [
        ("third", "OK", 3),
        ("first", "OK", 0),
        ("broken", "INVALID_REQUEST", 2),
        ("misfit", "INVALID_INPUT", 1),
        ("late", "DEADLINE_EXCEEDED", 3),
        ("soon", "INVALID_REQUEST", 3),
    ] {
        let reply = &named[id];
        assert_eq!((reply.status().as_ref(), reply.partition), (status, partition), "{id}: {}", reply.text());
        assert_eq!(reply.header("kafka_correlationId"), Some(&BINARY[..]), "{id}");
        assert_eq!(reply.header("tenant"), Some(&b"blue"[..]), "{id}");
        assert!(!reply.headers.iter().any(|(name, _)| name.contains("reply")), "{id}: {:?}", reply.headers);
    }
    assert_eq!(named["any"].status(), "OK");
    for id in ["globbed", "null"] {
        // Under the very name that it came with.
        let (name, value) = &globbed[id].headers[0];
        assert_eq!((name.as_str(), value.as_deref()), ("Correlation-ID", Some(&b"c-1"[..])), "{id}");
        assert!(is_ok(&globbed[id]), "{}", globbed[id].text());
    }
    assert_eq!(lane.dead_letters().len(), 2, "what cannot be decoded is kept, wherever its answer goes");
}

#[test]
fn what_a_request_may_not_have_is_said_on_the_result_topic_without_inference() {
    refused("refused", "at_least_once");
}

#[test]
fn it_is_said_so_in_transactions() {
    refused("refused-exactly", "exactly_once");
}

fn refused(label: &str, delivery: &str) {
    let Some(rig) = Rig::new(label) else { return };
    let (there, other) = (topic(&rig, "there", 2), topic(&rig, "other", 1));
    let missing = format!("{}.missing", rig.name);
    let globs = [there.clone(), missing.clone(), format!("{}.iris.*", rig.name), "__*".to_owned(), "*/*".to_owned()];
    let lane = lane(&rig, delivery, &globs);
    let mut worker = rig.worker();
    let to = |id: &str, topic: &str| asking(body(id), topic);
    let at = |id: &str, partition: &[u8]| to(id, &there).header("kafka_replyPartition", partition);
    let asks = [
        (to("disallowed", &other), "is not on the pipeline's allow-list"),
        (to("illegal", "a/b"), "`a/b` is no topic name"),
        (body("bytes").header("kafka_replyTopic", [255]), "must be UTF-8 text"),
        (to("loop", &lane.requests), "is a request topic of this worker"),
        (to("internal", "__consumer_offsets"), "is one of Kafka's own"),
        (to("missing", &missing), "does not exist"),
        (at("short", b"1"), "has 1 bytes"),
        (at("negative", &[255; 4]), "partitions count from 0"),
        (at("beyond", &[0, 0, 0, 2]), "has no partition 2: it has 2, counted from 0"),
    ];
    let answers = lane.exchange(&asks.each_ref().map(|(ask, _)| ask.clone()));
    assert_rows(rows_run(&worker), 0);
    for (answer, (ask, why)) in asks.iter().map(|asked| (&answers[&id_of(&asked.0)], asked)) {
        assert_eq!(answer.status(), "INVALID_REQUEST", "{}", answer.text());
        let message = json(answer)["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(why), "{message}, not {why}");
        if id_of(ask) != "bytes" {
            assert_eq!(answer.header("kafka_correlationId"), Some(&BINARY[..]));
        }
    }
    assert_eq!(lane.dead_letters().len(), asks.len());
    assert!(read_all(&rig.brokers, &there).unwrap().is_empty() && read_all(&rig.brokers, &other).unwrap().is_empty());
    // What was missing is created: it is remembered to be missing for a moment only.
    kafka::create_topic(&rig.brokers, &missing, 1, &[]);
    rig.owns(&missing);
    let mut tries = 0;
    wait_for("an answer on the topic that was missing", || {
        tries += 1;
        let before = asks.len() + tries - 1;
        lane.send(&[to(&format!("again-{tries}"), &missing)]);
        let seen = || read_all(&rig.brokers, &missing).unwrap().into_iter().next();
        wait_for("an answer, here or there", || {
            let results = read_all(&rig.brokers, &lane.results).unwrap().len();
            (results > before || seen().is_some()).then_some(())
        });
        seen().filter(is_ok)
    });
    worker.stop();
}

fn is_ok(answer: &Record) -> bool {
    answer.status() == "OK"
}

/// The id in a request's body.
fn id_of(ask: &Ask) -> String {
    let body: Value = serde_json::from_slice(ask.value().unwrap()).unwrap();
    body["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_reply_without_headers_still_has_its_correlation_id() {
    let Some(rig) = Rig::new("never") else { return };
    let there = topic(&rig, "there", 1);
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", steps(), 1, |pipeline| {
        pipeline["output"]["reply_topics"] = json!([there]);
        pipeline["output"]["headers"] = json!("never");
        pipeline["input"]["headers"] = json!({"correlation_id": ["x-call"], "reply_topic": ["x-answer-on"]});
    });
    let mut worker = rig.worker();
    let to = |ask: Ask| ask.header("X-Answer-On", there.as_str()).header("tenant", "blue").header("x-call", BINARY);
    lane.send(&[
        to(body("result")),
        to(Ask::bytes("{").key("error")),
        body("bare").header("x-answer-on", there.as_str()),
        body("ours").header("x-call", BINARY).header("kafka_replyTopic", "means nothing here"),
    ]);
    let ours = by_id(lane.receive(1));
    let replies = replies(&rig, &there, 3);
    worker.stop();
    assert!(ours["ours"].headers.is_empty() && replies["bare"].headers.is_empty());
    for id in ["result", "error"] {
        assert_eq!(replies[id].headers, [("x-call".to_owned(), Some(BINARY.to_vec()))], "{id}");
    }
    assert_eq!((replies["result"].status(), replies["error"].status()), ("OK".into(), "INVALID_REQUEST".into()));
}

#[test]
fn an_answer_that_is_too_large_for_the_reply_topic_is_replaced_there() {
    too_large("too-large", "at_least_once");
}

#[test]
fn it_is_replaced_in_a_transaction() {
    too_large("too-large-exactly", "exactly_once");
}

fn too_large(label: &str, delivery: &str) {
    let Some(rig) = Rig::new(label) else { return };
    let narrow = format!("{}.narrow", rig.name);
    kafka::create_topic(&rig.brokers, &narrow, 2, &[("max.message.bytes", "2000")]);
    rig.owns(&narrow);
    let lane = lane(&rig, delivery, std::slice::from_ref(&narrow));
    let mut worker = rig.worker();
    let to = |ask: Ask| asking(ask, &narrow).header("kafka_replyPartition", 1_i32.to_be_bytes());
    let wide = Ask::json(&json!({"id": "wide", "instances": vec![[6.3, 3.4, 5.6, 2.4]; 100]}));
    lane.send(&[to(body("small")), to(wide), to(body("long").header("long", "x".repeat(3000))), body("ours")]);
    let replies = replies(&rig, &narrow, 3);
    let ours = by_id(lane.receive(1));
    worker.stop();
    lane.assert_nothing_more();
    assert!(is_ok(&replies["small"]) && is_ok(&ours["ours"]));
    for id in ["wide", "long"] {
        let reply = &replies[id];
        assert_eq!((reply.status().as_ref(), reply.partition), ("RESPONSE_TOO_LARGE", 1), "{id}: {}", reply.text());
        assert_eq!(reply.header("kafka_correlationId"), Some(&BINARY[..]), "{id}");
    }
}

#[test]
fn a_reply_topic_that_is_deleted_stops_nobody() {
    deleted("deleted", "at_least_once");
}

#[test]
fn it_stops_nobody_in_transactions() {
    deleted("deleted-exactly", "exactly_once");
}

fn deleted(label: &str, delivery: &str) {
    let Some(rig) = Rig::new(label) else { return };
    let there = format!("{}.there", rig.name);
    kafka::create_topic(&rig.brokers, &there, 1, &[]);
    let lane = lane(&rig, delivery, std::slice::from_ref(&there));
    let mut worker = rig.worker();
    let to = |id: &str| asking(body(id), &there);
    lane.send(&[to("before")]);
    assert!(is_ok(&replies(&rig, &there, 1)["before"]));
    delete_topics(&rig.brokers, &[&there]).unwrap();
    // The worker still takes it for one that is there.
    lane.send(&[to("after"), body("ours")]);
    wait_for("the answers on the result topic", || {
        // A transaction that a topic has gone from under may be beyond repair: then a successor answers.
        if delivery == "exactly_once" && !worker.is_running() {
            assert_eq!(worker.ended().code(), Some(1), "{:#?}", worker.log());
            worker = rig.worker();
        }
        (read_all(&rig.brokers, &lane.results).unwrap().len() >= 2).then_some(())
    });
    let answers = by_id(lane.receive(2));
    assert!(is_ok(&answers["ours"]));
    let after = &answers["after"];
    assert_eq!(after.status(), "INVALID_REQUEST", "{}", after.text());
    assert!(after.text().contains("does not take the answer") || after.text().contains("does not exist"));
    assert_eq!(after.header("kafka_correlationId"), Some(&BINARY[..]));
    worker.stop();
    lane.assert_nothing_more();
    assert_eq!(lane.dead_letters().len(), 1);
}
