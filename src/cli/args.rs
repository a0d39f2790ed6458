//! Arguments that several subcommands share.

use std::path::PathBuf;

use clap::Args;

use crate::{
    config::{self, ConfigErrors, Settings},
    telemetry::LogFormat,
};

/// How to log; taken by every subcommand.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug or trace; or directives such as `info,modelmill=debug`
    #[arg(long = "log-level", global = true, value_name = "LEVEL", env = "MODELMILL_LOG", help_heading = "Logging")]
    pub level: Option<String>,
    /// How to log; by default for people on a terminal, and as JSON otherwise
    #[arg(
        long = "log-format",
        global = true,
        value_name = "FORMAT",
        default_value = "auto",
        env = "MODELMILL_LOG_FORMAT",
        help_heading = "Logging"
    )]
    pub format: LogFormat,
}

/// The files that say what a worker does.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// The server file: how the process runs
    #[arg(long, value_name = "FILE", env = "MODELMILL_SERVER")]
    pub server: PathBuf,
    /// Pipeline files, or folders of them (*.yaml, *.yml): what is computed. May be repeated
    #[arg(long, value_name = "FILE|FOLDER", env = "MODELMILL_PIPELINE", required = true, num_args = 1..)]
    pub pipeline: Vec<PathBuf>,
}

impl ConfigArgs {
    /// Loads them.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load(&self) -> Result<Settings, ConfigErrors> {
        config::load(&self.server, &self.pipeline)
    }
}

/// Where ONNX Runtime is.
#[derive(Args, Clone, Debug, Default)]
pub struct RuntimeArgs {
    /// The ONNX Runtime library (libonnxruntime.so); by default $ORT_DYLIB_PATH, then beside the executable
    #[arg(long, value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,
}
