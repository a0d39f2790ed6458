//! `modelmill worker`: predictions from Kafka to Kafka until it is told to stop.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{ConfigArgs, RuntimeArgs, signals};
use crate::{
    app::{App, Ended, shutdown::Shutdown},
    backend::onnx,
    metrics, process,
};

/// Run a worker: consume requests, predict, publish answers
///
/// Start as many as you like with the same consumer group: they share the request topics' partitions. SIGTERM or Ctrl-C
/// finishes what is in flight, commits and exits; a second one exits at once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill worker --server server.yaml --pipeline pipeline.yaml\n  \
    modelmill worker --server server.yaml --pipeline pipelines/ --onnxruntime /opt/libonnxruntime.so\n\n\
    Exit codes: 0 stopped when asked to, 1 failed (nothing unanswered was committed), 2 the files are not in order.")]
pub struct WorkerArgs {
    /// The files.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where ONNX Runtime is.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// Runs a worker to its end.
///
/// # Errors
/// What keeps it from starting, or made it stop.
pub fn run(args: &WorkerArgs) -> anyhow::Result<ExitCode> {
    process::tune(std::thread::available_parallelism().map_or(1, usize::from));
    let settings = args.config.load()?;
    onnx::init(args.runtime.onnxruntime.as_deref())?;
    let shutdown = Shutdown::default();
    listen_for_signals(shutdown.clone())?;
    let app = match App::build(settings, &shutdown, metrics::install()?) {
        Err(_) if shutdown.is_requested() => return Ok(ExitCode::SUCCESS),
        built => built?,
    };
    match app.run(&shutdown)? {
        Ended::Stopped(drained) => {
            if drained.complete {
                tracing::info!("stopped: everything in flight is answered and committed");
            } else {
                tracing::warn!("stopped before everything in flight was answered; a successor answers the rest");
            }
            Ok(ExitCode::SUCCESS)
        }
        Ended::Failed(error) => Err(error).context("the worker cannot go on; nothing unanswered was committed"),
    }
}

/// SIGTERM or Ctrl-C asks for a stop; the next one does not wait for it.
fn listen_for_signals(shutdown: Shutdown) -> anyhow::Result<()> {
    signals::listen(move || {
        if shutdown.is_requested() {
            tracing::warn!("asked to stop again: exiting at once");
            std::process::exit(130);
        }
        tracing::info!("asked to stop: finishing what is in flight");
        shutdown.request();
    })
}
