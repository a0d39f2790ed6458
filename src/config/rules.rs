//! Rules across files: among pipelines, and between the pipelines and the server.

use super::{
    models::Served,
    pipeline::{Codec, PipelineConfig},
    problem::{KeyPath, Problem},
    read::FileRead,
    server::ServerConfig,
};
use crate::{
    request::VersionChoice,
    steps::predict::{self, ModelSelector, VersionSelector},
};

/// Names and request topics belong to one pipeline each, and no chain of pipelines leads back to its beginning.
pub fn among_pipelines(files: &mut [FileRead<PipelineConfig>]) {
    for later in 1..files.len() {
        let (before, rest) = files.split_at_mut(later);
        let Some(pipeline) = &rest[0].settings else { continue };
        let problems: Vec<_> = before
            .iter()
            .filter_map(|file| file.settings.as_ref().map(|other| (file, other)))
            .flat_map(|(file, other)| conflicts(pipeline, other, &file.file.display().to_string()))
            .collect();
        rest[0].add(problems);
    }
    for (index, sentence) in circles(files) {
        files[index].add([Problem::new("output.topic", sentence)]);
    }
}

/// What `pipeline` may not share with `other`, which stands in `file`.
fn conflicts(pipeline: &PipelineConfig, other: &PipelineConfig, file: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if pipeline.name == other.name {
        problems.push(Problem::new("name", format!("`{}` is also the name of the pipeline in {file}", other.name)));
    }
    for (index, topic) in pipeline.input.topics.iter().enumerate() {
        if other.input.topics.contains(topic) {
            let sentence = format!("`{topic}` is also read by the pipeline in {file}: a topic belongs to one pipeline");
            problems.push(Problem::new(KeyPath::from("input.topics").index(index), sentence));
        }
    }
    problems
}

/// Pipelines whose answers come back to them through others. (That one reads what it writes itself is its own problem.)
fn circles(files: &[FileRead<PipelineConfig>]) -> Vec<(usize, String)> {
    let pipelines: Vec<_> = files.iter().map(|file| file.settings.as_ref()).collect();
    let readers = |topic: &str| {
        let reads = |pipeline: &PipelineConfig| pipeline.input.topics.iter().any(|read| read == topic);
        pipelines.iter().position(|pipeline| pipeline.is_some_and(reads))
    };
    let mut problems = Vec::new();
    for (start, pipeline) in pipelines.iter().enumerate() {
        let mut way = vec![start];
        let mut current = *pipeline;
        while let Some(next) = current.and_then(|pipeline| readers(&pipeline.output.topic)) {
            // Each circle is told once, at its first file.
            if next == start && way.len() > 1 && way.iter().all(|index| *index >= start) {
                let topics =
                    way.iter().filter_map(|index| pipelines[*index]).map(|pipeline| pipeline.output.topic.as_str());
                let topics: Vec<_> = topics.map(|topic| format!("`{topic}`")).collect();
                problems.push((start, format!("answers go round in a circle: {}", topics.join(" → "))));
            }
            if way.contains(&next) {
                break;
            }
            way.push(next);
            current = pipelines[next];
        }
    }
    problems
}

/// What a pipeline needs that the server file does not have, and the key to blame.
fn without_registry(pipeline: &PipelineConfig, server: &ServerConfig, file: &str) -> Option<Problem> {
    if server.schema_registry.is_some() {
        return None;
    }
    let key = match (pipeline.input.codec, &pipeline.output.avro) {
        (Codec::Avro, _) => "input.codec",
        (_, Some(_)) => "output.avro",
        _ => return None,
    };
    let sentence = format!("needs a schema registry, but {file} names none: add `schema_registry: {{url: …}}` there");
    Some(Problem::new(key, sentence))
}

/// Every model that a pipeline may use is one that the server serves, and schemas have a registry.
pub fn between_server_and_pipelines(server: &FileRead<ServerConfig>, files: &mut [FileRead<PipelineConfig>]) {
    let Some(settings) = &server.settings else { return };
    let server_file = server.file.display().to_string();
    for file in files {
        let Some(pipeline) = &file.settings else { continue };
        let problems: Vec<_> = pipeline
            .predicts()
            .filter_map(|(index, predict)| {
                let (key, sentence) = unserved(predict, settings, &server_file)?;
                Some(Problem::new(KeyPath::from("steps").index(index).key("predict").key(key), sentence))
            })
            .chain(without_registry(pipeline, settings, &server_file))
            .collect();
        file.add(problems);
    }
}

/// Why a `predict` could never find its model, and the property to blame.
fn unserved(predict: &predict::Config, server: &ServerConfig, file: &str) -> Option<(&'static str, String)> {
    // What is wrong with the properties themselves has been told.
    let selector = predict.selector().ok()?;
    if !selector.is_bounded() && server.models.served() == Served::Named {
        let sentence = format!(
            "lets requests choose among the models that are served, but `models.serve` of {file} names none: \
             list them there, or write `serve: [\"*\"]` for all"
        );
        return Some(("model", sentence));
    }
    let name = selector.needed()?;
    let key = if matches!(selector.model, ModelSelector::Fixed(_)) { "model" } else { "fallback" };
    if let Served::Only(served) = server.models.served()
        && !served.contains(name)
    {
        let sentence = format!("`{name}` is not in `models.serve` of {file} and would never be loaded: add it there");
        return Some((key, sentence));
    }
    match (&selector.version, server.models.versions_of(name)) {
        (VersionSelector::Fixed(VersionChoice::Number(number)), super::VersionPolicy::Specific(served))
            if served.iter().all(|version| version.get() != *number) =>
        {
            let sentence =
                format!("version {number} of `{name}` is not among the `specific` versions of {file}: add it there");
            Some(("version", sentence))
        }
        _ => None,
    }
}
