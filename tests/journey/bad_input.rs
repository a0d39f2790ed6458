//! Bad input: whatever comes, each request has one answer with the right code and the id that could be found, and its
//! neighbours in the same chunk do not notice.

use modelmill::broker::kafka::client::Record;
use serde_json::{Value, json};

use crate::support::{Ask, Rig, by_id, json};

/// A request that fails: how it is known, what it is, the code of its answer, and what the sentence must mention.
struct Bad {
    name: &'static str,
    ask: Ask,
    code: &'static str,
    mentions: &'static [&'static str],
}

fn bad(name: &'static str, ask: Ask, code: &'static str, mentions: &'static [&'static str]) -> Bad {
    Bad { name, ask, code, mentions }
}

/// For the model `iris`: one row of four numbers.
fn good(id: &str) -> Ask {
    Ask::json(&json!({"id": id, "model_name": "iris", "instances": [[6.3, 3.4, 5.6, 2.4]]}))
}

/// An OIP request to `iris` with this for its only input.
fn tensor(id: &str, input: Value) -> Ask {
    Ask::json(&json!({"id": id, "model_name": "iris", "inputs": [input]}))
}

fn input(datatype: &str, shape: Value, data: Value) -> Value {
    json!({"name": "input", "datatype": datatype, "shape": shape, "data": data})
}

const INVALID_REQUEST: &str = "INVALID_REQUEST";
const INVALID_INPUT: &str = "INVALID_INPUT";

