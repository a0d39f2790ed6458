//! Every format × every kind of model: the goldens of Python's runtime, asked in each format that can say them.
//!
//! [`TABLE`] says what is tested and what no request of a format can say. JSON, CSV, bodies that are the input and CloudEvents are
//! sent from here; binary tensors, protobuf and Avro are what client libraries made of the same goldens, which `binary`,
//! `protobuf` and `avro` send, the first two also as data of events from here.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::{
    answers::{Answer, Form, HEADER_LENGTH, PROTOBUF, STRUCTURED, to_base64},
    avro, binary,
    goldens::{Golden, assert_outputs, is_same_prediction, without_words},
    protobuf,
    said::{Case, KINDS, SAID_HERE, Said, in_event, shape},
    support::{Ask, Lane, Rig},
};

/// Whether a format is tested with a kind of model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Tested,
    /// The first and only reason why no request can say it.
    Cannot(&'static str),
}

use Cell::{Cannot, Tested};

/// Formats by kinds, in the order of [`KINDS`].
const TABLE: [(&str, [Cell; 6]); 9] = [
    ("tensors", [Tested; 6]),
    ("rows", [Tested, Tested, Tested, Tested, Tested, Cannot("`instances` must not be empty")]),
    // A picture with the step `reshape`, an input of several columns among others with `stack`.
    ("csv", [Tested, Tested, Tested, Tested, Tested, Cannot("a table has at least one row")]),
    (
        "body",
        [
            Cannot("it is no numbers"),
            Tested,
            Cannot("no step makes numbers of a picture's bytes; a model that takes them is one of strings"),
            Cannot("it is one input"),
            Tested,
            Cannot("it is one row"),
        ],
    ),
    ("binary", [Tested; 6]),
    ("protobuf", [Tested; 6]),
    ("event-binary", [Tested; 6]),
    ("event-structured", [Tested; 6]),
    // A picture as a flat array, with the step `reshape`.
    ("avro", [Tested, Tested, Tested, Tested, Tested, Cannot("a record is one row")]),
];

/// A model's name in these tests, by the place of its version under `tests/data`.
fn model_at(place: &str, model: &str) -> String {
    if place.starts_with("fixtures/") { format!("fixture_{model}") } else { model.to_owned() }
}

/// What client libraries made of the goldens, as the data of events in both modes: the ask and what is expected, by id.
fn libraries_in_events() -> Vec<(String, Ask, Form, Value)> {
    let mut all = Vec::new();
    let mut both = |model: String, content_type: &str, header: Option<u64>, body: &[u8], form: Form, outputs: Value| {
        let index = all.len();
        let with = |ask: Ask| {
            let ask = ask.header("model-name", model.as_str());
            header.into_iter().fold(ask, |ask, length| ask.header(HEADER_LENGTH, length.to_string()))
        };
        let id = format!("library-{index}-binary");
        let ask = in_event(&id, with(Ask::bytes(body).header("content-type", content_type)));
        all.push((id, ask, form, outputs.clone()));
        let id = format!("library-{index}-structured");
        let event = json!({"specversion": "1.0", "id": id, "type": "ask", "source": "/test",
                           "datacontenttype": content_type, "data_base64": to_base64(body)});
        all.push((id, with(Ask::json(&event).header("content-type", STRUCTURED)), form, outputs));
    };
    for golden in binary::Golden::all() {
        let content_type = if golden.header.is_some() { "application/octet-stream" } else { "application/json" };
        let form = if golden.binary().is_empty() { Form::Tensors } else { Form::Binary };
        let model = model_at(&golden.place, &golden.model);
        both(model, content_type, golden.header, &golden.body, form, without_words(&golden.outputs));
    }
    for golden in protobuf::Golden::all() {
        // The first field with this number is its id, which goes before the event's.
        let id = [&[0x1A, golden.id.len() as u8][..], golden.id.as_bytes()].concat();
        let at = golden.body.windows(id.len()).position(|bytes| bytes == id).unwrap();
        let body = [&golden.body[..at], &golden.body[at + id.len()..]].concat();
        both(model_at(&golden.place, &golden.model), PROTOBUF, None, &body, Form::Protobuf, golden.outputs);
    }
    all
}

/// An answer that is due.
struct Due {
    id: String,
    form: Form,
    expected: Value,
    is_event: bool,
}

/// The lanes of a rig: one for all models, and one for each model and format that wants steps of its own.
struct Lanes<'a> {
    rig: &'a Rig,
    lanes: BTreeMap<String, (Lane, Vec<Ask>)>,
}

