//! What each step costs on columns of 1,000 rows, so that a time in µs is also that time in ns per row.
//!
//! `cargo bench --bench steps`. A step that `StepConfig` has and this table has not does not compile ([`columns`]) or stops the
//! program with its name ([`main`]). `predict` is no function over columns: `benches/onnx.rs` and `benches/batcher.rs` have it.

use std::path::PathBuf;

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::{
    steps::{Refusals, StepConfig, VersionFiles},
    tensor::{Column, Columns, Elements, Tensor},
};
use serde_json::Value;

const ROWS: usize = 1000;

/// Each step as a pipeline writes it, over the columns of [`columns`].
const STEPS: [&str; 30] = [
    r#"{"lowercase": {"column": "text"}}"#,
    r#"{"remove_urls": {"column": "text"}}"#,
    r#"{"remove_punctuation": {"column": "text"}}"#,
    r#"{"collapse_whitespace": {"column": "text"}}"#,
    r#"{"replace": {"column": "text", "pattern": "[0-9]+", "with": "0"}}"#,
    r#"{"replace": {"column": "text", "pattern": "(\\w+)@(\\w+)", "with": "$2"}}"#,
    r#"{"select": {"columns": ["b", "a"]}}"#,
    r#"{"rename": {"columns": {"a": "age"}}}"#,
    r#"{"cast": {"column": "table", "datatype": "FP32"}}"#,
    r#"{"cast": {"column": "table", "datatype": "INT64", "mode": "round"}}"#,
    r#"{"cast": {"column": "table", "datatype": "BYTES"}}"#,
    r#"{"impute": {"column": "table", "value": 7}}"#,
    r#"{"impute": {"column": "table", "file": "statistics.json"}}"#,
    r#"{"clip": {"column": "table", "min": 1, "max": 40}}"#,
    r#"{"standardize": {"column": "table", "mean": 3.5, "std": 2}}"#,
    r#"{"standardize": {"column": "table", "file": "statistics.json"}}"#,
    r#"{"stack": {"columns": ["a", "b", "c", "d"], "into": "features"}}"#,
    r#"{"reshape": {"column": "table", "shape": [2, 4]}}"#,
    r#"{"softmax": {"column": "scores"}}"#,
    r#"{"softmax": {"column": "classes"}}"#,
    r#"{"sigmoid": {"column": "scores"}}"#,
    r#"{"argmax": {"column": "scores"}}"#,
    r#"{"argmax": {"column": "scores", "labels": "labels.txt"}}"#,
    r#"{"argmax": {"column": "classes"}}"#,
    r#"{"top_k": {"column": "scores", "k": 3}}"#,
    r#"{"top_k": {"column": "scores", "k": 3, "labels": "labels.txt"}}"#,
    r#"{"top_k": {"column": "classes", "k": 5}}"#,
    r#"{"threshold": {"column": "scores", "at": 0.5}}"#,
    r#"{"threshold": {"column": "scores", "at": 0.5, "reached": "yes", "below": "no"}}"#,
    r#"{"round": {"column": "scores", "decimals": 3}}"#,
];

fn main() {
    let schema = serde_json::to_value(schemars::schema_for!(StepConfig)).expect("a schema is JSON");
    let variants = schema["oneOf"].as_array().expect("one schema a step").iter();
    let names = variants.flat_map(|variant| variant["properties"].as_object().expect("a map with one key").keys());
    let benched: Vec<_> = STEPS.iter().map(|step| config(step).name()).collect();
    let missing: Vec<_> = names.filter(|name| *name != "predict" && !benched.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "no bench in STEPS for {missing:?}");
    divan::main();
}

fn config(step: &str) -> StepConfig {
    let value: Value = serde_json::from_str(step).expect("JSON");
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{step}: {error}"))
}

/// The columns that a step works on.
fn columns(step: &StepConfig) -> Columns {
    match step {
        StepConfig::Lowercase(_)
        | StepConfig::RemoveUrls(_)
        | StepConfig::RemovePunctuation(_)
        | StepConfig::CollapseWhitespace(_)
        | StepConfig::Replace(_) => named([("text", text())]),
        StepConfig::Select(_) | StepConfig::Rename(_) | StepConfig::Stack(_) => {
            named(["a", "b", "c", "d"].map(|name| (name, table(1))))
        }
        StepConfig::Cast(_)
        | StepConfig::Impute(_)
        | StepConfig::Clip(_)
        | StepConfig::Standardize(_)
        | StepConfig::Reshape(_) => named([("table", table(8))]),
        StepConfig::Softmax(_)
        | StepConfig::Sigmoid(_)
        | StepConfig::Argmax(_)
        | StepConfig::TopK(_)
        | StepConfig::Threshold(_)
        | StepConfig::Round(_) => named([("scores", scores(10)), ("classes", scores(1000))]),
        StepConfig::Predict(_) => unreachable!("not in STEPS"),
    }
}

fn named<const N: usize>(tensors: [(&str, Tensor); N]) -> Columns {
    tensors.into_iter().map(|(name, tensor)| Column::new(name, tensor)).collect()
}

/// Sentences of about 80 bytes with an address, a number and double spaces in them.
fn text() -> Tensor {
    let line =
        |row: usize| format!("Dear Anna@home,  parcel {row} is LATE -- see https://example.org/track?id={row} for it!");
    Tensor::vector(Elements::Bytes((0..ROWS).map(line).collect()))
}

/// Numbers as JSON brings them, one in ten missing.
fn table(width: usize) -> Tensor {
    let number = |index: usize| if index % 10 == 3 { f64::NAN } else { (index % 800) as f64 / 16.0 };
    Tensor::matrix(width, Elements::Fp64((0..ROWS * width).map(number).collect()))
}

fn scores(width: usize) -> Tensor {
    let score = |index: usize| (index * 7919 % 1009) as f32 / 100.0 - 5.0;
    Tensor::matrix(width, Elements::Fp32((0..ROWS * width).map(score).collect()))
}

/// A version's folder with the files that STEPS name.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let labels: String = (0..10).map(|class| format!("class {class}\n")).collect();
        std::fs::write(folder.join("labels.txt"), labels).expect("a file");
        let statistics = r#"{"table": {"mean": [1, 2, 3, 4, 5, 6, 7, 8], "std": [1, 2, 1, 2, 1, 2, 1, 2]}}"#;
        std::fs::write(folder.join("statistics.json"), statistics).expect("a file");
        Self(folder)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the folder is ours");
    }
}

#[divan::bench(args = STEPS)]
fn step(bencher: Bencher<'_, '_>, step: &str) {
    let config = config(step);
    let files = Files::new();
    let step = config.build(&VersionFiles { folder: files.0.clone() }).expect("a good step").expect("not `predict`");
    // Numbers that a cast to integers refuses would be a bench of sentences.
    let whole = matches!(config, StepConfig::Cast(_));
    let fresh = || {
        let mut columns = columns(&config);
        if whole
            && let Elements::Fp64(numbers) =
                columns.find_mut("table").expect("casts take it").tensor_mut().elements_mut()
        {
            numbers.iter_mut().filter(|number| number.is_nan()).for_each(|number| *number = 1.5);
        }
        columns
    };
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(fresh).bench_local_values(|mut columns| {
        let mut refusals = Refusals::default();
        step.apply(&mut columns, &mut refusals).expect("the columns fit");
        assert!(black_box(&refusals).is_empty());
        columns
    });
}
