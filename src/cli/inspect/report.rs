//! What is found out about a model: everything that `inspect` prints, for people and for programs.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::Serialize;

use super::{Located, request::SampleRequest};
use crate::{
    backend::{
        BatchAxis, Batching, BatchingChoice, Session, TensorSpec, decide,
        onnx::{self, Description, OnnxSession, SessionOptions},
        sample,
    },
    model::loader,
    tensor::{Columns, Elements},
};

/// How long runs are timed, and how many at most.
const TIMED: (Duration, usize) = (Duration::from_millis(200), 101);

/// What a model is and how to serve it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// Its version, where it lies in a repository.
    pub version: Option<u64>,
    /// The file.
    pub file: PathBuf,
    /// The repository, where it lies in one.
    pub repository: Option<PathBuf>,
    /// Bytes of the file and of those that hold its weights.
    pub size: u64,
    /// Of the file, in hex. Its first 16 digits are the `model-digest` of answers.
    pub sha256: String,
    /// What wrote the file.
    pub producer: String,
    /// Version of the file format.
    pub ir_version: u64,
    /// Domains of operators and their versions.
    pub opsets: Vec<Opset>,
    /// Version of ONNX Runtime.
    pub runtime: String,
    /// What it takes.
    pub inputs: Vec<Value>,
    /// What it gives.
    pub outputs: Vec<Value>,
    /// Whether rows may share a run.
    pub batching: BatchingReport,
    /// The time of one run with the sample request; `None` if no sample could be made up.
    pub run_seconds: Option<f64>,
    /// A pipeline file that serves the model.
    pub pipeline: String,
    /// A request that the model runs with.
    pub request: Option<SampleRequest>,
    /// Why there is no request: what the model says to everything that could be made up.
    pub no_request: Option<String>,
}

/// A domain of operators.
#[derive(Debug, Serialize)]
pub struct Opset {
    /// `ai.onnx` for those of ONNX itself.
    pub domain: String,
    /// Its version.
    pub version: i64,
}

/// An input or output.
#[derive(Debug, Serialize)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its datatype in the words of the Open Inference Protocol.
    pub datatype: &'static str,
    /// Its axes, `null` for any length; `null` as a whole if not even their number is known.
    pub shape: Option<Vec<Option<usize>>>,
    /// Whether requests may leave it out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// What the entries of the last axis stand for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Datatype and shape as errors write them.
    #[serde(skip)]
    pub(super) shown: String,
}

/// Whether rows may share a run, and why.
#[derive(Debug, Serialize)]
pub struct BatchingReport {
    /// `dynamic`, `fixed` or `none`.
    pub axis: &'static str,
    /// The number of rows of each run, where it is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// One sentence.
    pub reason: String,
}

/// Opens a model, tries it and tells what it is. The runtime library is loaded.
///
/// # Errors
/// Why the model cannot be served.
pub fn inspect(located: &Located) -> anyhow::Result<Report> {
    let runtime = onnx::init(None)?.version;
    let mut session = OnnxSession::open(&located.file, &SessionOptions::default())?;
    let batching = decide(&mut session, BatchingChoice::Auto);
    let tried = try_sample(&mut session, batching.axis);
    let (run_seconds, request, no_request) = match tried {
        Ok((columns, time)) => (Some(time.as_secs_f64()), Some(SampleRequest::new(&columns)), None),
        Err(error) => (None, None, Some(error)),
    };
    let description = session.description();
    let (sha256, size) = measure(&located.file, description)?;
    Ok(Report {
        model: located.name.clone(),
        version: located.version,
        file: located.file.clone(),
        repository: located.repository.clone(),
        size,
        sha256,
        producer: description.producer.clone(),
        ir_version: description.ir_version,
        opsets: opsets(description),
        runtime,
        inputs: session.signature().inputs.iter().map(Value::new).collect(),
        outputs: session.signature().outputs.iter().map(Value::new).collect(),
        batching: BatchingReport::new(batching),
        run_seconds,
        pipeline: pipeline(&located.name),
        request,
        no_request,
    })
}

