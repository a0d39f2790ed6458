//! What the object store publishes about its objects hastens the next look: the interval of polls is an hour throughout.

use std::time::{Duration, Instant};

use modelmill::broker::kafka::client::delete_topics;
use serde_json::json;

use crate::{
    live::{IRIS, ask_until, bucket_rig, push},
    s3::S3Server,
    support::{Rig, Worker, kafka, proxy::Proxy, wait_for},
};

/// From the end of an upload to an answer of its version, with something for a busy machine.
const SECONDS: Duration = Duration::from_secs(20);

const HEARD: &str = "notifications of the object store hasten looks";
const NOT_HEARD: &str = "notifications of the object store are not heard";

fn looks(worker: &Worker) -> f64 {
    worker.metric("modelmill_repository_look_duration_seconds_count", &[])
}

fn notifications(worker: &Worker, result: &str) -> f64 {
    worker.metric("modelmill_repository_notifications_total", &[result])
}

#[test]
fn a_version_that_is_uploaded_serves_within_seconds_since_the_server_tells_of_it() {
    let Some(brokers) = crate::support::brokers() else { return };
    let topic = format!("notifications-{}", std::process::id());
    kafka::create_topic(&brokers, &topic, 3, &[]);
    let Some(server) = S3Server::start_publishing(&brokers, &topic) else {
        return delete_topics(&brokers, &[&topic]).unwrap();
    };
    ["models", "others"].into_iter().for_each(|bucket| server.bucket(bucket));
    push(&server, IRIS, "iris/1");
    let rig = bucket_rig("notifications", &server, |models| {
        models["poll_interval"] = json!("1h");
        models["notifications_topic"] = json!(topic);
    });
    let rig = rig.expect("there is a Kafka");
    rig.owns(&topic);
    let lane = rig.lane("notifications", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    ask_until(&lane, "1", &[]);
    worker.wait_for_line(HEARD);
    let uploaded = Instant::now();
    push(&server, IRIS, "iris/2");
    ask_until(&lane, "2", &["1"]);
    println!("an answer {:?} after the upload began", uploaded.elapsed());
    assert!(uploaded.elapsed() < SECONDS, "{:?}", uploaded.elapsed());
    // One without a manifest, which takes a second look.
    let model = std::fs::read(format!("{IRIS}/model.onnx")).unwrap();
    let uploaded = Instant::now();
    server.store("s3://models").write("iris/3/model.onnx", model, true).unwrap();
    ask_until(&lane, "3", &["2"]);
    println!("without a manifest, {:?}", uploaded.elapsed());
    assert!(uploaded.elapsed() < SECONDS, "{:?}", uploaded.elapsed());
    // Whatever goes on in other buckets is none of our business, and a storm in ours is a few looks.
    for number in 0..20 {
        server.store("s3://others").write(&format!("a/1/{number}"), vec![1], true).unwrap();
    }
    wait_for("notifications of the other bucket", || (notifications(&worker, "ignored") >= 20.0).then_some(()));
    let (before, told, began) = (looks(&worker), notifications(&worker, "hastened"), Instant::now());
    let event = json!({"Records": [{"s3": {"bucket": {"name": "models"}, "object": {"key": "notes/1"}}}]});
    kafka::publish(&brokers, &topic, event.to_string().as_bytes(), 10_000);
    wait_for("the storm", || (notifications(&worker, "hastened") >= told + 10_000.0).then_some(()));
    push(&server, IRIS, "iris/4");
    ask_until(&lane, "4", &["3"]);
    let (made, took) = (looks(&worker) - before, began.elapsed());
    println!("10,000 events within {took:?} cost {made} looks");
    assert!((1.0..=took.as_secs_f64() / 0.25 + 2.0).contains(&made), "{made} looks in {took:?}");
    worker.stop();
    lane.assert_nothing_more();
}

#[test]
fn a_topic_that_is_missing_and_a_broker_that_is_away_are_told_once_and_tried_again() {
    let Some(rig) = Rig::new("deaf") else { return };
    rig.model("iris", 1, IRIS);
    let topic = format!("{}.changes", rig.name);
    let mut proxy = Proxy::open(&rig.brokers);
    rig.server(|server| {
        server["kafka"]["brokers"] = json!(proxy.address());
        server["models"]["poll_interval"] = json!("1h");
        server["models"]["notifications_topic"] = json!(topic);
    });
    let lane = rig.lane("deaf", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    let line = worker.wait_for_line(NOT_HEARD);
    assert!(line.contains(&topic) && line.contains("there is no such topic: create it"), "{line}");
    ask_until(&lane, "1", &[]);
    // What was there before anybody listened is found when somebody does.
    rig.model("iris", 2, IRIS);
    kafka::create_topic(&rig.brokers, &topic, 1, &[]);
    worker.wait_for_line(HEARD);
    ask_until(&lane, "2", &["1"]);
    // The owner of a folder may say whatever it likes.
    rig.model("iris", 3, IRIS);
    kafka::publish(&rig.brokers, &topic, b"look, please", 1);
    ask_until(&lane, "3", &["2"]);
    proxy.cut();
    wait_for("a word on the outage", || (worker.lines_with(NOT_HEARD).len() > 1).then_some(()));
    // What is published during an outage is heard afterwards.
    rig.model("iris", 4, IRIS);
    kafka::publish(&rig.brokers, &topic, b"another one", 1);
    proxy.mend();
    worker.wait_for_line("notifications of the object store are heard again");
    ask_until(&lane, "4", &["3"]);
    assert_eq!(worker.lines_with(NOT_HEARD).len(), 2, "{:#?}", worker.lines_with(NOT_HEARD));
    // Made anew, with more partitions.
    delete_topics(&rig.brokers, &[&topic]).unwrap();
    wait_for("a word on the deletion", || (worker.lines_with(NOT_HEARD).len() > 2).then_some(()));
    kafka::create_topic(&rig.brokers, &topic, 2, &[]);
    rig.owns(&topic);
    wait_for("two partitions", || (worker.lines_with(HEARD).last()?.contains(r#""partitions":2"#)).then_some(()));
    rig.model("iris", 5, IRIS);
    kafka::publish(&rig.brokers, &topic, b"one more", 1);
    ask_until(&lane, "5", &["4"]);
    worker.stop();
}
