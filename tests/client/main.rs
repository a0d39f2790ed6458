//! The client, `send` and `load` against a broker and a worker that answers by rote.
//!
//! On the embedded broker always; on a real Kafka too, if `MODELMILL_TEST_KAFKA` says where one is.

mod rig;

use std::{
    thread,
    time::{Duration, Instant},
};

use modelmill::{
    broker::kafka::client::{
        Client, ClientError, ClientOptions, Record, RequestRecord, Start, create_topics, delete_topics, read_all,
    },
    cli::load,
};
use rig::{Echo, PARTITIONS, PATIENCE, Rig, answer, on_each_broker};

#[test]
fn an_answer_to_a_request_that_was_sent_after_connecting_is_not_missed() {
    on_each_broker(|rig| {
        let _echo = Echo::start(rig, answer);
        for _ in 0..3 {
            let client = Client::connect(&rig.options()).unwrap();
            let headers = [("x-tenant", b"blue".as_slice())];
            let request = RequestRecord {
                key: Some(b"k"),
                value: Some(br#"{"id":"a"}"#),
                headers: &headers,
                ..Default::default()
            };
            client.produce(&request).unwrap();
            let answers = client.answers(1, PATIENCE).unwrap();
            assert_eq!(answers[0].text(), r#"{"id":"a","predictions":[0]}"#);
            assert_eq!((answers[0].id().as_deref(), &*answers[0].status()), (Some("a"), "OK"));
        }
        let requests = read_all(&rig.brokers, &rig.requests).unwrap();
        assert_eq!(requests.len(), 3);
        assert_eq!((requests[0].key.as_deref(), requests[0].header("x-tenant")), (Some(&b"k"[..]), Some(&b"blue"[..])));
    });
}

#[test]
fn a_topic_is_read_from_its_beginning_to_its_end_in_order() {
    on_each_broker(|rig| {
        let client = Client::connect(&rig.options()).unwrap();
        assert!(read_all(&rig.brokers, &rig.requests).unwrap().is_empty());
        for number in 0..1000 {
            let (value, partition) = (number.to_string(), Some(number % (PARTITIONS - 1)));
            client.produce(&RequestRecord { value: Some(value.as_bytes()), partition, ..Default::default() }).unwrap();
        }
        client.produce(&RequestRecord { key: Some(b"gone"), partition: Some(0), ..Default::default() }).unwrap();
        client.requests.flush(PATIENCE).unwrap();
        let records = read_all(&rig.brokers, &rig.requests).unwrap();
        assert_eq!(records.len(), 1001);
        let first: Vec<_> = records.iter().filter(|record| record.partition == 0).collect();
        assert_eq!((&*first[1].text(), first[1].offset), ("3", 1));
        assert_eq!(
            (first.last().unwrap().value.as_deref(), first.last().unwrap().key.as_deref()),
            (None, Some(&b"gone"[..]))
        );
    });
}

#[test]
fn send_prints_each_answer_and_gives_an_id_to_requests_without_one() {
    on_each_broker(|rig| {
        let _echo = Echo::start(rig, answer);
        let requests = [r#"{"id":"mine","instances":[1]}"#, r#"{"instances":[2]}"#, "no json"];
        let (outcome, output) = rig.send(&requests, "");
        assert!(outcome.is_success(), "{:?}", outcome.problems());
        assert_eq!((outcome.sent, outcome.answered, output.lines().count()), (3, 3, 3));
        let mine = output.lines().find(|line| line.starts_with("mine ")).unwrap();
        assert!(
            mine.contains(" OK ") && mine.contains(" ms  ") && mine.ends_with(r#"{"id":"mine","predictions":[0]}"#)
        );
    });
}

#[test]
fn send_reads_a_pipe_and_prints_json_lines() {
    on_each_broker(|rig| {
        let _echo = Echo::start(rig, answer);
        let (outcome, output) = rig.send(&["--json", "-"], "{\"id\":\"a\"}\n{\n  \"id\": \"b\"\n}\n");
        assert!(outcome.is_success());
        let mut ids: Vec<String> = output
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!((line["status"].as_str(), line["body"]["predictions"][0].as_u64()), (Some("OK"), Some(0)));
                assert!(line["latency_ms"].as_f64().unwrap() > 0.0);
                line["id"].as_str().unwrap().to_owned()
            })
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, ["a", "b"]);
    });
}

#[test]
fn send_names_what_was_not_answered_and_what_was_answered_with_an_error() {
    on_each_broker(|rig| {
        let _echo = Echo::start(rig, |_, request| match request.id().as_deref() {
            Some("dropped") => vec![],
            Some(id) => vec![format!(r#"{{"id":"{id}","error":{{"code":"UNKNOWN_MODEL","message":"?"}}}}"#)],
            None => unreachable!("every request has an id"),
        });
        let (outcome, output) = rig.send(&["--timeout", "3s", r#"{"id":"dropped"}"#, r#"{"id":"failed"}"#], "");
        assert!(!outcome.is_success());
        assert_eq!(outcome.missing, ["dropped"]);
        assert_eq!(
            outcome.problems(),
            ["1 of 2 requests had no answer within 3s: dropped", "1 of 1 answers are errors: failed (UNKNOWN_MODEL)",]
        );
        assert!(output.starts_with("failed   UNKNOWN_MODEL "), "{output}");
    });
}

#[test]
fn send_can_leave_without_an_answer_once_the_broker_has_its_requests() {
    on_each_broker(|rig| {
        let (outcome, output) = rig.send(&["--no-wait", "--header", "model-name=iris", "--key", "k", "{}"], "");
        assert_eq!((outcome.sent, outcome.is_success(), &*output), (1, true, ""));
        let requests = read_all(&rig.brokers, &rig.requests).unwrap();
        assert_eq!((requests.len(), requests[0].header("model-name")), (1, Some(&b"iris"[..])));
        assert_eq!(requests[0].key.as_deref(), Some(&b"k"[..]));
    });
}

#[test]
fn load_finds_every_answer_of_a_right_worker() {
    on_each_broker(|rig| {
        let _echo = Echo::start(rig, answer);
        let own = std::process::id().to_string();
        let report = rig.load(&["--requests", "20k", "--rows", "2", "--pid", &own, "--warm-up", "100"]);
        assert_eq!((report.sent, report.answered, report.lost, report.doubled), (20_000, 20_000, 0, 0));
        assert!(report.is_success() && report.errors.is_empty());
        assert!(report.answers_per_second > 100.0 && (report.rows_per_request - 2.0).abs() < f64::EPSILON);
        let latency = report.latency.unwrap();
        assert!(latency.p50_ms > 0.0 && latency.p50_ms <= latency.p99_ms && latency.p99_ms <= latency.max_ms * 1.01);
        assert!(latency.max_ms < report.seconds * 1e3 + 1.0, "no answer took longer than the run: {report:?}");
        assert!(report.worker.unwrap().cpu_micros_per_request > 0.0);
    });
}

#[test]
fn load_counts_exactly_what_a_worker_loses_doubles_and_refuses() {
    on_each_broker(|rig| {
        let _echo = Echo::start(rig, |number, request| match number % 100 {
            7 => vec![],
            13 => [answer(number, request), answer(number, request)].concat(),
            17 => [answer(number, request), answer(number, request), answer(number, request)].concat(),
            23 => vec![format!(r#"{{"id":"{}","error":{{"code":"INVALID_INPUT"}}}}"#, request.id().unwrap())],
            _ => answer(number, request),
        });
        let report = rig.load(&["--requests", "5000", "--warm-up", "0", "--drain-timeout", "3s", "--settle", "2s"]);
        assert_eq!((report.sent, report.answered, report.lost, report.doubled), (5_000, 4_950, 50, 150));
        assert_eq!(report.errors.into_iter().collect::<Vec<_>>(), [("INVALID_INPUT".to_owned(), 50)]);
    });
}

#[test]
fn load_keeps_its_rate_and_measures_from_the_planned_times() {
    on_each_broker(|rig| {
        // A worker that holds up everything for half a second in the middle: the plan goes on meanwhile.
        let _echo = Echo::start(rig, |number, request| {
            if number == 201 {
                thread::sleep(Duration::from_millis(500));
            }
            answer(number, request)
        });
        let report = rig.load(&["--rate", "400/s", "--duration", "1s"]);
        assert_eq!((report.sent, report.answered, report.lost, report.doubled), (400, 400, 0, 0));
        assert!(report.seconds >= 0.99, "{report:?}");
        let latency = report.latency.unwrap();
        // 200 requests were due during the half second and waited 250 ms of it on average: half of all.
        assert!(latency.from_plan && latency.max_ms >= 490.0 && latency.p90_ms > 300.0, "{latency:?}");
    });
}

#[test]
fn load_takes_its_body_from_a_file_and_leaves_all_but_the_id_alone() {
    on_each_broker(|rig| {
        let _echo = Echo::start(rig, answer);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"instances": [ {"text": "hällo"} ], "id": "x"}"#).unwrap();
        let body = file.path().to_str().unwrap();
        let report = rig.load(&["--requests", "10", "--warm-up", "0", "--run", "r", "--body", body, "--header", "a=b"]);
        assert!(report.is_success() && report.sent == 10 && report.run == "r");
        let requests = read_all(&rig.brokers, &rig.requests).unwrap();
        let mut bodies: Vec<_> = requests.iter().map(Record::text).collect();
        bodies.sort_unstable();
        assert_eq!(bodies[0], r#"{"instances": [ {"text": "hällo"} ], "id": "r-0"}"#);
        assert_eq!((bodies.len(), requests[0].header("a")), (10, Some(&b"b"[..])));
    });
}

#[test]
fn a_backlog_is_there_before_its_worker_starts_and_accounted_for_afterwards() {
    on_each_broker(|rig| {
        let run = load::preload(&rig.load_args(&["--requests", "3000", "--preload", "--no-wait"])).unwrap();
        assert_eq!(read_all(&rig.brokers, &rig.requests).unwrap().len(), 3000);
        let _echo = Echo::begin(rig, Start::Beginning, answer);
        let report = rig.load(&["--requests", "3000", "--no-send", "--run", &run]);
        assert_eq!((report.sent, report.answered, report.doubled), (3000, 3000, 0));
        assert!(report.latency.is_none() && report.answers_per_second > 0.0);

        let report = rig.load(&["--requests", "500", "--preload"]);
        assert_eq!((report.sent, report.answered, report.doubled), (500, 500, 0));
    });
}

#[test]
fn load_without_a_worker_says_so_before_it_sends_a_flood() {
    let rig = Rig::embedded();
    let error = load::measure(&rig.load_args(&["--drain-timeout", "500ms"])).unwrap_err().to_string();
    assert!(error.contains("0 of 1 requests of the warm-up") && error.contains("`flowers.requests`"), "{error}");
    assert_eq!(read_all(&rig.brokers, &rig.requests).unwrap().len(), 1);
}

#[test]
fn a_missing_topic_is_named_with_its_likely_name() {
    on_each_broker(|rig| {
        let misspelt = rig.requests.replace("requests", "reqests");
        let options = ClientOptions { request_topic: misspelt.clone(), ..rig.options() };
        let error = Client::connect(&options).err().unwrap().to_string();
        assert!(
            error.contains(&format!("no topic `{misspelt}`")) && error.contains(&format!("`{}`", rig.requests)),
            "{error}"
        );
    });
}

#[test]
fn a_broker_that_is_not_there_is_reported_in_time_and_with_the_reason() {
    let options =
        ClientOptions { connect_timeout: Duration::from_secs(1), ..ClientOptions::new("127.0.0.1:1", "in", &["out"]) };
    let started = Instant::now();
    let error = Client::connect(&options).err().unwrap();
    assert!(matches!(error, ClientError::Unreachable { .. }));
    let sentence = error.to_string();
    assert!(sentence.contains("127.0.0.1:1") && sentence.contains("Connection refused"), "{sentence}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_named() {
    let mut options = ClientOptions::new("127.0.0.1:1", "in", &["out"]);
    options.properties.insert("fetch.wait.max.mss".to_owned(), "5".to_owned());
    let sentence = Client::connect(&options).err().unwrap().to_string();
    assert!(sentence.contains("fetch.wait.max.mss"), "{sentence}");
}

#[test]
fn on_a_real_broker_a_request_that_is_too_large_is_not_taken_for_a_lost_answer() {
    let Some(rig) = Rig::real() else { return };
    let _echo = Echo::start(&rig, answer);
    let huge = format!(r#"{{"id":"huge","instances":["{}"]}}"#, "x".repeat(3_000_000));
    let (outcome, _) = rig.send(&["-"], &format!("{huge}\n{{\"id\":\"small\"}}\n"));
    assert_eq!((outcome.answered, outcome.missing.as_slice()), (1, &["huge".to_owned()][..]));
    assert!(outcome.undelivered.as_deref().is_some_and(|reason| reason.contains("too large")), "{outcome:?}");
}

#[test]
fn on_a_real_broker_topics_are_created_ready_and_deleted_and_refusals_name_them() {
    let Some(rig) = Rig::real() else { return };
    let refusal = create_topics(&rig.brokers, &[(&rig.requests, 1)], 1).unwrap_err().to_string();
    assert!(refusal.contains(&rig.requests), "{refusal}");
    let refusal = delete_topics(&rig.brokers, &["never-created"]).unwrap_err().to_string();
    assert!(refusal.contains("`never-created`"), "{refusal}");
}

#[test]
fn on_a_real_broker_requests_that_it_does_not_take_are_undelivered_and_not_lost() {
    let Some(rig) = Rig::real() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!(r#"{{"instances":["{}"]}}"#, "x".repeat(3_000_000))).unwrap();
    let body = file.path().to_str().unwrap();
    let report = rig.load(&["--requests", "3", "--warm-up", "0", "--body", body]);
    assert_eq!((report.sent, report.undelivered, report.lost, report.is_success()), (0, 3, 0, false));
}
