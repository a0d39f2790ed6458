//! `modelmill inspect`: what a model takes and gives, whether its rows may share a run, and how to serve it.
//!
//! The model is opened and run, exactly as a worker would: what is printed was tried, and the sample pipeline and request
//! work as they are.

use std::{
    io::{ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;

use crate::backend::onnx;

pub use locate::{Located, locate};
pub use report::{Report, inspect};

mod locate;
mod report;
mod request;
mod text;

/// Show what a model takes and gives, and how to serve it
///
/// Opens the model and runs it with made-up data, as a worker would when it loads it: inputs and outputs, which axis is the
/// batch and why, the time of one run; then a pipeline file and a request that work as they are.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill inspect model.onnx\n  \
    modelmill inspect models/iris                  # the newest version of a model of a repository\n  \
    modelmill inspect models/iris/3 --write try/   # try/pipeline.yaml and try/request.json\n\n\
    Exit codes: 0 the model can be served, 1 it cannot.")]
pub struct InspectArgs {
    /// A model file, a model of a repository, or one of its versions
    #[arg(value_name = "MODEL.onnx|REPOSITORY/MODEL")]
    pub model: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Also write the pipeline and the request into this folder
    #[arg(long, value_name = "FOLDER")]
    pub write: Option<PathBuf>,
    /// The ONNX Runtime library (libonnxruntime.so); by default $ORT_DYLIB_PATH, then beside the executable
    #[arg(long, value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,
}

/// Inspects a model and prints what it is.
///
/// # Errors
/// Why the model cannot be served, or the files cannot be written.
pub fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    onnx::init(args.onnxruntime.as_deref())?;
    let report = inspect(&locate(&args.model)?)?;
    if let Some(folder) = &args.write {
        report.write(folder).with_context(|| format!("the samples cannot be written to `{}`", folder.display()))?;
    }
    let printed = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    let mut output = std::io::stdout().lock();
    match output.write_all(printed.as_bytes()).and_then(|()| output.flush()) {
        // Whoever read it has seen enough (`modelmill inspect model.onnx | head`).
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}
