//! The registry's client and its cache, against a small HTTP server in the same process.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use super::*;
use crate::{codec::avro::Shape, tensor::DataType};
use server::Server;

mod server;

const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(300);

fn place(server: &Server) -> Place {
    Place { url: server.url.clone(), login: Login::Nobody, ca_file: None, timeout: Duration::from_secs(5) }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn registry(server: &Server, runtime: &Runtime) -> Arc<Registry> {
    Registry::new(place(server), [], runtime.handle().clone()).unwrap()
}

fn schema(text: &str) -> (u16, String) {
    (200, serde_json::json!({"schema": text}).to_string())
}

fn unknown() -> (u16, String) {
    (404, r#"{"error_code": 40403, "message": "Schema 7 not found"}"#.to_owned())
}

fn is_ready(registry: &Registry, id: u32) -> bool {
    matches!(registry.find(id), Found::Ready(_))
}

#[test]
fn however_many_wait_a_schema_is_fetched_once_and_kept() {
    let server = Server::start(|_, _, _| schema("\"long\""));
    server.is_frozen.store(true, Ordering::SeqCst);
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let registry = Arc::clone(&registry);
            runtime.spawn(async move { registry.wait(7, LONG).await })
        })
        .collect();
    while server.open.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    server.is_frozen.store(false, Ordering::SeqCst);
    runtime.block_on(async {
        for one in waiting {
            one.await.unwrap();
        }
    });
    assert!(is_ready(&registry, 7));
    runtime.block_on(registry.wait(7, LONG));
    assert_eq!(server.asked(), ["GET /base/schemas/ids/7"]);
}

#[test]
fn a_registry_that_comes_back_is_asked_again_while_somebody_waits() {
    let server = Server::start(|_, _, _| (500, "down".to_owned()));
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    runtime.block_on(registry.wait(7, SOON));
    assert!(matches!(registry.find(7), Found::Unknown));
    let error = registry.not_in_time(7);
    assert_eq!(error.code(), ErrorCode::ModelUnavailable);
    server.answer(|_, _, _| schema("\"long\""));
    runtime.block_on(registry.wait(7, LONG));
    assert!(is_ready(&registry, 7));
}

