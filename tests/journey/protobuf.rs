//! Protobuf: what Triton's Python client sends (`scripts/make_grpc_goldens.py`), answered through Kafka as Python's runtime
//! answers it, and read with messages that `prost` decodes.

use modelmill::broker::kafka::client::Record;
use prost::Message;
use serde_json::{Value, json};

use crate::{
    answers::{PROTOBUF, outputs},
    goldens::{assert_outputs, bytes, lines, without_words},
    messages::{ModelInferRequest, ModelInferResponse},
    support::{Ask, Rig, json},
};

/// A request to a model, and what must come back.
pub struct Golden {
    pub id: String,
    pub model: String,
    pub place: String,
    pub body: Vec<u8>,
    pub outputs: Value,
}

impl Golden {
    pub fn all() -> Vec<Self> {
        let golden = |golden: Value| {
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            let outputs = without_words(&golden["outputs"]);
            Self { id: text("id"), model: text("model"), place: text("place"), body: bytes(&golden["body"]), outputs }
        };
        lines("grpc/requests.jsonl").into_iter().map(golden).collect()
    }
}

/// An answer in protobuf that is a result.
fn read(answer: &Record) -> ModelInferResponse {
    assert_eq!(answer.status(), "OK", "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some(PROTOBUF.as_bytes()));
    ModelInferResponse::decode(answer.value.as_deref().unwrap()).unwrap()
}

#[test]
fn what_a_grpc_client_would_send_is_answered_as_python_answers_it() {
    let Some(rig) = Rig::new("protobuf") else { return };
    let goldens = Golden::all();
    for golden in &goldens {
        rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    }
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let asks: Vec<_> =
        goldens.iter().map(|golden| Ask::bytes(golden.body.clone()).header("content-type", PROTOBUF)).collect();
    assert!(asks.len() > 100, "{} requests", asks.len());
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    lane.assert_nothing_more();
    for golden in goldens {
        let answer = read(&answers[&golden.id]);
        assert_eq!((&answer.id, &answer.model_name, &*answer.model_version), (&golden.id, &golden.model, "1"));
        let request = ModelInferRequest::decode(&golden.body[..]).unwrap();
        assert_eq!(answer.parameters, request.parameters, "{}", golden.id);
        assert_outputs(&golden.id, &outputs(&answer), &golden.outputs);
    }
}

#[test]
fn a_pipeline_may_expect_protobuf_and_what_is_wrong_is_answered_in_json() {
    let Some(rig) = Rig::new("wire") else { return };
    let golden = Golden::all().into_iter().find(|golden| golden.model == "iris").unwrap();
    rig.model("iris", 1, &format!("tests/data/{}", golden.place));
    let steps = json!([{"predict": {"model": "iris"}}]);
    let lane = rig.lane_with("iris", steps, 2, |pipeline| pipeline["input"]["codec"] = json!("protobuf"));
    let whole = || golden.body.clone();
    let cut = golden.body[..golden.body.len() - 1].to_vec();
    let mut worker = rig.worker();
    lane.send(&[Ask::bytes(whole()), Ask::bytes(cut), Ask::bytes("{\"id\": \"json\"}").key("json")]);
    let answers = lane.receive(3);
    worker.stop();
    let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == "OK");
    assert_outputs("bare", &outputs(&read(&right[0])), &golden.outputs);
    let names: Vec<_> = right[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type"], "no header that can be done without");
    assert_eq!(wrong.len(), 2);
    for answer in wrong {
        assert_eq!(answer.header("content-type"), Some(&b"application/json"[..]));
        let error = json(&answer);
        let id = error["id"].as_str().unwrap();
        assert!(id == golden.id || id == "json", "the id is found before the fault: {error}");
        assert_eq!(error["error"]["code"], "INVALID_REQUEST", "{error}");
    }
    assert_eq!(lane.dead_letters().len(), 2);
}
