//! CloudEvents: what both major versions of Python's SDK send (`scripts/make_event_goldens.py`), in both modes. They go through
//! a worker in `mixed`, among all other forms; how the answer to each must look is said here.

use modelmill::broker::kafka::client::Record;
use serde_json::Value;

use crate::{
    answers::{Answer, Form},
    goldens::{assert_outputs, bytes, is_same_prediction, lines, predictions},
    support::Ask,
};

pub struct Golden {
    /// The id that the answer must have.
    pub id: String,
    mode: String,
    data: String,
    pub ask: Ask,
}

impl Golden {
    pub fn all() -> Vec<Self> {
        [1, 2].into_iter().flat_map(Self::of_sdk).collect()
    }

    fn of_sdk(major: u32) -> Vec<Self> {
        let golden = |golden: Value| {
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            let mut ask = Ask::bytes(bytes(&golden["body"]));
            for (name, value) in golden["headers"].as_object().unwrap() {
                ask = ask.header(name, value.as_str().unwrap());
            }
            let (mode, data) = (text("mode"), text("data"));
            let id = if data == "rows" { format!("own-{mode}-{major}") } else { text("event") };
            Self { id, mode, data, ask }
        };
        lines(&format!("cloudevents/requests-{major}.jsonl")).into_iter().map(golden).collect()
    }

    /// Whether the answer to it must be an error.
    pub fn is_broken(&self) -> bool {
        self.data == "broken"
    }

    /// Holds the answer against the request: an event in its mode, with data of its form. `flower` is what its one flower is
    /// answered with, `flowers` what the four of its protobuf are.
    pub fn check(&self, record: &Record, flower: &Value, flowers: &Value) {
        let answer = Answer::of(record);
        let event = answer.event.as_ref().unwrap_or_else(|| panic!("{} is answered by no event", self.id));
        let kind = if self.is_broken() { "com.example.ask.error" } else { "com.example.ask.response" };
        let expected = ["1.0", &self.id, "/modelmill/any", kind, "flower/17", "blue"];
        let names = ["specversion", "id", "source", "type", "subject", "tenant"];
        for (name, value) in names.iter().zip(expected) {
            assert_eq!(event[*name], value, "{name} of {}", self.id);
        }
        let is_binary = record.header("ce_specversion").is_some();
        assert_eq!(is_binary, self.mode == "binary", "the mode of {}", self.id);
        assert_eq!(answer.id, self.id);
        match &*self.data {
            "tensors" => assert_outputs(&self.id, &answer.expect(Form::Tensors, &self.id).outputs, flower),
            "binary" => assert_outputs(&self.id, &answer.expect(Form::Binary, &self.id).outputs, flower),
            "protobuf" => assert_outputs(&self.id, &answer.expect(Form::Protobuf, &self.id).outputs, flowers),
            "rows" => {
                let (answered, expected) = (answer.expect(Form::Rows, &self.id).outputs, predictions(flower));
                assert!(is_same_prediction(&answered, &expected), "{}: {answered} instead of {expected}", self.id);
            }
            "broken" => assert_eq!(answer.expect(Form::Error, &self.id).outputs["code"], "INVALID_REQUEST"),
            other => panic!("data {other}"),
        }
    }
}