#[test]
fn who_has_waited_long_enough_goes_on_and_is_told_what_is_wrong() {
    let server = Server::start(|_, _, _| (503, r#"{"error_code": 50301, "message": "no leader"}"#.to_owned()));
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    let began = Instant::now();
    let told = runtime.block_on(async {
        let other = registry.wait(7, LONG);
        tokio::select! {
            () = other => panic!("it has not come"),
            () = registry.wait(7, SOON) => registry.not_in_time(7),
        }
    });
    assert!(began.elapsed() >= SOON);
    assert!(told.message().contains("no leader"), "{told}");
}

#[test]
fn an_id_that_the_registry_does_not_know_is_refused_for_a_while() {
    let server = Server::start(|_, _, _| unknown());
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    runtime.block_on(registry.wait(7, LONG));
    let Found::Refused(error) = registry.find(7) else { panic!("it is known to be unknown") };
    assert!(error.code() == ErrorCode::InvalidRequest && error.message().contains("Schema 7 not found"), "{error}");
    assert_eq!(server.asked().len(), 1);
    // As if the while were over.
    registry.known.write().insert(7, Known::Refused { error, until: Some(Instant::now()) });
    server.answer(|_, _, _| schema("\"long\""));
    runtime.block_on(registry.wait(7, LONG));
    assert!(is_ready(&registry, 7));
}

#[test]
fn a_404_that_is_not_the_registrys_own_word_refuses_nobody() {
    let server = Server::start(|_, _, _| (404, "<html>no such page</html>".to_owned()));
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    runtime.block_on(registry.wait(7, SOON));
    assert!(matches!(registry.find(7), Found::Unknown));
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_for_ever() {
    let server = Server::start(|_, path, _| match path {
        "/base/schemas/ids/1" => (200, r#"{"schemaType": "JSON", "schema": "{}"}"#.to_owned()),
        _ => schema("\"Missing\""),
    });
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    for (id, why) in [(1, "of type JSON"), (2, "`Missing`")] {
        runtime.block_on(registry.wait(id, LONG));
        let Found::Refused(error) = registry.find(id) else { panic!("{id}") };
        assert!(error.code() == ErrorCode::InvalidRequest && error.message().contains(why), "{error}");
    }
}

#[test]
fn schemas_that_a_schema_refers_to_are_fetched_before_it_each_once() {
    let server = Server::start(|_, path, _| {
        let reference = |subject: &str| serde_json::json!({"name": subject, "subject": subject, "version": 1});
        let fixed = |name: &str| serde_json::json!({"type": "fixed", "name": name, "size": 2}).to_string();
        let (text, references) = match path {
            "/base/schemas/ids/7" => {
                (r#"{"type": "array", "items": "B"}"#.to_owned(), vec![reference("b/x"), reference("a")])
            }
            "/base/subjects/b%2Fx/versions/1" => (
                r#"{"type": "record", "name": "B", "fields": [{"name": "a", "type": "A"}]}"#.to_owned(),
                vec![reference("a")],
            ),
            "/base/subjects/a/versions/1" => (fixed("A"), vec![]),
            other => panic!("{other}"),
        };
        (200, serde_json::json!({"schema": text, "schemaType": "AVRO", "references": references}).to_string())
    });
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    runtime.block_on(registry.wait(7, LONG));
    assert!(is_ready(&registry, 7), "{:?}", registry.find(7));
    let asked = ["GET /base/schemas/ids/7", "GET /base/subjects/b%2Fx/versions/1", "GET /base/subjects/a/versions/1"];
    assert_eq!(server.asked(), asked);
}

/// A message with a field of `geo.Place`, which imports `geo.Unit`.
fn sighting(package: &str) -> String {
    format!(
        "syntax = \"proto3\"; package {package}; import \"geo/place.proto\"; message Sighting {{ float x = 1; geo.Place place = 2; }}"
    )
}

/// A registry of schemas in protobuf, which import each other.
fn protobuf(path: &str) -> (u16, String) {
    let reference = |name: &str, subject: &str| serde_json::json!({"name": name, "subject": subject, "version": 3});
    let (text, references) = match path {
        "/base/schemas/ids/7" => (sighting("a"), vec![reference("geo/place.proto", "place")]),
        "/base/schemas/ids/8" => (sighting("b"), vec![reference("geo/place.proto", "place")]),
        "/base/schemas/ids/9" => (sighting("c"), vec![reference("geo/place.proto", "gone")]),
        "/base/schemas/ids/10" => (sighting("d"), vec![]),
        "/base/schemas/ids/11" => (sighting("e"), vec![reference("geo/place.proto", "circle")]),
        "/base/subjects/place/versions/3" => (
            "syntax = \"proto3\"; package geo; import \"unit.proto\"; message Place { Unit unit = 1; }".to_owned(),
            vec![reference("unit.proto", "unit")],
        ),
        "/base/subjects/unit/versions/3" => {
            ("syntax = \"proto3\"; package geo; enum Unit { METRE = 0; }".to_owned(), vec![])
        }
        "/base/subjects/circle/versions/3" => (
            "syntax = \"proto3\"; package geo; import \"geo/place.proto\"; message Place {}".to_owned(),
            vec![reference("geo/place.proto", "circle")],
        ),
        _ => return (404, r#"{"error_code": 40401, "message": "no such subject"}"#.to_owned()),
    };
    (200, serde_json::json!({"schema": text, "schemaType": "PROTOBUF", "references": references}).to_string())
}

#[test]
fn what_a_schema_in_protobuf_imports_is_fetched_once_however_many_import_it() {
    let server = Server::start(|_, path, _| protobuf(path));
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    for id in [7, 8] {
        runtime.block_on(registry.wait(id, LONG));
        assert!(is_ready(&registry, id), "{:?}", registry.find(id));
    }
    let asked = [
        "GET /base/schemas/ids/7",
        "GET /base/subjects/place/versions/3",
        "GET /base/subjects/unit/versions/3",
        "GET /base/schemas/ids/8",
    ];
    assert_eq!(server.asked(), asked);
}

#[test]
fn an_import_that_the_registry_does_not_know_is_the_schemas_own_fault_for_a_while() {
    let server = Server::start(|_, path, _| protobuf(path));
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    for (id, why) in [(9, "the subject `gone`"), (10, "not among its references"), (11, "imports itself")] {
        runtime.block_on(registry.wait(id, LONG));
        let Found::Refused(error) = registry.find(id) else { panic!("{id}: {:?}", registry.find(id)) };
        assert!(error.code() == ErrorCode::InvalidRequest && error.message().contains(why), "{error}");
        assert!(error.message().contains("`geo/place.proto`"), "{error}");
    }
    let is_for_a_while = |id: u32| matches!(registry.known.read()[&id], Known::Refused { until: Some(_), .. });
    assert!(is_for_a_while(9) && !is_for_a_while(10));
}

#[test]
fn a_registry_whose_schemas_refer_to_one_another_without_end_is_not_followed() {
    let server = Server::start(|_, path, _| {
        let place = path.bytes().filter(u8::is_ascii_digit).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let next = serde_json::json!({"name": "next", "subject": "s", "version": place + 1});
        (200, serde_json::json!({"schema": "", "schemaType": "PROTOBUF", "references": [next]}).to_string())
    });
    let runtime = runtime();
    let registry = registry(&server, &runtime);
    runtime.block_on(registry.wait(7, LONG));
    let Found::Refused(error) = registry.find(7) else { panic!("it is refused") };
    assert!(error.message().contains("more schemas than anybody needs"), "{error}");
    assert!(server.asked().len() < 20, "{:?}", server.asked());
}

#[test]
fn a_registry_that_stands_still_is_waited_for_no_longer_than_a_call_may_take() {
    let server = Server::start(|_, _, _| schema("\"long\""));
    server.is_frozen.store(true, Ordering::SeqCst);
    let runtime = runtime();
    let place = Place { timeout: Duration::from_millis(50), ..place(&server) };
    let registry = Registry::new(place, [], runtime.handle().clone()).unwrap();
    let told = runtime.block_on(async {
        tokio::select! {
            () = registry.wait(7, LONG) => panic!("it has not come"),
            told = async {
                loop {
                    let told = registry.not_in_time(7);
                    if told.message().contains("did not answer within 50ms") {
                        return told;
                    }
                    sleep(Duration::from_millis(5)).await;
                }
            } => told,
        }
    });
    assert_eq!(told.code(), ErrorCode::ModelUnavailable);
    server.is_frozen.store(false, Ordering::SeqCst);
}

#[test]
fn a_user_or_a_token_goes_with_every_call_and_a_file_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let server = Server::start(|_, _, _| schema("\"long\""));
    let runtime = runtime();
    let (server, runtime) = (&*server, &runtime);
    let as_who = |login: Login| {
        let registry = Registry::new(Place { login, ..place(server) }, [], runtime.handle().clone()).unwrap();
        move |id: u32| {
            runtime.block_on(registry.wait(id, LONG));
            server.asked.lock().last().unwrap().1.clone()
        }
    };
    let basic = Login::Basic { user: "Aladdin".to_owned(), password: Secret::Text("open sesame".to_owned()) };
    assert_eq!(as_who(basic)(1), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let bearer = as_who(Login::Bearer(Secret::File(file.clone())));
    assert_eq!(bearer(2), "Bearer first");
    std::fs::write(&file, "second").unwrap();
    assert_eq!(bearer(3), "Bearer second");
}

fn answers(register: bool) -> AnswerSchema {
    AnswerSchema { pipeline: "iris".to_owned(), subject: "iris/value".to_owned(), register }
}

fn outputs() -> Vec<AnswerOutput> {
    vec![("label".into(), DataType::Int64, 0)]
}

#[test]
fn the_schema_of_answers_is_registered_or_looked_up_once() {
    for (register, path) in
        [(true, "POST /base/subjects/iris%2Fvalue/versions"), (false, "POST /base/subjects/iris%2Fvalue")]
    {
        let server = Server::start(|_, _, body| {
            let sent: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(sent["schema"].as_str().unwrap().contains("\"label\""), "{sent}");
            (200, r#"{"id": 41, "version": 1}"#.to_owned())
        });
        let runtime = runtime();
        let registry = Registry::new(place(&server), [Some(answers(register))], runtime.handle().clone()).unwrap();
        for _ in 0..2 {
            runtime.block_on(registry.announce(0, outputs(), LONG)).unwrap();
        }
        assert_eq!(registry.answers(0).unwrap().id(&Shape::of(outputs())), Some(41));
        assert_eq!(server.asked(), [path]);
    }
}

#[test]
fn a_schema_that_the_registry_refuses_is_told_with_its_words_and_one_that_is_down_is_waited_for() {
    let server = Server::start(|_, _, _| (409, r#"{"error_code": 409, "message": "incompatible: label"}"#.to_owned()));
    let runtime = runtime();
    let registry = Registry::new(place(&server), [Some(answers(true))], runtime.handle().clone()).unwrap();
    let (refused, why) = runtime.block_on(registry.announce(0, outputs(), LONG)).unwrap_err();
    assert!(refused && why.contains("incompatible: label") && why.contains("iris/value"), "{why}");
    server.answer(|_, _, _| (500, String::new()));
    let other = vec![("other".into(), DataType::Bool, 0)];
    let (refused, why) = runtime.block_on(registry.announce(0, other.clone(), SOON)).unwrap_err();
    assert!(!refused && why.contains("500"), "{why}");
    server.answer(|_, _, _| (200, r#"{"id": 5}"#.to_owned()));
    runtime.block_on(registry.announce(0, other, LONG)).unwrap();
}
