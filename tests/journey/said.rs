//! One case of a golden file, said in each format that `formats` sends; and of which kinds its model is.

use serde_json::{Value, json};

use crate::{
    answers::{Form, STRUCTURED},
    goldens::{Golden, nested, predictions},
    support::Ask,
};

/// Numbers in columns; texts, one a row; pictures; more than one input; strings of any shape; a request of no rows.
pub const KINDS: [&str; 6] = ["table", "text", "image", "several inputs", "strings", "no rows"];

/// One case of a golden file.
pub struct Case {
    pub model: String,
    pub name: String,
    inputs: Vec<Value>,
    outputs: Value,
}

impl Case {
    pub fn all(goldens: &[Golden]) -> Vec<Self> {
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

    pub fn kinds(&self) -> Vec<&'static str> {
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

pub fn shape(tensor: &Value) -> Vec<usize> {
    tensor["shape"].as_array().unwrap().iter().map(|axis| axis.as_u64().unwrap() as usize).collect()
}

fn data(tensor: &Value) -> &[Value] {
    tensor["data"].as_array().unwrap()
}

fn is_bytes(tensor: &Value) -> bool {
    tensor["datatype"] == "BYTES"
}

/// A case in a format, without its id and its model.
pub struct Said {
    pub ask: Ask,
    /// What the pipeline does before `predict`.
    pub steps: Vec<Value>,
    pub form: Form,
    /// Outputs, or predictions.
    pub expected: Value,
}

/// The ways of saying a case in a format; none if it cannot be said.
pub type Say = fn(&Case) -> Vec<Said>;

pub const SAID_HERE: [(&str, Say); 6] = [
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
pub fn in_event(id: &str, ask: Ask) -> Ask {
    let attributes = [("ce_specversion", "1.0"), ("ce_id", id), ("ce_type", "ask"), ("ce_source", "/test")];
    attributes.iter().fold(ask, |ask, (name, value)| ask.header(name, *value))
}
