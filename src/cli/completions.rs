//! `modelmill completions`: completion scripts for shells.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print};

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill completions bash > /etc/bash_completion.d/modelmill\n  \
    modelmill completions zsh > \"${fpath[1]}/_modelmill\"\n  \
    modelmill completions fish > ~/.config/fish/completions/modelmill.fish")]
pub struct CompletionsArgs {
    /// The shell to complete in
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "modelmill", &mut script);
    print(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
