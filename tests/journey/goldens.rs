//! What Python's ONNX Runtime gives for each model that has goldens, and whether an answer is that: numbers, texts, shapes and
//! classes. Which formats it is asked in, `formats` says.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Ask, Rig, json};

/// A golden file and the version folder of its model, from the project's root.
pub struct Golden {
    pub model: String,
    pub version: String,
    pub cases: Vec<Value>,
}

impl Golden {
    pub fn read(model: &str, version: &str, file: &str) -> Option<Self> {
        let text = fs::read_to_string(root().join(file)).ok()?;
        let golden: Value = serde_json::from_str(&text).unwrap();
        let cases = golden.get("cases").unwrap_or(&golden).as_array().unwrap().clone();
        Some(Self { model: model.to_owned(), version: version.to_owned(), cases })
    }

    /// All there are: the fixtures, the models that are trained for the tests, and those of the demo.
    pub fn all() -> Vec<Self> {
        let mut found = Vec::new();
        for name in folders("tests/data/fixtures") {
            let folder = format!("tests/data/fixtures/{name}");
            found.extend(Self::read(
                &format!("fixture_{name}"),
                &format!("{folder}/1"),
                &format!("{folder}/golden.json"),
            ));
        }
        for name in folders("tests/data/trained") {
            let folder = format!("tests/data/trained/{name}/1");
            found.extend(Self::read(&name, &folder, &format!("{folder}/golden.json")));
        }
        for name in folders("models") {
            found.extend(Self::read(
                &name,
                &format!("models/{name}/1"),
                &format!("tests/data/trained/goldens/{name}.json"),
            ));
        }
        found
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folders(path: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(path)).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The lines of a file under `tests/data` that holds requests of client libraries.
pub fn lines(file: &str) -> Vec<Value> {
    let path = root().join("tests/data").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn bytes(hexadecimal: &Value) -> Vec<u8> {
    let digits: Vec<_> = hexadecimal.as_str().unwrap().chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// Outputs as bytes carry them: not-a-number and the infinities, for which JSON has strings, are read as null.
pub fn without_words(outputs: &Value) -> Value {
    let mut outputs = outputs.clone();
    for output in outputs.as_array_mut().unwrap() {
        let is_float = output["datatype"].as_str().unwrap().starts_with("FP");
        for value in output["data"].as_array_mut().unwrap().iter_mut().filter(|value| is_float && value.is_string()) {
            *value = Value::Null;
        }
    }
    outputs
}

/// What row form says of outputs: of one output its rows, of several an object for each row.
pub fn predictions(outputs: &Value) -> Value {
    let outputs = outputs.as_array().unwrap();
    let rows = |output: &Value| {
        let shape = output["shape"].as_array().unwrap().iter().map(|axis| axis.as_u64().unwrap() as usize);
        match nested(output["data"].as_array().unwrap(), &shape.collect::<Vec<_>>()) {
            Value::Array(rows) => rows,
            other => panic!("no rows: {other}"),
        }
    };
    if let [output] = outputs.as_slice() {
        return rows(output).into();
    }
    let mut objects = vec![json!({}); rows(&outputs[0]).len()];
    for output in outputs {
        for (object, row) in objects.iter_mut().zip(rows(output)) {
            object[output["name"].as_str().unwrap()] = row;
        }
    }
    objects.into()
}

/// Elements nested as a shape says.
pub fn nested(elements: &[Value], shape: &[usize]) -> Value {
    let Some((&axis, inner)) = shape.split_first() else { return elements[0].clone() };
    let width: usize = inner.iter().product();
    (0..axis).map(|index| nested(&elements[index * width..(index + 1) * width], inner)).collect()
}

/// Whether two values are the same, but for the last digits of what has a fraction.
pub fn is_same(left: &Value, right: &Value) -> bool {
    agree(left, right, 0.0)
}

/// Whether two values are the same, but for what a sum may lose of numbers as large as the largest among them.
pub fn is_same_prediction(left: &Value, right: &Value) -> bool {
    agree(left, right, largest(right))
}

fn agree(left: &Value, right: &Value, largest: f64) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| agree(left, right, largest))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same =
                |(name, value): (&String, &Value)| right.get(name).is_some_and(|right| agree(value, right, largest));
            left.len() == right.len() && left.iter().all(same)
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            is_close_among(left.as_f64().unwrap(), right.as_f64().unwrap(), largest)
        }
        _ => left == right,
    }
}

