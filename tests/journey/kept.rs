//! Answers of ours that lie under `tests/data`, where scripts have read them with the decoders of client libraries: a worker must
//! say the same today.
//!
//! Tests write them with `MODELMILL_UPDATE_GOLDENS=1`, whereupon the scripts must be run again.

use std::{collections::BTreeMap, fs, path::Path};

use modelmill::broker::kafka::client::Record;
use serde_json::{Value, json};

use crate::{
    answers::{Answer, Form, HEADER_LENGTH},
    goldens::{bytes, is_same, lines},
};

/// An answer as a library is given it: the headers that say what it is, and its body.
pub struct Given {
    id: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Given {
    pub fn of(record: &Record) -> Self {
        let says_what = |name: &str| ["content-type", HEADER_LENGTH].contains(&name) || name.starts_with("ce_");
        let header = |(name, value): &(String, Option<Vec<u8>>)| {
            // When it was written is another time each time.
            let kept = says_what(name) && name != "ce_time";
            kept.then(|| (name.clone(), String::from_utf8(value.clone().unwrap()).unwrap()))
        };
        let headers = record.headers.iter().filter_map(header).collect();
        let id = String::from_utf8(record.key.clone().unwrap()).unwrap();
        Self { id, headers, body: record.value.clone().unwrap() }
    }

    fn read(line: &Value) -> Self {
        let headers = line["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        Self { id: line["id"].as_str().unwrap().to_owned(), headers, body: bytes(&line["body"]) }
    }

    fn line(&self) -> Value {
        let body: String = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"id": self.id, "headers": self.headers, "body": body})
    }

    /// What a library can see of it.
    fn seen(&self) -> Value {
        let mut headers = self.headers.clone();
        // How long the JSON is depends on how many digits its numbers have.
        let header: Option<usize> = headers.remove(HEADER_LENGTH).map(|length| length.parse().unwrap());
        let content_type = headers.get("content-type").map(String::as_str);
        let answer = Answer::read(self.id.clone(), content_type, header, self.body.clone());
        let head = match header {
            Some(header) => serde_json::from_slice(&self.body[..header]).unwrap(),
            None if answer.form == Form::Protobuf => Value::Null,
            None => serde_json::from_slice(&self.body).unwrap(),
        };
        json!([headers, head, answer.outputs])
    }
}

/// Holds answers against those in a file, each by its name, which stands there under `key`.
pub fn hold(file: &str, key: &str, answers: Vec<(String, Given)>) {
    if std::env::var_os("MODELMILL_UPDATE_GOLDENS").is_some() {
        let line = |(name, given): &(String, Given)| {
            let mut line = given.line();
            line[key] = json!(name);
            format!("{line}\n")
        };
        let text: String = answers.iter().map(line).collect();
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file), text).unwrap();
    }
    let known = lines(file);
    assert_eq!(known.len(), answers.len(), "run this test with MODELMILL_UPDATE_GOLDENS=1");
    for (line, (name, given)) in known.iter().zip(answers) {
        assert_eq!(line[key], name, "run this test with MODELMILL_UPDATE_GOLDENS=1");
        let (known, said) = (Given::read(line).seen(), given.seen());
        assert!(is_same(&known, &said), "{name}: {said}, but what was read is {known}");
    }
}