impl Lanes<'_> {
    fn add(&mut self, format: &str, model: &str, steps: &[Value], ask: Ask) {
        let (name, model, ask) = match steps {
            [] => ("any".to_owned(), "{request.model}", ask.header("model-name", model)),
            _ => (format!("{model}-{format}"), model, ask),
        };
        let (_, asks) = self.lanes.entry(name).or_insert_with_key(|name| {
            let steps = steps.iter().cloned().chain([json!({"predict": {"model": model}})]).collect();
            (self.rig.lane(name, steps), Vec::new())
        });
        asks.push(ask);
    }
}

#[test]
fn every_model_answers_in_every_format_through_kafka_as_python_does() {
    let Some(rig) = Rig::new("formats") else { return };
    let goldens = Golden::all();
    goldens.iter().for_each(|golden| rig.model(&golden.model, 1, &golden.version));
    let mut lanes = Lanes { rig: &rig, lanes: BTreeMap::new() };
    let mut due = Vec::new();
    for case in Case::all(&goldens) {
        for (format, say) in SAID_HERE {
            for (index, Said { ask, steps, form, expected }) in say(&case).into_iter().enumerate() {
                let id = format!("{}-{format}-{index}", case.name);
                lanes.add(format, &case.model, &steps, ask.header("x-request-id", id.as_str()));
                due.push(Due { id, form, expected, is_event: format.starts_with("event") });
            }
        }
    }
    let libraries = libraries_in_events();
    assert!(goldens.len() > 40 && due.len() > 1000 && libraries.len() > 400, "{} {}", due.len(), libraries.len());
    for (id, ask, form, expected) in libraries {
        lanes.lanes.get_mut("any").unwrap().1.push(ask);
        due.push(Due { id, form, expected, is_event: true });
    }
    let mut worker = rig.worker();
    let mut answers = HashMap::new();
    for (lane, asks) in lanes.lanes.values() {
        answers.extend(lane.exchange(asks));
    }
    worker.stop();
    lanes.lanes.values().for_each(|(lane, _)| lane.assert_nothing_more());
    for Due { id, form, expected, is_event } in due {
        let record = answers.remove(&id).unwrap_or_else(|| panic!("no answer to {id}"));
        let answer = Answer::of(&record).expect(form, &id);
        assert_eq!(answer.event.is_some(), is_event, "{id} asks in an event, or in none");
        match form {
            Form::Rows => {
                assert!(
                    is_same_prediction(&answer.outputs, &expected),
                    "{id}: {} instead of {expected}",
                    answer.outputs
                )
            }
            Form::Tensors if !id.starts_with("library") => assert_outputs(&id, &answer.outputs, &expected),
            _ => assert_outputs(&id, &without_words(&answer.outputs), &expected),
        }
    }
    assert!(answers.is_empty(), "{} answers to nobody", answers.len());
}

#[test]
fn the_table_of_formats_and_kinds_is_what_is_tested() {
    let cases = Case::all(&Golden::all());
    let mut found = HashMap::<(&str, &str), usize>::new();
    for case in &cases {
        for (format, say) in SAID_HERE {
            let said = say(case).len();
            case.kinds().into_iter().for_each(|kind| *found.entry((format, kind)).or_default() += said);
        }
    }
    let models: HashMap<_, _> = cases.iter().rev().map(|case| (case.model.as_str(), case.kinds())).collect();
    let mut count = |format: &'static str, place: &str, model: &str, outputs: &Value| {
        let has_rows = shape(&outputs[0]).first() != Some(&0);
        let kinds = if has_rows { models[&*model_at(place, model)].clone() } else { vec!["no rows"] };
        kinds.into_iter().for_each(|kind| *found.entry((format, kind)).or_default() += 1);
    };
    for golden in binary::Golden::all() {
        count("binary", &golden.place, &golden.model, &golden.outputs);
    }
    for golden in protobuf::Golden::all() {
        count("protobuf", &golden.place, &golden.model, &golden.outputs);
    }
    for golden in avro::Golden::all() {
        count("avro", &golden.place, &golden.model, &golden.outputs.clone().into());
    }
    println!("{:18}{}", "", KINDS.map(|kind| format!("{kind:>16}")).concat());
    for (format, cells) in TABLE {
        let count = |kind: &str| found.get(&(format, kind)).copied().unwrap_or(0);
        println!("{format:18}{}", KINDS.map(|kind| format!("{:>16}", count(kind))).concat());
        for (kind, cell) in KINDS.into_iter().zip(cells) {
            match cell {
                Tested => assert!(count(kind) > 0, "{format} is not tested with {kind}"),
                Cannot(why) => assert_eq!(count(kind), 0, "{format} says {kind}, though {why}"),
            }
        }
    }
}
