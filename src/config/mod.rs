//! Settings: `server.yaml` says how this process runs, `pipeline.yaml` says what is computed.
//!
//! Guarantee: settings that come out of here obey every rule that can be known without looking further than the files,
//! and if they cannot, every problem of every file is told at once. A file's way is straight: `document` parses it,
//! `expand` puts environment variables in, `shape` holds it against the schema of the types, and the types' own
//! `validate` and the `rules` across files come last.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

pub use batching::{BatchBounds, BatchingConfig, BatchingOverrides};
pub use crash_journal::CrashJournalConfig;
pub use headers::HeaderNames;
pub use kafka::{CreateTopics, KafkaConfig, OnStart, Property};
pub use model::{GoldenConfig, ModelConfig, WarmUpConfig};
pub use models::{CacheConfig, MemoryConfig, ModelOverrides, ModelsConfig, Served, SignatureRule, VersionPolicy};
pub use pipeline::{AvroAnswers, Codec, HeaderPolicy, InputConfig, Ordering, OutputConfig, PipelineConfig, step_name};
pub use problem::{ConfigErrors, FileProblem, KeyPath, Problem, Segment};
pub use schema::{pipeline_schema, server_schema};
pub use schema_registry::SchemaRegistryConfig;
pub use server::{AdminConfig, ComputeConfig, Delivery, InferenceConfig, LimitsConfig, ServerConfig};
pub use transaction::TransactionConfig;
pub use units::{HumanDuration, HumanSize};

use expand::Environment;
use read::FileRead;

mod auto;
mod batching;
#[cfg(test)]
mod claims;
mod crash_journal;
mod document;
mod expand;
mod headers;
mod kafka;
mod keywords;
mod lines;
mod model;
mod models;
mod pipeline;
mod problem;
#[cfg(test)]
mod random_files;
mod read;
#[cfg(test)]
mod reference;
mod rules;
mod schema;
mod schema_registry;
mod server;
mod shape;
mod transaction;
mod units;
mod words;
#[cfg(test)]
mod wrong_files;

/// Everything that a worker is told by files.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How the process runs.
    pub server: ServerConfig,
    /// What is computed, in the order in which the files were named.
    pub pipelines: Vec<PipelineConfig>,
}

/// Loads the server file and all pipelines. Each of `pipelines` is a file or a folder of `*.yaml` and `*.yml` files; the
/// server file is left out of such a folder.
///
/// # Errors
/// Every problem of every file, and of the files together.
pub fn load(server: &Path, pipelines: &[PathBuf]) -> Result<Settings, ConfigErrors> {
    load_with(server, pipelines, &|name| std::env::var(name))
}

/// Loads a server file alone.
///
/// # Errors
/// Every problem of the file.
pub fn load_server(path: &Path) -> Result<ServerConfig, ConfigErrors> {
    let file = FileRead::new(path, &|name| std::env::var(name));
    let (mut server, problems) = gather(vec![file], Vec::new());
    finish(server.pop(), problems)
}

/// Loads pipelines alone. Each of `paths` is a file or a folder of `*.yaml` and `*.yml` files.
///
/// # Errors
/// Every problem of every file, and of the files together.
pub fn load_pipelines(paths: &[PathBuf]) -> Result<Vec<PipelineConfig>, ConfigErrors> {
    let (files, unlisted) = read_pipelines(paths, None, &|name| std::env::var(name));
    let (pipelines, problems) = gather(files, unlisted);
    finish(Some(pipelines), problems)
}

fn load_with(server: &Path, pipelines: &[PathBuf], environment: &Environment) -> Result<Settings, ConfigErrors> {
    let server_file = FileRead::new(server, environment);
    let (mut files, unlisted) = read_pipelines(pipelines, Some(server), environment);
    rules::between_server_and_pipelines(&server_file, &mut files);
    let (mut servers, mut problems) = gather(vec![server_file], Vec::new());
    let (pipelines, more) = gather(files, unlisted);
    problems.extend(more);
    finish(servers.pop().map(|server| Settings { server, pipelines }), problems)
}

fn read_pipelines(
    paths: &[PathBuf],
    besides: Option<&Path>,
    environment: &Environment,
) -> (Vec<FileRead<PipelineConfig>>, Vec<FileProblem>) {
    let mut files = Vec::new();
    let mut unlisted = Vec::new();
    for path in paths {
        match list(path, besides) {
            Ok(listed) => files.extend(listed.iter().map(|file| FileRead::new(file, environment))),
            Err(sentence) => unlisted.push(FileProblem::of_file(path, sentence)),
        }
    }
    rules::among_pipelines(&mut files);
    (files, unlisted)
}

/// The file itself, or the YAML files of the folder by name.
fn list(path: &Path, besides: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotADirectory || !path.is_dir() => return Ok(vec![path.to_owned()]),
        Err(error) => return Err(format!("the folder cannot be read: {error}")),
    };
    let besides = besides.and_then(|path| path.canonicalize().ok());
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"))
        .filter(|file| file.is_file() && (besides.is_none() || file.canonicalize().ok() != besides))
        .collect();
    files.sort();
    if files.is_empty() { Err("there is no *.yaml or *.yml file in this folder".to_owned()) } else { Ok(files) }
}

/// The settings of all files, and their problems by file and line.
fn gather<T>(files: Vec<FileRead<T>>, mut problems: Vec<FileProblem>) -> (Vec<T>, Vec<FileProblem>) {
    let mut settings = Vec::new();
    for mut file in files {
        file.problems.sort_by_key(|problem| problem.line);
        problems.append(&mut file.problems);
        settings.extend(file.settings);
    }
    (settings, problems)
}

fn finish<T>(settings: Option<T>, problems: Vec<FileProblem>) -> Result<T, ConfigErrors> {
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(ConfigErrors(problems)),
    }
}