/// Wrong without knowing the model.
fn undecodable() -> Vec<Bad> {
    let row = json!([1.0, 2.0, 3.0, 4.0]);
    let nested = [&b"{\"id\": \"nested\", \"inputs\": "[..], &b"[".repeat(100_000)[..]].concat();
    let closed =
        [&b"{\"id\": \"closed\", \"inputs\": "[..], &b"[".repeat(100_000)[..], &b"]".repeat(100_000)[..], b"}"];
    let large = format!(r#"{{"id": "large", "inputs": [{{"name": "{}"]}}"#, "x".repeat(5_000_000));
    let twice =
        format!(r#"{{"id": "twice", "inputs": [], "inputs": [{}]}}"#, input("FP32", json!([1, 4]), row.clone()));
    let huge = json!([1_u64 << 40, 1_u64 << 40]);
    vec![
        bad("malformed", Ask::bytes(r#"{"id": "malformed", "inputs": [{]"#), INVALID_REQUEST, &["byte"]),
        bad("cut", Ask::bytes(r#"{"id": "cut", "instances": [[1, 2"#), INVALID_REQUEST, &["ends"]),
        bad("no json", Ask::bytes("hello").key("no json"), INVALID_REQUEST, &["`h`"]),
        bad("array", Ask::bytes("[1, 2]").key("array"), INVALID_REQUEST, &["JSON object"]),
        bad("empty", Ask::bytes("").key("empty"), INVALID_REQUEST, &["empty"]),
        bad("blank", Ask::bytes("  \n").key("blank"), INVALID_REQUEST, &["ends"]),
        bad("tombstone", Ask::tombstone().key("tombstone"), INVALID_REQUEST, &["tombstone"]),
        bad(
            "no utf-8",
            Ask::bytes(&b"{\"id\": \"no utf-8\", \"instances\": [\"\xFF\xFE\"]}"[..]),
            INVALID_REQUEST,
            &["UTF-8"],
        ),
        bad("type", good("type").header("content-type", "application/xml"), INVALID_REQUEST, &["`application/xml`"]),
        bad(
            "binary",
            Ask::bytes(&b"\x00\x01\x02"[..]).key("binary").header("content-type", "application/octet-stream"),
            INVALID_REQUEST,
            &[],
        ),
        bad("large", Ask::bytes(large), INVALID_REQUEST, &["byte"]),
        bad("nested", Ask::bytes(nested), INVALID_REQUEST, &["nest"]),
        bad("closed", Ask::bytes(closed.concat()), INVALID_REQUEST, &["nest"]),
        bad(
            "neither",
            Ask::json(&json!({"id": "neither", "model_name": "iris"})),
            INVALID_REQUEST,
            &["`inputs` or `instances`"],
        ),
        bad(
            "both",
            Ask::json(
                &json!({"id": "both", "model_name": "iris", "inputs": [input("FP32", json!([1, 4]), row.clone())], "instances": [row]}),
            ),
            INVALID_REQUEST,
            &["both"],
        ),
        bad("twice", Ask::bytes(twice), INVALID_REQUEST, &["twice"]),
        bad(
            "no instances",
            Ask::json(&json!({"id": "no instances", "model_name": "iris", "instances": []})),
            INVALID_REQUEST,
            &["`instances` is empty"],
        ),
        bad(
            "datatype",
            tensor("datatype", input("FLOAT", json!([1, 4]), row.clone())),
            INVALID_REQUEST,
            &["`FLOAT`", "FP32"],
        ),
        bad(
            "few data",
            tensor("few data", input("FP32", json!([2, 4]), row.clone())),
            INVALID_REQUEST,
            &["4 elements", "[2, 4]"],
        ),
        bad(
            "text data",
            tensor("text data", input("FP32", json!([1, 4]), json!([1, 2, "three", 4]))),
            INVALID_REQUEST,
            &["`input`", "three"],
        ),
        bad(
            "ragged",
            tensor("ragged", input("FP32", json!([2, 4]), json!([[1, 2, 3, 4], [1, 2, 3]]))),
            INVALID_REQUEST,
            &["`input`"],
        ),
        bad(
            "ragged rows",
            Ask::json(&json!({"id": "ragged rows", "model_name": "iris", "instances": [[1, 2, 3, 4], [1, 2, 3]]})),
            INVALID_REQUEST,
            &["instances[1]"],
        ),
        bad(
            "mixed rows",
            Ask::json(
                &json!({"id": "mixed rows", "model_name": "iris", "instances": [{"input": [1, 2, 3, 4]}, {"x": [1, 2, 3, 4]}]}),
            ),
            INVALID_REQUEST,
            &["`x`"],
        ),
        bad("negative", tensor("negative", input("FP32", json!([-1, 4]), row.clone())), INVALID_REQUEST, &["shape[0]"]),
        bad("overflow", tensor("overflow", input("FP32", huge, row.clone())), INVALID_REQUEST, &["more elements"]),
        bad(
            "void",
            tensor("void", input("FP32", json!([1_u64 << 60, 0]), json!([]))),
            INVALID_REQUEST,
            &["more elements"],
        ),
        bad(
            "no model",
            Ask::json(&json!({"id": "no model", "instances": [[1, 2, 3, 4]]})),
            INVALID_REQUEST,
            &["model_name"],
        ),
    ]
}

/// Decodable, but not what the model takes, or no model at all.
fn misfits() -> Vec<Bad> {
    let row = json!([1.0, 2.0, 3.0, 4.0]);
    let to = |id: &str, model: &str, body: Value| {
        let mut body = body;
        body["id"] = json!(id);
        body["model_name"] = json!(model);
        Ask::json(&body)
    };
    let instances = json!({"instances": [[1, 2, 3, 4]]});
    let named = |name: &str| json!({"name": name, "datatype": "FP32", "shape": [1, 4], "data": row});
    vec![
        bad(
            "strings",
            tensor("strings", input("BYTES", json!([1, 4]), json!(["a", "b", "c", "d"]))),
            INVALID_INPUT,
            &["`input`", "FP32", "BYTES"],
        ),
        // A request in order, for a model that takes nothing.
        bad("no inputs", to("no inputs", "iris", json!({"inputs": []})), INVALID_INPUT, &["`input`", "missing"]),
        bad(
            "narrow",
            tensor("narrow", input("FP32", json!([1, 3]), json!([1, 2, 3]))),
            INVALID_INPUT,
            &["`input`", "[1, 3]"],
        ),
        bad("deep", tensor("deep", input("FP32", json!([1, 1, 4]), row.clone())), INVALID_INPUT, &["`input`"]),
        bad("scalar", tensor("scalar", input("FP32", json!([]), json!([1]))), INVALID_INPUT, &["`input`"]),
        bad("missing", to("missing", "many", json!({"inputs": [named("features")]})), INVALID_INPUT, &["`count`"]),
        bad(
            "unknown",
            to("unknown", "iris", json!({"inputs": [named("input"), named("colour")]})),
            INVALID_INPUT,
            &["`colour`", "`input`"],
        ),
        bad("misnamed", to("misnamed", "iris", json!({"inputs": [named("inputs")]})), INVALID_INPUT, &["`input`"]),
        bad(
            "no such output",
            to("no such output", "iris", json!({"instances": [[1, 2, 3, 4]], "outputs": [{"name": "logits"}]})),
            INVALID_INPUT,
            &["`logits`", "`probabilities`"],
        ),
        bad("stranger", to("stranger", "nobody", instances.clone()), "UNKNOWN_MODEL", &["`nobody`"]),
        bad(
            "version",
            Ask::json(
                &json!({"id": "version", "model_name": "iris", "model_version": "9", "instances": [[1, 2, 3, 4]]}),
            ),
            "UNKNOWN_MODEL",
            &["1"],
        ),
        bad("outside", to("outside", "../../etc", instances.clone()), "UNKNOWN_MODEL", &["../../etc"]),
        bad("broken model", to("broken model", "truncated", instances.clone()), "MODEL_UNAVAILABLE", &["truncated"]),
        bad(
            "poison",
            to(
                "poison",
                "lookup",
                json!({"inputs": [{"name": "index", "datatype": "INT64", "shape": [2], "data": [0, 99]}]}),
            ),
            "INFERENCE_FAILED",
            &[],
        ),
    ]
}

#[test]
fn each_bad_request_has_one_answer_and_its_neighbours_have_results() {
    let Some(rig) = Rig::new("bad") else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.model("many", 1, "tests/data/fixtures/many_inputs_and_outputs/1");
    rig.model("lookup", 1, "tests/data/fixtures/poison/1");
    rig.model("truncated", 1, "tests/data/fixtures/refused_truncated/1");
    // One fetch, one chunk: everything is a neighbour of everything.
    rig.server(|server| {
        server["kafka"]["properties"] = json!({"max.partition.fetch.bytes": "60000000"});
        server["limits"] = json!({"chunk_bytes": "64MiB", "in_flight_bytes": "128MiB"});
    });
    let steps = json!([{"predict": {"model": "{request.model}", "version": "{request.version}"}}]);
    let lane = rig.lane_with("any", steps, 1, |_| {});
    let lookup = |id: &str| {
        let index = json!({"name": "index", "datatype": "INT64", "shape": [1], "data": [2]});
        Ask::json(&json!({"id": id, "model_name": "lookup", "inputs": [index]}))
    };
    let (undecodable, misfits) = (undecodable(), misfits());
    let dead: Vec<Ask> = undecodable.iter().map(|bad| bad.ask.clone()).collect();
    let mut asks = Vec::new();
    let mut expected = Vec::new();
    for Bad { name, ask, code, mentions } in undecodable.into_iter().chain(misfits) {
        asks.extend([good(&format!("before {name}")), ask, lookup(&format!("after {name}"))]);
        expected.push((name, code, mentions));
    }
    lane.send(&asks);
    let mut worker = rig.worker();
    let answers = by_id(lane.receive(asks.len()));
    let chunks = worker.metric("modelmill_chunk_messages_count", &[]);
    let after = lane.exchange(&[good("the worker goes on")]);
    worker.stop();
    lane.assert_nothing_more();
    let mut missing = Vec::new();
    for (name, code, mentions) in expected {
        let answer = answers.get(name).unwrap_or_else(|| panic!("no answer has the id `{name}`"));
        let body = json(answer);
        assert_eq!((&body["id"], &body["error"]["code"]), (&json!(name), &json!(code)), "{body}");
        assert_eq!(answer.header("status"), Some(code.as_bytes()));
        let sentence = body["error"]["message"].as_str().unwrap();
        assert!(!sentence.is_empty() && sentence.len() < 1000, "{name}: {sentence}");
        missing.extend(
            mentions.iter().filter(|word| !sentence.contains(**word)).map(|word| (name, *word, sentence.to_owned())),
        );
        let before = json(&answers[&format!("before {name}")]);
        assert_eq!(before["predictions"][0]["label"], 2, "the neighbour before {name}: {before}");
        let after = json(&answers[&format!("after {name}")]);
        assert_eq!(after["outputs"][0]["data"], json!([5.0, 6.0]), "the neighbour after {name}: {after}");
    }
    assert_eq!(missing, [], "sentences that lack a word");
    assert_eq!(after["the worker goes on"].status(), "OK");
    assert!((chunks - 1.0).abs() < f64::EPSILON, "the requests came in {chunks} chunks, so not all were neighbours");
    assert_dead_letters(&lane.requests, &dead, &lane.dead_letters());
}

/// Every undecodable record is among the dead letters, byte for byte, with its origin.
fn assert_dead_letters(topic: &str, dead: &[Ask], letters: &[Record]) {
    assert_eq!(letters.len(), dead.len());
    for ask in dead {
        let letter = letters.iter().find(|letter| letter.value.as_deref() == ask.value());
        let letter = letter.unwrap_or_else(|| panic!("{ask:?} is no dead letter"));
        let text = |name: &str| String::from_utf8_lossy(letter.header(name).unwrap_or_default()).into_owned();
        assert_eq!(text("dead-letter-topic"), topic);
        assert_eq!((text("dead-letter-pipeline"), text("dead-letter-partition")), ("any".to_owned(), "0".to_owned()));
        assert!(text("dead-letter-offset").parse::<i64>().unwrap() % 3 == 1, "its place between its neighbours");
        assert!(text("dead-letter-timestamp").parse::<i64>().unwrap() > 1_700_000_000_000);
        assert_eq!(text("dead-letter-code"), INVALID_REQUEST);
        assert!(!text("dead-letter-reason").is_empty());
        assert_eq!(letter.key.as_deref(), ask.key_bytes());
        for (name, value) in ask.headers() {
            assert_eq!(letter.header(name), Some(value.as_slice()));
        }
    }
}