/// A sample of the inputs, and the middle one of the times that runs with it took.
fn try_sample(session: &mut OnnxSession, axis: BatchAxis) -> Result<(Columns, Duration), String> {
    let columns = sample(session, axis)?;
    let rows: Option<Range<usize>> = (axis != BatchAxis::None).then_some(0..1);
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || (begin.elapsed() < TIMED.0 && times.len() < TIMED.1) {
        let start = Instant::now();
        session.run(&columns, rows.clone()).map_err(|error| error.to_string())?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((columns, times[times.len() / 2]))
}

/// The digest of the model file, and the bytes of all its files.
fn measure(file: &Path, description: &Description) -> anyhow::Result<(String, u64)> {
    let unreadable = || format!("`{}` cannot be read", file.display());
    let sha256 = loader::sha256(file).with_context(unreadable)?;
    let mut size = fs::metadata(file).with_context(unreadable)?.len();
    for weights in &description.weights {
        size += fs::metadata(weights).with_context(unreadable)?.len();
    }
    Ok((sha256, size))
}

/// The domains of operators, that of ONNX itself first; some exporters name it twice.
fn opsets(description: &Description) -> Vec<Opset> {
    let mut opsets: Vec<Opset> = Vec::new();
    for (domain, version) in &description.opsets {
        let domain = if domain.is_empty() { "ai.onnx" } else { domain };
        opsets.push(Opset { domain: domain.to_owned(), version: *version });
    }
    opsets.sort_by(|a, b| a.domain.cmp(&b.domain));
    opsets.dedup_by(|a, b| a.domain == b.domain);
    opsets
}

/// A pipeline that does nothing but predict.
fn pipeline(model: &str) -> String {
    // Kafka takes fewer characters in a topic than a file system does in a model's name; YAML takes JSON's quotes.
    let topic: String =
        model.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let is_plain = topic == model && model.starts_with(|first: char| first.is_ascii_alphabetic());
    let quoted = serde_json::Value::from(model).to_string();
    let name = if is_plain { model } else { &quoted };
    format!(
        "name: {name}\n\
         input:\n  topics: [{topic}.requests]\n\
         output:\n  topic: {topic}.results\n  dead_letter_topic: {topic}.dead-letters\n\
         steps:\n  - predict: {{model: {name}}}\n"
    )
}

impl Report {
    /// Writes `pipeline.yaml` and `request.json` into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("pipeline.yaml"), &self.pipeline)?;
        if let Some(request) = &self.request {
            fs::write(folder.join("request.json"), request.pretty())?;
        }
        Ok(())
    }
}

impl Value {
    fn new(spec: &TensorSpec) -> Self {
        Self {
            name: spec.name.to_string(),
            datatype: spec.datatype.as_str(),
            shape: (!spec.unranked).then(|| spec.shape.clone()),
            optional: spec.optional,
            classes: spec.classes.as_deref().map(labels),
            shown: spec.to_string(),
        }
    }
}

fn labels(classes: &Elements) -> Vec<String> {
    match classes {
        Elements::Int64(classes) => classes.iter().map(i64::to_string).collect(),
        Elements::Bytes(classes) => classes.iter().map(|class| String::from_utf8_lossy(class).into_owned()).collect(),
        _ => Vec::new(),
    }
}

impl BatchingReport {
    fn new(batching: Batching) -> Self {
        let (axis, rows) = match batching.axis {
            BatchAxis::Dynamic => ("dynamic", None),
            BatchAxis::Fixed(rows) => ("fixed", Some(rows)),
            BatchAxis::None => ("none", None),
        };
        Self { axis, rows, reason: batching.reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_kafka_or_yaml_would_not_take_is_made_fit() {
        assert!(pipeline("iris").contains("- predict: {model: iris}"));
        let odd = pipeline("été: #1");
        assert!(odd.contains("topics: [-t----1.requests]"), "{odd}");
        let read: serde_yaml::Value = serde_yaml::from_str(&odd).unwrap();
        assert_eq!(read["steps"][0]["predict"]["model"], "été: #1");
        let number: serde_yaml::Value = serde_yaml::from_str(&pipeline("2024")).unwrap();
        assert_eq!(number["name"], "2024");
    }
}
