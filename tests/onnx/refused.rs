//! What cannot be served is refused when it is opened, with a sentence for whoever made the file.

use std::path::Path;

use modelmill::backend::{
    BackendError,
    onnx::{OnnxSession, SessionOptions, init},
};

use crate::model;

fn refusal(path: &Path) -> BackendError {
    OnnxSession::open(path, &SessionOptions::default()).err().unwrap_or_else(|| panic!("{} was opened", path.display()))
}

#[track_caller]
fn assert_says(name: &str, parts: &[&str]) {
    let sentence = refusal(&model(name)).to_string();
    for part in parts {
        assert!(sentence.contains(part), "{name}: {sentence}");
    }
    for noise in ["onnxruntime/core", "std::", "Load model from", "\n"] {
        assert!(!sentence.contains(noise), "{name}: {sentence}");
    }
}

#[test]
fn a_file_that_is_no_model_is_told_by_what_it_is() {
    assert_says("refused_text", &["is no ONNX model but a text file"]);
    assert_says("refused_empty", &["is empty"]);
    assert_says("refused_truncated", &["is cut short: it has", "copy it again"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    assert!(refusal(&path).to_string().contains("there is no file"));
    assert!(refusal(folder.path()).to_string().contains("is a folder"));
    for (content, what) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00"[..], "git lfs pull"),
        (b"PK\x03\x04\x00\x00", "a zip archive"),
        (b"\x80\x04\x95\x10\x00", "a Python pickle"),
        (b"\x08\x09\x12\x01a", "is no ONNX model"),
    ] {
        std::fs::write(&path, content).unwrap();
        let sentence = refusal(&path).to_string();
        assert!(sentence.contains(what), "{sentence}");
    }
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused() {
    let whole = std::fs::read(model("iris")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(refusal(&path), BackendError::Load(_)), "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_model_that_the_runtime_does_not_take_is_told_with_what_to_do() {
    assert_says("refused_unknown_operator", &["the operator `com.example:Sharpen`", "custom, or newer than"]);
    assert_says("refused_future_opset", &["is of opset 999", "export it for an older opset"]);
    assert_says("refused_missing_weights", &["`weights.bin`, which must lie beside it but is not there"]);
}

#[test]
fn a_type_without_a_datatype_is_refused_by_name() {
    assert_says("refused_sequence_of_tensors", &["the output `y`", "is a sequence"]);
    assert_says("refused_bfloat16", &["the output `y`", "bfloat16"]);
    assert!(matches!(refusal(&model("refused_bfloat16")), BackendError::Unsupported(_)));
}

#[test]
fn weights_outside_of_the_folder_are_refused() {
    let mut bytes = std::fs::read(model("external_data")).unwrap();
    let at = bytes.windows(11).position(|window| window == b"weights.bin").unwrap();
    bytes[at..at + 11].copy_from_slice(b"/etc/passwd");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    let sentence = refusal(&path).to_string();
    assert!(sentence.contains("weights from `/etc/passwd`, outside of its folder"), "{sentence}");
}

#[test]
fn the_runtime_is_loaded_once_and_says_what_it_is() {
    let first = init(None).unwrap();
    assert!(first.version.starts_with("1."), "{first:?}");
    assert_eq!(init(None).unwrap(), first);
    assert_eq!(init(Some(&first.path)).unwrap(), first);
    let error = init(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err().to_string();
    assert!(error.contains("/nowhere/libonnxruntime.so"), "{error}");
    let other = std::env::current_exe().unwrap();
    let error = init(Some(&other)).unwrap_err().to_string();
    assert!(error.contains("already"), "{error}");
}
