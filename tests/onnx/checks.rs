//! What a version must pass before it serves, on real models: golden samples as files, and the warm-up.

use std::{fs, path::Path};

use modelmill::{
    app::checks,
    backend::{
        Session, decide,
        onnx::{OnnxSession, SessionOptions},
    },
    config::ModelConfig,
    model::{
        batcher::BatchOptions,
        checks::{CheckReport, check, compatible},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{fixtures, open};

/// A version's folder with the model of a fixture.
fn version(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixtures().join(name).join("1")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// Puts a version through everything that its `model.yaml` asks for.
fn pass(folder: &Path) -> Result<CheckReport, String> {
    let config = ModelConfig::read(folder)?;
    let options = SessionOptions { optimization: config.optimization, ..SessionOptions::default() };
    let open = || OnnxSession::open(&folder.join("model.onnx"), &options).unwrap();
    let mut sessions: Vec<Box<dyn Session>> = vec![Box::new(open()), Box::new(open())];
    let batching = decide(&mut *sessions[0], config.batching);
    let report = check(&mut sessions, batching.axis, &BatchOptions::default(), &checks::options(&config));
    report.map_err(|error| error.to_string())
}

#[test]
fn the_goldens_that_python_wrote_pass_as_they_are() {
    let mut passed = 0;
    for folder in fs::read_dir(fixtures()).unwrap() {
        let folder = folder.unwrap();
        let golden = folder.path().join("golden.json");
        if !golden.exists() {
            continue;
        }
        let name = folder.file_name().into_string().unwrap();
        let version = version(&name);
        fs::copy(golden, version.path().join("golden.json")).unwrap();
        fs::write(version.path().join("model.yaml"), "golden: golden.json\n").unwrap();
        let report = pass(version.path()).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(report.goldens > 0 && report.warm_up.skipped.is_none(), "{name}: {report:?}");
        passed += 1;
    }
    assert!(passed > 30, "only {passed} models have goldens");
}

#[test]
fn a_version_that_answers_something_else_is_refused_with_the_number() {
    let version = version("fixed_one");
    let sample = |y: f64| {
        json!([{
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.0, 0.25, 0.5]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.5625, y]}],
        }])
    };
    let write = |samples: Value| {
        let config = json!({"golden": samples, "warm_up": {"batch_sizes": [1, 3]}});
        fs::write(version.path().join("model.yaml"), config.to_string()).unwrap();
    };
    write(sample(0.5625));
    assert_eq!(pass(version.path()).unwrap().warm_up.batch_sizes, [1, 3]);
    write(sample(0.6));
    let why = pass(version.path()).unwrap_err();
    let expected = "golden sample 1 of 1 in `model.yaml`: output `y`[0, 1] is 0.5625, but 0.6 is expected";
    assert!(why.starts_with(expected), "{why}");
    write(json!([{"inputs": [], "outputs": []}]));
    let why = pass(version.path()).unwrap_err();
    assert!(
        why.starts_with("the golden samples in `model.yaml` cannot be read: sample 1: it has no `outputs`"),
        "{why}"
    );
}

#[test]
fn every_kind_of_model_is_warmed_up_without_being_told_how() {
    for (name, sizes) in [
        ("iris", &[1, 8, 32, 128, 512][..]),
        ("identity_bytes", &[1, 8, 32, 128, 512]),
        ("fixed_four", &[4]),
        ("time_axis", &[8]),
        ("scalar", &[1]),
        ("zero_width", &[1, 8, 32, 128, 512]),
    ] {
        let report = pass(version(name).path()).unwrap_or_else(|why| panic!("{name}: {why}"));
        // A machine that is busy may find large batches too dear for the target of a run.
        assert!(sizes.starts_with(&report.warm_up.batch_sizes), "{name}: {:?}", report.warm_up);
        assert!(!report.warm_up.batch_sizes.is_empty(), "{name}: {:?}", report.warm_up);
    }
}

#[test]
fn signatures_of_real_models_are_compared_as_they_are_declared() {
    let signature = |name: &str| open(name).signature().clone();
    let (plain, fixed) = (signature("identity_fp32"), signature("fixed_one"));
    assert_eq!(compatible(&plain, &plain), Ok(()));
    let why = compatible(&plain, &signature("identity_fp64")).unwrap_err();
    assert!(why.contains("its input `x` is FP64 [?, 3], which was FP32 [?, 3]"), "{why}");
    assert!(compatible(&plain, &fixed).is_err());
}
