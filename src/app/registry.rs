//! The schema registry, if there is one, and the schemas of answers, which are settled before the first request is taken.

use std::{sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use tokio::runtime::Runtime;

use crate::{
    codec::registry::{AnswerOutput, AnswerSchema, Login, Place, Registry, Secret},
    config::{AvroAnswers, PipelineConfig, SchemaRegistryConfig, ServerConfig},
    worker::Worker,
};

/// How long a starting worker waits for a registry to take the schema of answers. One that is down stops only what needs it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The registry that the server file names; asks nobody.
///
/// # Errors
/// If its certificate authorities cannot be used.
pub fn open(
    server: &ServerConfig,
    pipelines: &[PipelineConfig],
    compute: &Runtime,
) -> anyhow::Result<Option<Arc<Registry>>> {
    let Some(config) = &server.schema_registry else { return Ok(None) };
    let answers = pipelines.iter().map(|pipeline| {
        let AvroAnswers { subject, register } = pipeline.output.avro.clone()?;
        Some(AnswerSchema { pipeline: pipeline.name.clone(), subject, register })
    });
    let registry = Registry::new(place(config), answers, compute.handle().clone());
    registry.map(Some).map_err(|why| anyhow!("the schema registry cannot be asked: {why}"))
}

fn place(config: &SchemaRegistryConfig) -> Place {
    let secret = |text: &Option<crate::config::Property>, file: &Option<std::path::PathBuf>| match (text, file) {
        (Some(text), _) => Some(Secret::Text(text.as_str().to_owned())),
        (None, file) => file.clone().map(Secret::File),
    };
    let login = match (&config.username, secret(&config.token, &config.token_file)) {
        (_, Some(token)) => Login::Bearer(token),
        (Some(user), None) => {
            let password = secret(&config.password, &config.password_file);
            Login::Basic { user: user.clone(), password: password.unwrap_or(Secret::Text(String::new())) }
        }
        (None, None) => Login::Nobody,
    };
    Place { url: config.url.clone(), login, ca_file: config.ca_file.clone(), timeout: config.timeout.into() }
}

/// Registers or looks up the schemas of answers that are known by now.
///
/// # Errors
/// If the registry refuses one: answers could never be written.
pub fn announce(worker: &Worker, compute: &Runtime) -> anyhow::Result<()> {
    let Some(registry) = &worker.registry else { return Ok(()) };
    for (index, pipeline) in worker.pipelines.iter().enumerate() {
        let Some(outputs) = outputs(worker, index) else { continue };
        match compute.block_on(registry.announce(index, outputs, PATIENCE)) {
            Ok(()) => {}
            Err((true, why)) => bail!("pipeline `{}`: {why}", pipeline.name),
            Err((false, why)) => {
                tracing::warn!(pipeline = pipeline.name, reason = why, "answers in avro wait for the schema registry");
            }
        }
    }
    Ok(())
}

/// The outputs of a pipeline whose model is fixed and in service.
fn outputs(worker: &Worker, pipeline: usize) -> Option<Vec<AnswerOutput>> {
    let pipeline = &worker.pipelines[pipeline];
    let last = pipeline.segments.len().checked_sub(1)?;
    let selector = pipeline.segments[last].predict.selector().ok()?;
    let name = selector.needed()?;
    let serving = worker.models.serving();
    let newest =
        serving.iter().filter(|servable| servable.id.name == *name).max_by_key(|servable| servable.id.version)?;
    pipeline.bind(last, newest).ok()?.outputs.clone()
}
