//! `modelmill schema`: the JSON Schemas of the two files, so that editors complete and check while one types.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::print;
use crate::config;

/// Print or write the JSON Schemas of the two files, for editors
///
/// With them, an editor completes keys, shows what they mean, and marks what is wrong while one types.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill schema server              print the schema of server files\n  \
    modelmill schema --write config/     write server.schema.json and pipeline.schema.json\n\n\
    An editor with a YAML language server finds the schema through a first line such as\n  \
    # yaml-language-server: $schema=server.schema.json")]
pub struct SchemaArgs {
    /// The file whose schema is printed
    #[arg(required_unless_present = "write", conflicts_with = "write")]
    pub file: Option<FileKind>,
    /// Write both schemas into this folder, as server.schema.json and pipeline.schema.json
    #[arg(long, value_name = "FOLDER")]
    pub write: Option<PathBuf>,
}

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileKind {
    /// How a process runs
    Server,
    /// What is computed
    Pipeline,
}

impl FileKind {
    fn schema(self) -> String {
        match self {
            Self::Server => config::server_schema(),
            Self::Pipeline => config::pipeline_schema(),
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Server => "server.schema.json",
            Self::Pipeline => "pipeline.schema.json",
        }
    }
}

/// Prints one schema, or writes both.
///
/// # Errors
/// If they cannot be written.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    if let Some(file) = args.file {
        print(file.schema())?;
    }
    if let Some(folder) = &args.write {
        for file in FileKind::value_variants() {
            let path = folder.join(file.file_name());
            std::fs::write(&path, file.schema()).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_in_the_repository_are_those_of_the_code() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for file in FileKind::value_variants() {
            let written = std::fs::read_to_string(folder.join(file.file_name())).unwrap();
            let advice = "stale: run `cargo run -- schema --write config/`";
            assert!(written == file.schema(), "{} is {advice}", file.file_name());
        }
    }
}
