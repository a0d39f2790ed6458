//! The command line: one file per subcommand, each with its arguments and a `run`.
//!
//! Exit codes: 0 done, 1 failed, 2 bad usage or configuration. An error travels up to `main` and is printed there, once.
//!
//! Adding a subcommand is a file here with `XArgs` and `run`, a variant of [`Command`], and an arm in `main`.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

pub use args::{ConfigArgs, LogArgs, RuntimeArgs};

use crate::{config::ConfigErrors, telemetry};

mod args;
pub mod check;
pub mod completions;
mod connection;
pub mod demo;
pub mod inspect;
pub mod load;
pub mod manifest;
pub mod push;
pub mod schema;
pub mod send;
mod signals;
pub mod worker;

/// Bad usage or configuration.
const USAGE: u8 = 2;

/// Predictions from Kafka to Kafka through ONNX models.
#[derive(Debug, Parser)]
#[command(
    name = "modelmill",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 110,
    long_about = "Predictions from Kafka to Kafka through ONNX models.\n\n\
        A worker consumes requests from Kafka topics, runs them in batches through a pipeline of steps and models, and \
        publishes exactly one answer per request, keyed by the request's id. Start more workers with the same consumer \
        group to share the load.\n\n\
        Two YAML files tell a worker what to do: the server file says how the process runs, a pipeline file says what \
        is computed.",
    after_help = "Exit codes: 0 done, 1 failed, 2 bad usage or configuration.",
    after_long_help = "Examples:\n  \
        modelmill demo\n  \
        modelmill check --server config/server.yaml --pipeline config/pipeline.yaml\n  \
        modelmill completions bash > /etc/bash_completion.d/modelmill\n\n\
        Exit codes: 0 done, 1 failed, 2 bad usage or configuration."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What to do, in the order in which one meets it. The help of each stands with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Worker(worker::WorkerArgs),
    Check(check::CheckArgs),
    Inspect(inspect::InspectArgs),
    Send(send::SendArgs),
    Load(load::LoadArgs),
    Manifest(manifest::ManifestArgs),
    Push(push::PushArgs),
    Demo(demo::DemoArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// What is logged where nobody says: the demo is there to be read, and its own output says what it does.
    fn log_level(&self) -> Option<&'static str> {
        // A damaged version is part of the demo, which says itself what became of it.
        matches!(self, Self::Demo(_)).then_some("warn,modelmill::model::keeper=off")
    }
}

/// The command was used wrongly, or a file that it was given is wrong: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Whoever read our output has gone (`modelmill schema server | head`): nothing is wrong, and nothing is left to do.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has gone")]
pub struct ClosedOutput;

/// Sets the log up as `command` and the arguments ask for.
///
/// # Errors
/// [`UsageError`] if the levels cannot be read.
pub fn init_log(command: &Command, args: &LogArgs) -> anyhow::Result<()> {
    let given = args.level.as_deref().filter(|level| !level.trim().is_empty());
    telemetry::init(args.format, given.or(command.log_level())).map_err(|error| UsageError(error.to_string()).into())
}

/// Writes to standard output.
///
/// # Errors
/// [`ClosedOutput`] if nobody reads it any more; otherwise why it cannot be written.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ClosedOutput.into()),
        written => Ok(written?),
    }
}

/// Prints an error with its causes and tells the exit code.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    if error.is::<ClosedOutput>() {
        return ExitCode::SUCCESS;
    }
    // Standard error may be closed, too; then nobody wants to know.
    let mut log = io::stderr().lock();
    if let Some(ConfigErrors(problems)) = error.downcast_ref() {
        for problem in problems {
            let _ = writeln!(log, "error: {problem}");
        }
        return ExitCode::from(USAGE);
    }
    let _ = writeln!(log, "error: {error:#}");
    if error.chain().any(|cause| cause.is::<UsageError>()) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_subcommand_and_flag_is_described() {
        let mut command = Cli::command();
        command.build();
        for subcommand in command.get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
            for argument in subcommand.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", subcommand.get_name(), argument.get_id());
            }
        }
        command.debug_assert();
    }

    #[test]
    fn usage_is_told_from_failure_however_deep_it_lies() {
        let usage = Err::<(), _>(UsageError("no such model".to_owned())).context("inspect").unwrap_err();
        assert_eq!(fail(&usage), ExitCode::from(2));
        assert_eq!(fail(&ConfigErrors(Vec::new()).into()), ExitCode::from(2));
        assert_eq!(fail(&anyhow::anyhow!("the port is in use")), ExitCode::FAILURE);
        assert_eq!(fail(&ClosedOutput.into()), ExitCode::SUCCESS);
    }
}
