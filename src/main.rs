//! modelmill: arguments in, one subcommand, an exit code out.

use std::process::ExitCode;

use clap::Parser;
use modelmill::cli::{self, Cli, Command};

fn main() -> ExitCode {
    let Cli { command, log } = Cli::parse();
    if let Err(error) = cli::init_log(&command, &log) {
        return cli::fail(&error);
    }
    let outcome = match command {
        Command::Worker(args) => cli::worker::run(&args),
        Command::Check(args) => cli::check::run(&args),
        Command::Inspect(args) => cli::inspect::run(&args),
        Command::Send(args) => cli::send::run(&args),
        Command::Load(args) => cli::load::run(&args),
        Command::Manifest(args) => cli::manifest::run(&args),
        Command::Push(args) => cli::push::run(&args),
        Command::Demo(args) => cli::demo::run(&args),
        Command::Schema(args) => cli::schema::run(&args),
        Command::Completions(args) => cli::completions::run(&args),
    };
    outcome.unwrap_or_else(|error| cli::fail(&error))
}
