//! The ONNX backend on real models: the same numbers as Python's runtime, and clear sentences for what cannot be served.
//!
//! The models and what Python answers to them are made by `scripts/make_fixtures.py`. The runtime library is found as the
//! program finds it; `ORT_DYLIB_PATH` says where it lies.

#[path = "onnx/batching.rs"]
mod batching;
#[path = "onnx/checks.rs"]
mod checks;
#[path = "onnx/golden.rs"]
mod golden;
#[path = "onnx/inspect.rs"]
mod inspect;
#[path = "onnx/refused.rs"]
mod refused;
#[path = "onnx/running.rs"]
mod running;

use std::path::{Path, PathBuf};

use modelmill::{
    backend::onnx::{OnnxSession, SessionOptions},
    tensor::{Column, Columns, Elements, Tensor},
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fixtures")
}

fn model(name: &str) -> PathBuf {
    fixtures().join(name).join("1/model.onnx")
}

fn open(name: &str) -> OnnxSession {
    OnnxSession::open(&model(name), &SessionOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn column(name: &str, shape: &[usize], elements: Elements) -> Column {
    Column::new(name, Tensor::new(shape.to_vec(), elements).unwrap())
}

fn columns(columns: impl IntoIterator<Item = Column>) -> Columns {
    columns.into_iter().collect()
}
