//! What a model takes in memory is its own, also if it is the first: alone in a process, since others would grow it, too.

use std::path::Path;

use modelmill::{
    backend::{
        Session,
        onnx::{OnnxSession, SessionOptions, warm_up},
    },
    process,
    tensor::{Column, Columns, Elements, Tensor},
};

/// What of the code is paged in with the first real run, 0.4 MiB; without the warm-up it is 9.
const TOLERANCE: u64 = 1 << 20;

/// By how much the process grows with a model that has run.
fn growth(name: &str) -> (u64, OnnxSession) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).join("1/model.onnx");
    let before = process::resident().expect("the kernel tells");
    let mut session = OnnxSession::open(&path, &SessionOptions::default()).expect("the model can be opened");
    let row = Tensor::new(vec![1, 4], Elements::Fp32(vec![5.1, 3.5, 1.4, 0.2])).expect("its shape");
    let inputs: Columns = [Column::new("input", row)].into_iter().collect();
    session.run(&inputs, None).expect("the model takes the row");
    (process::resident().expect("the kernel tells").saturating_sub(before), session)
}

#[test]
#[cfg(target_os = "linux")]
fn the_first_model_is_not_taken_for_what_the_runtime_needs_to_start() {
    warm_up();
    let ((first, _one), (second, _other)) = (growth("iris"), growth("iris"));
    assert!(first <= second + TOLERANCE, "the first grew the process by {first} bytes, the second by {second}");
}