/// The largest of the numbers in a value that have a fraction, without its sign.
fn largest(value: &Value) -> f64 {
    let largest_of = |inner: &mut dyn Iterator<Item = &Value>| inner.map(largest).fold(0.0, f64::max);
    match value {
        Value::Array(items) => largest_of(&mut items.iter()),
        Value::Object(members) => largest_of(&mut members.values()),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap().abs(),
        _ => 0.0,
    }
}

/// Outputs are the same: floats to five digits and what a sum may lose, everything else exactly.
pub fn assert_outputs(context: &str, answered: &Value, expected: &Value) {
    let list = |outputs: &Value| outputs.as_array().unwrap_or_else(|| panic!("{context}: {answered}")).clone();
    let (answered, expected) = (list(answered), list(expected));
    assert_eq!(answered.len(), expected.len(), "{context}: {answered:?}");
    for (answered, expected) in answered.iter().zip(&expected) {
        for key in ["name", "datatype", "shape"] {
            assert_eq!(answered[key], expected[key], "{context}: {answered}");
        }
        let classes = expected.get("classes").unwrap_or(&expected["parameters"]["classes"]);
        assert_eq!(&answered["parameters"]["classes"], classes, "{context}: {answered}");
        let is_float = expected["datatype"].as_str().unwrap().starts_with("FP");
        let data = |output: &Value| output["data"].as_array().unwrap().clone();
        let largest = largest(&expected["data"]);
        let same = |answered: &Value, expected: &Value| match (answered.as_f64(), expected.as_f64()) {
            (Some(answered), Some(expected)) if is_float => is_close_among(answered, expected, largest),
            _ => answered == expected,
        };
        let (answered, expected) = (data(answered), data(expected));
        let all = answered.len() == expected.len() && answered.iter().zip(&expected).all(|(a, b)| same(a, b));
        assert!(all, "{context}: {answered:?} instead of {expected:?}");
    }
}

/// Within 1e-5 of each other; probabilities far below one percent are differences of larger numbers.
pub fn is_close(left: f64, right: f64) -> bool {
    is_close_among(left, right, 0.0)
}

/// The same where they stand among numbers of which one is as large as `largest`: of a sum that nearly cancels out, a few
/// roundings of its parts are left, in another order on another kind of processor.
fn is_close_among(left: f64, right: f64, largest: f64) -> bool {
    const ROUNDINGS: f64 = 4.0 * f32::EPSILON as f64;
    (left - right).abs() <= 1e-5 * left.abs().max(right.abs()) + ROUNDINGS * largest + 1e-8
}

#[test]
fn many_rows_of_a_fixed_batch_are_run_in_pieces_and_odd_ones_are_padded() {
    let Some(rig) = Rig::new("fixed") else { return };
    for name in ["fixed_four", "fixed_one", "time_axis", "quantised", "iris"] {
        rig.model(name, 1, &format!("tests/data/fixtures/{name}/1"));
    }
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let ask = |id: &str, model: &str, rows: usize| {
        let data: Vec<_> = (0..rows * 3).map(|index| index as f64 / 4.0).collect();
        let input = json!({"name": "x", "datatype": "FP32", "shape": [rows, 3], "data": data});
        Ask::json(&json!({"id": id, "model_name": model, "inputs": [input]}))
    };
    let asks = [
        ask("six", "fixed_four", 6),
        ask("one", "fixed_four", 1),
        ask("none", "fixed_four", 0),
        ask("three", "fixed_one", 3),
        // Two that would change each other's answers if they shared a run.
        ask("time", "time_axis", 2),
        ask("again", "time_axis", 2),
    ];
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    // What MatMul with the fixture's weights gives for each row in turn.
    let expected = |rows: usize| {
        let row = |first: f64| {
            let x = [first, first + 0.25, first + 0.5];
            [x[0] * 0.5 + x[1] * 0.25 + x[2], -x[0] + x[1] * 2.0 + x[2] * 0.125]
        };
        let data: Vec<f64> = (0..rows).flat_map(|index| row(index as f64 * 0.75)).collect();
        json!([{"name": "y", "datatype": "FP32", "shape": [rows, 2], "data": data}])
    };
    for (id, rows) in [("six", 6), ("one", 1), ("none", 0), ("three", 3)] {
        assert_outputs(id, &json(&answers[id])["outputs"], &expected(rows));
    }
    let running =
        json!([{"name": "y", "datatype": "FP32", "shape": [2, 3], "data": [0.0, 0.25, 0.5, 0.75, 1.25, 1.75]}]);
    assert_outputs("time", &json(&answers["time"])["outputs"], &running);
    assert_outputs("again", &json(&answers["again"])["outputs"], &running);
}
