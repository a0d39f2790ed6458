//! `make chaos`: one run of the chaos harness as long as it is asked for. Exit code 1 if the promise was not kept.

use std::process::ExitCode;

use clap::Parser;

#[allow(dead_code, unused_imports, reason = "its unit tests are those of tests/chaos.rs")]
#[path = "mod.rs"]
mod chaos;
#[path = "../support/s3.rs"]
mod s3;
#[allow(dead_code, unused_imports, reason = "of what the journeys need, this uses a part")]
#[path = "../support/mod.rs"]
mod support;

fn main() -> ExitCode {
    let options = chaos::options::Options::parse();
    if chaos::run(&options) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
