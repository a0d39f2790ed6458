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
    goldens::{Golden, assert_outputs, is_same, nested, predictions, without_words},
    protobuf,
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

/// Numbers in columns; texts, one a row; pictures; more than one input; strings of any shape; a request of no rows.
const KINDS: [&str; 6] = ["table", "text", "image", "several inputs", "strings", "no rows"];

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

/// One case of a golden file.
struct Case {
    model: String,
    name: String,
    inputs: Vec<Value>,
    outputs: Value,
}

impl Case {
    fn all(goldens: &[Golden]) -> Vec<Self> {
        let cases = |golden: &Golden| {
            let case = |(index, case): (usize, &Value)| Self {
                model: golden.model.clone(),
                name: format!("{}-{index}", golden.model),
                inputs: case["inputs"].as_array().unwrap().clone(),
                outputs: case["outputs"].clone(),
            };
            golden.cases.iter().enumerate().map(case).collect::<Vec<_>>()
        };
        goldens.iter().flat_map(cases).collect()
    }

    fn kinds(&self) -> Vec<&'static str> {
        if self.inputs.iter().any(|input| shape(input).first() == Some(&0)) {
            return vec!["no rows"];
        }
        let any = |test: fn(&Value) -> bool| self.inputs.iter().any(test);
        let is_text = |input: &Value| is_bytes(input) && matches!(shape(input).as_slice(), [_, 1]);
        let is = [
            any(|input| !is_bytes(input) && shape(input).len() == 2),
            self.inputs.len() == 1 && any(is_text),
            any(|input| shape(input).len() == 4),
            self.inputs.len() > 1,
            any(is_bytes),
            false,
        ];
        KINDS.into_iter().zip(is).filter(|(_, is)| *is).map(|(kind, _)| kind).collect()
    }

    /// How many rows all of its inputs and outputs have; `None` if there are none or they differ.
    fn rows(&self) -> Option<usize> {
        let rows = shape(self.inputs.first()?).first().copied().filter(|rows| *rows > 0)?;
        let mut all = self.inputs.iter().chain(self.outputs.as_array().unwrap());
        all.all(|tensor| shape(tensor).first() == Some(&rows)).then_some(rows)
    }

    /// What an event holds: its data's id goes before its own.
    fn with_id(&self, format: &str) -> Value {
        json!({"id": format!("{}-{format}-0", self.name), "inputs": self.inputs})
    }
}

fn shape(tensor: &Value) -> Vec<usize> {
    tensor["shape"].as_array().unwrap().iter().map(|axis| axis.as_u64().unwrap() as usize).collect()
}

fn data(tensor: &Value) -> &[Value] {
    tensor["data"].as_array().unwrap()
}

fn is_bytes(tensor: &Value) -> bool {
    tensor["datatype"] == "BYTES"
}

/// A case in a format, without its id and its model.
struct Said {
    ask: Ask,
    /// What the pipeline does before `predict`.
    steps: Vec<Value>,
    form: Form,
    /// Outputs, or predictions.
    expected: Value,
}

/// The ways of saying a case in a format; none if it cannot be said.
type Say = fn(&Case) -> Vec<Said>;

const SAID_HERE: [(&str, Say); 6] = [
    ("tensors", tensors),
    ("rows", rows),
    ("csv", csv),
    ("body", body),
    ("event-binary", event_binary),
    ("event-structured", event_structured),
];

fn tensors(case: &Case) -> Vec<Said> {
    let (ask, expected) = (Ask::json(&json!({"inputs": case.inputs})), case.outputs.clone());
    vec![Said { ask, steps: Vec::new(), form: Form::Tensors, expected }]
}

/// Objects; and bare values where there is one input.
fn rows(case: &Case) -> Vec<Said> {
    let Some(count) = case.rows() else { return Vec::new() };
    let value = |input: &Value, row: usize| {
        let row_shape = &shape(input)[1..];
        let width = row_shape.iter().product::<usize>();
        nested(&data(input)[row * width..(row + 1) * width], row_shape)
    };
    let object = |row: usize| -> Value {
        let member = |input: &Value| (input["name"].as_str().unwrap().to_owned(), value(input, row));
        Value::Object(case.inputs.iter().map(member).collect())
    };
    // A single value is a column of [n, 1].
    let vectors = case.inputs.iter().filter(|input| shape(input).len() == 1);
    let steps: Vec<_> = vectors.map(|input| json!({"reshape": {"column": input["name"], "shape": []}})).collect();
    let said = |instances: Value| Said {
        ask: Ask::json(&json!({"instances": instances})),
        steps: steps.clone(),
        form: Form::Rows,
        expected: predictions(&case.outputs),
    };
    let mut all = vec![said((0..count).map(object).collect())];
    if let [input] = case.inputs.as_slice() {
        all.push(said((0..count).map(|row| value(input, row)).collect()));
    }
    all
}

