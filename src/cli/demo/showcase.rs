//! The three models of the demo as a client sees them: requests in two forms, and the class that each should get.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{answer::Answer, screen};
use crate::codec::client::{Template, documents, id_of_request};

/// What is bundled for a model.
struct Bundled {
    name: &'static str,
    /// Requests, one JSON document a line.
    requests: &'static str,
    /// The class of each, one a line, as the training library finds it.
    classes: &'static str,
    /// The classes in the order of the model's scores.
    labels: &'static str,
    /// The request that is shown.
    shown: usize,
}

macro_rules! bundled {
    ($name:literal, $shown:literal) => {
        Bundled {
            name: $name,
            requests: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/requests/", $name, ".jsonl")),
            classes: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/requests/", $name, ".classes.txt")),
            labels: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $name, "/1/labels.txt")),
            shown: $shown,
        }
    };
}

/// The most telling request of each: a clear flower, a message with a link, a digit that anybody can read.
const BUNDLED: [Bundled; 3] = [bundled!("iris", 2), bundled!("spam", 8), bundled!("digits", 4)];

/// One model, and what is asked of it.
pub struct Showcase {
    /// The model's name, which is also its pipeline's.
    pub name: &'static str,
    /// Requests in turn: the Open Inference Protocol and row form alternate.
    questions: Vec<Question>,
    labels: Vec<&'static str>,
    shown: Sample,
}

/// A request that is sent again and again under other ids.
struct Question {
    template: Template,
    class: &'static str,
}

/// The request that is shown.
pub struct Sample {
    /// Its own id.
    pub id: String,
    /// Its body.
    pub body: &'static str,
    /// What is asked, drawn for a person.
    pub picture: Vec<String>,
    /// What the answer should say.
    pub class: &'static str,
}

impl Showcase {
    /// The bundled models.
    pub fn all() -> Vec<Self> {
        BUNDLED.iter().map(Self::new).collect()
    }

    fn new(bundled: &Bundled) -> Self {
        let classes: Vec<_> = bundled.classes.lines().collect();
        let requests: Vec<_> = bundled.requests.lines().collect();
        let body = requests[bundled.shown];
        let shown = Sample {
            id: id_of_request(body.as_bytes()).map(Cow::into_owned).expect("the bundled requests have ids"),
            body,
            picture: picture(bundled.name, &document(body)),
            class: classes[bundled.shown],
        };
        let questions = requests.iter().zip(&classes).flat_map(|(body, class)| {
            let rows = row_form(bundled.name, &document(body)).to_string();
            [(*body).to_owned(), rows].map(|body| Question {
                template: Template::new(body.as_bytes(), None).expect("the bundled requests are JSON objects"),
                class,
            })
        });
        Self { name: bundled.name, questions: questions.collect(), labels: bundled.labels.lines().collect(), shown }
    }

    /// The request that is shown.
    pub fn sample(&self) -> &Sample {
        &self.shown
    }

    /// The topic of its requests.
    pub fn request_topic(&self) -> String {
        format!("{}.requests", self.name)
    }

    /// The topic of its answers.
    pub fn result_topic(&self) -> String {
        format!("{}.results", self.name)
    }

    /// Writes the request number `sequence` under this id in place of what `body` held.
    pub fn write(&self, sequence: u64, id: &[u8], body: &mut Vec<u8>) {
        self.question(sequence).template.write(id, body);
    }

    /// What is wrong with the answer to the request number `sequence`; `None` if nothing is.
    pub fn fault(&self, sequence: u64, answer: &[u8]) -> Option<String> {
        self.judge(self.question(sequence).class, &self.read(answer))
    }

    /// An answer as this model gives it.
    pub fn read(&self, answer: &[u8]) -> Option<Answer> {
        Answer::read(answer, &self.labels)
    }

    /// What is wrong with an answer that should say `class`.
    pub fn judge(&self, class: &str, answer: &Option<Answer>) -> Option<String> {
        match answer {
            None => Some("an answer that says no class".to_owned()),
            Some(answer) if answer.class != class => Some(format!("`{}` instead of `{class}`", answer.class)),
            Some(_) => None,
        }
    }

    fn question(&self, sequence: u64) -> &Question {
        let turn = sequence % self.questions.len() as u64;
        &self.questions[usize::try_from(turn).expect("below the number of questions")]
    }
}

fn document(body: &str) -> Value {
    let documents = documents(body.as_bytes()).expect("the bundled requests are JSON");
    serde_json::from_slice(&documents[0]).expect("the bundled requests are JSON")
}

/// The same request in row form: features without names, a feature by its name, an image by its name.
fn row_form(name: &str, request: &Value) -> Value {
    let data = &request["inputs"][0]["data"];
    let instance = match name {
        "iris" => data.clone(),
        "spam" => json!({"text": data[0]}),
        _ => {
            let rows: Vec<_> = data.as_array().expect("an image has data").chunks(screen::SIDE).collect();
            json!({"image": [rows]})
        }
    };
    json!({"instances": [instance]})
}

fn picture(name: &str, request: &Value) -> Vec<String> {
    let data = &request["inputs"][0]["data"];
    let numbers = || data.as_array().into_iter().flatten().filter_map(Value::as_f64);
    match name {
        "iris" => screen::flower(&numbers().collect::<Vec<_>>()),
        "spam" => screen::message(data[0].as_str().unwrap_or_default()),
        _ => screen::image(&numbers().collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(showcase: &Showcase, sequence: u64) -> String {
        let mut body = Vec::new();
        showcase.write(sequence, b"id-1", &mut body);
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn every_request_has_a_class_that_its_model_knows() {
        for (showcase, bundled) in Showcase::all().iter().zip(&BUNDLED) {
            assert_eq!(bundled.requests.lines().count(), bundled.classes.lines().count());
            assert_eq!(showcase.questions.len(), 2 * bundled.classes.lines().count());
            assert!(bundled.classes.lines().all(|class| showcase.labels.contains(&class)), "{}", showcase.name);
        }
    }

    #[test]
    fn both_forms_ask_the_same_in_turn() {
        let [iris, spam, digits] = Showcase::all().try_into().ok().unwrap();
        assert!(written(&iris, 0).contains(r#""id": "id-1""#) && written(&iris, 0).contains("[6.3, 3.4, 5.6, 2.4]"));
        assert_eq!(written(&iris, 1), r#"{"id":"id-1","instances":[[6.3,3.4,5.6,2.4]]}"#);
        assert!(written(&iris, 21).contains("[6.3,3.4,5.6,2.4]"), "after the last comes the first again");
        assert!(written(&spam, 1).starts_with(r#"{"id":"id-1","instances":[{"text":"Could you water"#));
        let image: Value = serde_json::from_str(&written(&digits, 1)).unwrap();
        assert_eq!(image["instances"][0]["image"][0].as_array().unwrap().len(), 8);
        assert_eq!(image["instances"][0]["image"][0][7][5], 14);
    }

    #[test]
    fn a_wrong_class_is_a_fault_that_names_both() {
        let spam = &Showcase::all()[1];
        let answer =
            |label: &str| format!(r#"{{"id":"x","predictions":[{{"label":"{label}","probabilities":[0.9,0.1]}}]}}"#);
        assert_eq!(spam.fault(0, answer("ham").as_bytes()), None);
        assert_eq!(spam.fault(2, answer("ham").as_bytes()), Some("`ham` instead of `spam`".to_owned()));
        assert!(spam.fault(0, b"{}").is_some());
    }
}
