//! Starting: what is missing or in the way is told in one sentence, with the exit code of its kind.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Ask, Lane, Rig, Worker, kafka};

fn iris(rig: &Rig) {
    rig.model("iris", 1, "models/iris/1");
}

/// The exit code, and the one sentence that it ended with.
fn refusal(mut worker: Worker) -> (Option<i32>, String) {
    let code = worker.ended().code();
    let mut sentences = worker.lines_with("error: ");
    assert_eq!(sentences.len(), 1, "one sentence: {:#?}", worker.log());
    (code, sentences.remove(0))
}

#[test]
fn missing_topics_are_named() {
    let Some(rig) = Rig::new("missing") else { return };
    iris(&rig);
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    rig.pipeline("iris", &lane, json!([{"predict": {"model": "iris"}}]), |pipeline| {
        pipeline["output"]["topic"] = json!("journey-nowhere.results");
        pipeline["output"]["dead_letter_topic"] = json!("journey-nowhere.dead");
    });
    let (code, sentence) = refusal(rig.start());
    assert_eq!(code, Some(1), "{sentence}");
    for word in ["`journey-nowhere.results`", "`journey-nowhere.dead`", "kafka.create_topics"] {
        assert!(sentence.contains(word), "{word}: {sentence}");
    }
    assert!(!sentence.contains(&lane.requests), "that one is there: {sentence}");
}

#[test]
fn missing_topics_are_created_where_the_server_file_says_so() {
    let Some(rig) = Rig::new("create") else { return };
    iris(&rig);
    let topic = |kind: &str| format!("{}.{kind}", rig.name);
    rig.server(|server| {
        server["kafka"]["create_topics"] = json!({"enabled": true, "partitions": 5, "replication": 1});
    });
    rig.pipeline_file(
        "iris",
        &json!({
            "name": "iris",
            "input": {"topics": [topic("requests")]},
            "output": {"topic": topic("results"), "dead_letter_topic": topic("dead")},
            "steps": [{"predict": {"model": "iris"}}],
        }),
    );
    ["requests", "results", "dead"].iter().for_each(|kind| rig.owns(&topic(kind)));
    let mut worker = rig.worker();
    for kind in ["requests", "results", "dead"] {
        assert_eq!(kafka::partitions(&rig.brokers, &topic(kind)), 5, "{kind}");
    }
    let lane = Lane::open(&rig.brokers, topic("requests"), topic("results"), topic("dead"));
    let answers = lane.exchange(&[Ask::json(&json!({"id": "a", "instances": [[6.3, 3.4, 5.6, 2.4]]}))]);
    assert_eq!(answers["a"].status(), "OK");
    worker.stop();
}

#[test]
fn what_is_in_the_way_is_one_sentence_and_the_exit_code_of_its_kind() {
    let Some(rig) = Rig::new("refused") else { return };
    iris(&rig);
    let _lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let start = |change: &dyn Fn(&mut std::process::Command)| {
        let mut command = rig.command();
        change(&mut command);
        refusal(Worker::start(command))
    };
    let (code, sentence) = start(&|command| {
        command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    });
    assert_eq!(code, Some(1), "{sentence}");
    assert!(sentence.contains("/nowhere/libonnxruntime.so"), "{sentence}");
    let text = rig.server_file();
    let (code, sentence) = start(&|command| {
        command.arg("--onnxruntime").arg(&text);
    });
    assert_eq!(code, Some(1), "a file that is no library: {sentence}");
    assert!(sentence.contains("server.yaml"), "{sentence}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    rig.server(|server| server["admin"]["listen"] = json!(address));
    let (code, sentence) = start(&|_| {});
    assert_eq!(code, Some(1), "{sentence}");
    assert!(sentence.contains(&address), "{sentence}");

    let nowhere = rig.folder().join("nowhere");
    rig.server(|server| server["models"]["repository"] = json!(nowhere));
    let (code, sentence) = start(&|_| {});
    assert_eq!(code, Some(1), "{sentence}");
    assert!(sentence.contains("nowhere"), "{sentence}");

    rig.server(|server| server["kafka"]["brokres"] = json!("x"));
    let (code, sentence) = start(&|_| {});
    assert_eq!(code, Some(2), "{sentence}");
    assert!(
        sentence.contains("server.yaml") && sentence.contains("brokres") && sentence.contains("brokers"),
        "{sentence}"
    );

    rig.server(|server| server["kafka"]["properties"] = json!({"acks": "0"}));
    assert_eq!(start(&|_| {}).0, Some(2));
    rig.server(|server| server["kafka"]["properties"] = json!({"no.such.property": "0"}));
    let (code, sentence) = start(&|_| {});
    assert!(matches!(code, Some(1 | 2)), "{sentence}");
    assert!(sentence.contains("no.such.property"), "{sentence}");
}

#[test]
fn a_broker_that_cannot_be_reached_is_one_line_and_a_worker_that_waits() {
    let Some(rig) = Rig::new("unreachable") else { return };
    iris(&rig);
    let _lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    // A port that nobody listens at, because it is taken by one who does not.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    rig.server(|server| server["kafka"]["brokers"] = json!(closed));
    let mut worker = rig.start();
    let line = worker.wait_for_line("cannot reach");
    assert!(line.contains(&closed), "{line}");
    // That no second line comes can only be seen by waiting for longer than one look takes.
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        assert!(worker.is_running(), "a worker waits for its broker");
        std::thread::sleep(Duration::from_millis(50));
    }
    let troubles = [worker.lines_with(r#""level":"WARN""#), worker.lines_with(r#""level":"ERROR""#)].concat();
    assert_eq!(troubles, [line]);
    assert_eq!(worker.page("/healthz").0, 200);
    assert_eq!(worker.page("/readyz").0, 503);
    let took = worker.stop();
    assert!(took < Duration::from_secs(2), "there is nothing to wait for, but it took {took:?}");
}

#[test]
fn a_broker_that_never_answers_ends_the_start_after_startup_timeout() {
    let Some(rig) = Rig::new("nobody") else { return };
    iris(&rig);
    let _lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    rig.server(|server| {
        server["kafka"]["brokers"] = json!(closed);
        server["startup_timeout"] = json!("2s");
    });
    let worker = rig.start();
    let started = Instant::now();
    let (code, sentence) = refusal(worker);
    assert_eq!(code, Some(1), "{sentence}");
    assert!(sentence.contains(&closed) && sentence.contains("kafka.brokers"), "{sentence}");
    assert!(started.elapsed() < Duration::from_secs(20), "it gave up after {:?}", started.elapsed());
}