/// A column for each value of a row.
fn csv(case: &Case) -> Vec<Said> {
    let Some(count) = case.rows() else { return Vec::new() };
    let (mut header, mut steps) = (Vec::new(), Vec::new());
    for input in &case.inputs {
        let (name, shape) = (input["name"].as_str().unwrap(), shape(input));
        let width = shape[1..].iter().product::<usize>();
        if width == 1 {
            header.push(name.to_owned());
        } else if case.inputs.len() == 1 {
            header.extend((0..width).map(|index| index.to_string()));
        } else {
            let columns: Vec<_> = (0..width).map(|index| format!("{name}_{index}")).collect();
            steps.push(json!({"stack": {"columns": columns, "into": name}}));
            header.extend(columns);
        }
        if shape.len() != 2 {
            steps.push(json!({"reshape": {"column": name, "shape": shape[1..]}}));
        }
    }
    let cells = |row: usize| -> Vec<String> {
        let of = |input: &Value| {
            let width = shape(input)[1..].iter().product::<usize>();
            data(input)[row * width..(row + 1) * width].iter().map(cell).collect::<Vec<_>>()
        };
        case.inputs.iter().flat_map(of).collect()
    };
    let lines: Vec<_> = std::iter::once(header).chain((0..count).map(cells)).map(|line| line.join(",")).collect();
    let is_empty = |input: &&Value| is_bytes(input) && data(input).iter().all(|text| text == "");
    if case.inputs.iter().any(|input| is_empty(&input)) {
        // Nothing tells a column of empty texts from one of missing numbers.
        return Vec::new();
    }
    let ask = Ask::bytes(lines.join("\n")).header("content-type", "text/csv");
    vec![Said { ask, steps, form: Form::Rows, expected: predictions(&case.outputs) }]
}

fn cell(value: &Value) -> String {
    let is_word = |text: &str| matches!(text, "NaN" | "Infinity" | "-Infinity");
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        other => other.to_string(),
    }
}

/// Each text that is not empty by itself.
fn body(case: &Case) -> Vec<Said> {
    let ([input], Some(count)) = (case.inputs.as_slice(), case.rows()) else { return Vec::new() };
    if !is_bytes(input) || shape(input)[1..] != [1] {
        return Vec::new();
    }
    let row_of = |output: &Value, row: usize| {
        let mut one = output.clone();
        let width = data(output).len() / count;
        one["shape"][0] = json!(1);
        one["data"] = json!(data(output)[row * width..(row + 1) * width]);
        one
    };
    let said = |(row, text): (usize, &Value)| Said {
        ask: Ask::bytes(text.as_str().unwrap()).header("content-type", "text/plain; charset=utf-8"),
        steps: Vec::new(),
        form: Form::Tensors,
        expected: case.outputs.as_array().unwrap().iter().map(|output| row_of(output, row)).collect(),
    };
    data(input).iter().enumerate().filter(|(_, text)| *text != "").map(said).collect()
}

fn event_binary(case: &Case) -> Vec<Said> {
    let ask = Ask::json(&case.with_id("event-binary")).header("content-type", "application/json");
    let ask = in_event("any", ask);
    vec![Said { ask, steps: Vec::new(), form: Form::Tensors, expected: case.outputs.clone() }]
}

fn event_structured(case: &Case) -> Vec<Said> {
    let event = json!({"specversion": "1.0", "id": "any", "type": "ask", "source": "/test",
                       "data": case.with_id("event-structured")});
    let ask = Ask::json(&event).header("content-type", STRUCTURED);
    vec![Said { ask, steps: Vec::new(), form: Form::Tensors, expected: case.outputs.clone() }]
}

/// An event in binary mode around a request.
fn in_event(id: &str, ask: Ask) -> Ask {
    let attributes = [("ce_specversion", "1.0"), ("ce_id", id), ("ce_type", "ask"), ("ce_source", "/test")];
    attributes.iter().fold(ask, |ask, (name, value)| ask.header(name, *value))
}

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
                assert!(is_same(&answer.outputs, &expected), "{id}: {} instead of {expected}", answer.outputs)
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
