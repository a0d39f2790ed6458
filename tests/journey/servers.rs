//! What the client libraries of MLServer and of KServe send (`scripts/make_server_goldens.py`), answered through Kafka as Python's
//! runtime answers it.
//!
//! Their decoders read our answers, too: those that lie beside the requests (see `kept`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    answers::{Answer, Form},
    goldens::{assert_outputs, bytes, lines, without_words},
    kept::{self, Given},
    support::{Ask, Rig},
};

/// A request of a library, and what must come back.
struct Golden {
    id: String,
    model: String,
    place: String,
    /// How the library was asked to write it.
    way: String,
    ask: Ask,
    outputs: Value,
}

impl Golden {
    fn all(library: &str) -> Vec<Self> {
        let golden = |golden: Value| {
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            let (id, model) = (text("id"), text("model"));
            // The libraries name the model in the address that they post to.
            let ask = Ask::bytes(bytes(&golden["body"])).header("model-name", model.as_str());
            let headers = golden["headers"].as_object().unwrap().iter();
            let ask = headers.fold(ask, |ask, (name, value)| ask.header(name, value.as_str().unwrap()));
            Self { id, model, place: text("place"), way: text("way"), ask, outputs: golden["outputs"].clone() }
        };
        lines(&format!("{library}/requests.jsonl")).into_iter().map(golden).collect()
    }
}

fn ask_all(library: &str, ways: &[(&str, &[Form])]) {
    let Some(rig) = Rig::new(library) else { return };
    let goldens = Golden::all(library);
    assert!(goldens.len() > 60, "{} requests", goldens.len());
    for golden in &goldens {
        rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    }
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let asks: Vec<_> = goldens.iter().map(|golden| golden.ask.clone()).collect();
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    lane.assert_nothing_more();
    let mut found = BTreeMap::<&str, usize>::new();
    for golden in &goldens {
        let answer = Answer::of(&answers[&golden.id]);
        let (_, forms) = ways.iter().find(|(way, _)| *way == golden.way).unwrap();
        assert!(forms.contains(&answer.form), "{}: {:?}", golden.id, answer.form);
        assert_outputs(&golden.id, &without_words(&answer.outputs), &without_words(&golden.outputs));
        *found.entry(golden.way.as_str()).or_default() += 1;
    }
    assert!(found.len() == ways.len() && found.values().all(|count| *count > 5), "{found:?}");
    let answers = goldens.iter().map(|golden| (golden.id.clone(), Given::of(&answers[&golden.id])));
    kept::hold(&format!("{library}/answers.jsonl"), "id", answers.collect());
}

#[test]
fn what_mlservers_codecs_write_is_answered_as_python_answers_it() {
    ask_all("mlserver", &[("codecs", &[Form::Tensors]), ("pandas", &[Form::Tensors])]);
}

#[test]
fn what_kserves_infer_request_writes_is_answered_as_python_answers_it() {
    let ways: [(&str, &[Form]); 4] = [
        ("json", &[Form::Tensors]),
        ("binary", &[Form::Binary]),
        ("contents", &[Form::Protobuf]),
        ("raw", &[Form::Protobuf]),
    ];
    ask_all("kserve", &ways);
}
