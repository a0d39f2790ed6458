//! What the client libraries of MLServer and of KServe send (`scripts/make_server_goldens.py`), answered through Kafka as Python's
//! runtime answers it.
//!
//! Their decoders read our answers, too: those that lie beside the requests, which these tests hold against what the worker says
//! today (and write with `MODELMILL_UPDATE_GOLDENS=1`, whereupon the script must be run again).

use std::{collections::BTreeMap, fs, path::Path};

use modelmill::broker::kafka::client::Record;
use serde_json::{Value, json};

use crate::{
    answers::{Answer, Form, HEADER_LENGTH},
    goldens::{assert_outputs, bytes, is_same, lines, without_words},
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

/// An answer as the libraries are given it: the headers that say what it is, and its body.
struct Given {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Given {
    fn of(record: &Record) -> Self {
        let header = |name: &str| {
            let value = record.header(name)?;
            Some((name.to_owned(), String::from_utf8(value.to_vec()).unwrap()))
        };
        let headers = ["content-type", HEADER_LENGTH].into_iter().filter_map(header).collect();
        Self { headers, body: record.value.clone().unwrap() }
    }

    fn read(line: &Value) -> Self {
        let headers = line["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        Self { headers, body: bytes(&line["body"]) }
    }

    fn line(&self, id: &str) -> String {
        let body: String = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"id": id, "headers": self.headers, "body": body}).to_string()
    }

    /// What a library can see of it.
    fn seen(&self, id: &str) -> Value {
        let content_type = self.headers.get("content-type").map(String::as_str);
        let header: Option<usize> = self.headers.get(HEADER_LENGTH).map(|length| length.parse().unwrap());
        let answer = Answer::read(id.to_owned(), content_type, header, self.body.clone());
        let head = match header {
            Some(header) => serde_json::from_slice(&self.body[..header]).unwrap(),
            None if answer.form == Form::Protobuf => Value::Null,
            None => serde_json::from_slice(&self.body).unwrap(),
        };
        json!([content_type, head, answer.outputs])
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
    hold_answers(library, goldens.iter().map(|golden| (golden.id.as_str(), Given::of(&answers[&golden.id]))));
}

/// Holds answers against those that the library's decoder has read.
fn hold_answers<'a>(library: &str, answers: impl Iterator<Item = (&'a str, Given)>) {
    let file = format!("{library}/answers.jsonl");
    let answers: Vec<_> = answers.collect();
    if std::env::var_os("MODELMILL_UPDATE_GOLDENS").is_some() {
        let text: String = answers.iter().map(|(id, given)| given.line(id) + "\n").collect();
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(&file), text).unwrap();
    }
    let known = lines(&file);
    assert_eq!(known.len(), answers.len(), "run this test with MODELMILL_UPDATE_GOLDENS=1");
    for (line, (id, given)) in known.iter().zip(answers) {
        assert_eq!(line["id"], id, "run this test with MODELMILL_UPDATE_GOLDENS=1");
        let (known, said) = (Given::read(line).seen(id), given.seen(id));
        assert!(is_same(&known, &said), "{id}: {said}, but {library} has read {known}");
    }
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
