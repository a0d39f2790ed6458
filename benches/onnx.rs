//! What one run costs from column to column: lending rows to the runtime, the run, copying results out.
//!
//! `cargo bench --bench onnx`, with `ORT_DYLIB_PATH` naming the runtime library. Each model is asked with 1, 8 and 128 rows.

use std::path::{Path, PathBuf};

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::{
    backend::{
        Session,
        onnx::{OnnxSession, SessionOptions},
    },
    tensor::{Column, Columns, Elements, Tensor},
};

fn main() {
    divan::main();
}

const ROWS: [usize; 3] = [1, 8, 128];

fn model(name: &str) -> PathBuf {
    let folder = if name == "ffnn" { "benches/models" } else { "tests/data/fixtures" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name).join("1/model.onnx")
}

fn numbers(rows: usize, width: usize) -> Vec<f32> {
    (0..rows * width).map(|index| (index % 70) as f32 / 10.0).collect()
}

fn run(bencher: Bencher<'_, '_>, name: &str, input: &str, rows: usize, width: usize) {
    let mut session = OnnxSession::open(&model(name), &SessionOptions::default()).unwrap();
    let inputs: Columns =
        std::iter::once(Column::new(input, Tensor::matrix(width, Elements::Fp32(numbers(rows, width))))).collect();
    bencher.counter(ItemsCount::new(rows)).bench_local(|| session.run(black_box(&inputs), Some(0..rows)).unwrap());
}

/// A logistic regression of scikit-learn with its labels and probabilities as tensors.
#[divan::bench(args = ROWS, sample_size = 200)]
fn iris(bencher: Bencher<'_, '_>, rows: usize) {
    run(bencher, "iris", "X", rows, 4);
}

/// The same model as scikit-learn's converter makes it by default: probabilities as a sequence of maps.
#[divan::bench(args = ROWS, sample_size = 200)]
fn iris_with_zipmap(bencher: Bencher<'_, '_>, rows: usize) {
    run(bencher, "zipmap_int", "X", rows, 4);
}

/// The smallest graph there is: what a call costs.
#[divan::bench(args = ROWS, sample_size = 200)]
fn identity(bencher: Bencher<'_, '_>, rows: usize) {
    run(bencher, "identity_fp32", "x", rows, 3);
}

/// 28,000 parameters on 784 numbers.
#[divan::bench(args = ROWS, sample_size = 20)]
fn ffnn(bencher: Bencher<'_, '_>, rows: usize) {
    run(bencher, "ffnn", "input", rows, 784);
}
