//! Every model that has a golden file answers as Python's runtime does, in the same shapes.

use std::path::{Path, PathBuf};

use half::f16;
use modelmill::{
    backend::{
        Session, check_input,
        onnx::{OnnxSession, SessionOptions},
    },
    tensor::{ByteStrings, Column, Columns, DataType, Elements, Tensor},
};
use serde_json::Value;

use crate::fixtures;

/// A model that has goldens.
struct Golden {
    name: String,
    model: PathBuf,
    cases: Vec<Value>,
}

/// The goldens below `repository`, in `place` of each model's folder.
fn goldens(repository: &Path, place: &str) -> Vec<Golden> {
    let folders = std::fs::read_dir(repository).unwrap().map(|folder| folder.unwrap().path());
    let read = |folder: PathBuf| {
        let text = std::fs::read_to_string(folder.join(place)).ok()?;
        let golden: Value = serde_json::from_str(&text).unwrap();
        let cases = golden.get("cases").unwrap_or(&golden).as_array().unwrap().clone();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        Some(Golden { name, model: folder.join("1/model.onnx"), cases })
    };
    folders.filter_map(read).collect()
}

#[test]
fn every_model_answers_as_python_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = goldens(&fixtures(), "golden.json");
    let trained = goldens(&root.join("tests/data/trained"), "1/golden.json");
    let benches = goldens(&root.join("benches/models"), "1/golden.json");
    assert_eq!(benches.len(), 2, "the models of the benchmarks");
    let mut cases = 0;
    for Golden { name, model, cases: found } in fixtures.into_iter().chain(trained).chain(benches) {
        let mut session =
            OnnxSession::open(&model, &SessionOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for case in &found {
            let inputs: Columns = case["inputs"].as_array().unwrap().iter().map(read).collect();
            for input in inputs.iter() {
                check_input(session.signature().input(&input.name).unwrap(), &input.tensor, false).unwrap();
            }
            let outputs = session.run(&inputs, None).unwrap_or_else(|error| panic!("{name}: {error}"));
            let expected: Vec<_> = case["outputs"].as_array().unwrap().iter().map(read).collect();
            assert_eq!(outputs.len(), expected.len(), "{name}");
            for (output, expected) in outputs.iter().zip(&expected) {
                assert_same(&name, output, expected);
            }
            cases += 1;
        }
    }
    assert!(cases > 180, "only {cases} cases were found");
}

fn assert_same(model: &str, output: &Column, expected: &Column) {
    let context = format!("{model}, output `{}`", output.name);
    assert_eq!(output.name, expected.name, "{context}");
    assert!(output.answer, "{context}");
    assert_eq!(output.classes, expected.classes, "{context}");
    assert_eq!(output.tensor.datatype(), expected.tensor.datatype(), "{context}");
    assert_eq!(output.tensor.shape(), expected.tensor.shape(), "{context}");
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 + 1e-6 * b.abs();
    let all_close = match (output.tensor.elements(), expected.tensor.elements()) {
        (Elements::Fp16(a), Elements::Fp16(b)) => a.iter().zip(b).all(|(a, b)| close(a.to_f64(), b.to_f64())),
        (Elements::Fp32(a), Elements::Fp32(b)) => a.iter().zip(b).all(|(&a, &b)| close(a.into(), b.into())),
        (Elements::Fp64(a), Elements::Fp64(b)) => a.iter().zip(b).all(|(&a, &b)| close(a, b)),
        (a, b) => a == b,
    };
    assert!(all_close, "{context}: {:?} instead of {:?}", output.tensor.elements(), expected.tensor.elements());
}

pub fn read(described: &Value) -> Column {
    let datatype: DataType = described["datatype"].as_str().unwrap().parse().unwrap();
    let shape = described["shape"].as_array().unwrap().iter().map(|axis| axis.as_u64().unwrap() as usize).collect();
    let elements = elements(datatype, described["data"].as_array().unwrap());
    let mut column = Column::new(described["name"].as_str().unwrap(), Tensor::new(shape, elements).unwrap());
    let classes = described.get("classes").or_else(|| described.get("parameters")?.get("classes"));
    column.classes = classes.map(|classes| {
        let classes = classes.as_array().unwrap();
        let datatype = if classes[0].is_string() { DataType::Bytes } else { DataType::Int64 };
        self::elements(datatype, classes).into()
    });
    column
}

fn elements(datatype: DataType, data: &[Value]) -> Elements {
    let unsigned = || data.iter().map(|item| item.as_u64().unwrap());
    let signed = || data.iter().map(|item| item.as_i64().unwrap());
    let float = || {
        data.iter().map(|item| match item.as_str() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            Some(other) => panic!("{other}"),
            None => item.as_f64().unwrap(),
        })
    };
    match datatype {
        DataType::Bool => Elements::Bool(data.iter().map(|item| item.as_bool().unwrap()).collect()),
        DataType::Uint8 => Elements::Uint8(unsigned().map(|item| item.try_into().unwrap()).collect()),
        DataType::Uint16 => Elements::Uint16(unsigned().map(|item| item.try_into().unwrap()).collect()),
        DataType::Uint32 => Elements::Uint32(unsigned().map(|item| item.try_into().unwrap()).collect()),
        DataType::Uint64 => Elements::Uint64(unsigned().collect()),
        DataType::Int8 => Elements::Int8(signed().map(|item| item.try_into().unwrap()).collect()),
        DataType::Int16 => Elements::Int16(signed().map(|item| item.try_into().unwrap()).collect()),
        DataType::Int32 => Elements::Int32(signed().map(|item| item.try_into().unwrap()).collect()),
        DataType::Int64 => Elements::Int64(signed().collect()),
        DataType::Fp16 => Elements::Fp16(float().map(f16::from_f64).collect()),
        DataType::Fp32 => Elements::Fp32(float().map(|item| item as f32).collect()),
        DataType::Fp64 => Elements::Fp64(float().collect()),
        DataType::Bytes => Elements::Bytes(data.iter().map(|item| item.as_str().unwrap()).collect::<ByteStrings>()),
    }
}
