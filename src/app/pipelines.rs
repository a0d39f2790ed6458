//! From the configuration of pipelines to what decoding, routing and encoding need.

use std::sync::Arc;

use anyhow::anyhow;

use super::choice::Chosen;
use crate::{
    admin::PipelineStatus,
    broker::Placement,
    codec::{
        Format, Intake, Intakes, ReplyRules, Routing,
        encode::{HeaderPolicy, Outlet},
        envelope::HeaderNames,
    },
    config::{self, Codec, Ordering, PipelineConfig},
    request::{ModelChoice, Route, allowed::glob_set},
    steps::{
        predict::{self, ModelSelector, Selector, VersionSelector},
        program::segments,
    },
    worker::Pipeline,
};

/// What decoding must know; `requests` are the request topics in the order of their indices.
pub fn intakes(pipelines: &[PipelineConfig], requests: &[String]) -> anyhow::Result<Intakes> {
    let intake = |(index, pipeline): (usize, &PipelineConfig)| {
        Ok(Intake {
            pipeline: index,
            format: match pipeline.input.codec {
                Codec::Json => Format::Json,
                Codec::Raw => Format::Raw,
                Codec::Protobuf => Format::Protobuf,
                Codec::Csv => Format::Csv,
                Codec::Avro => Format::Avro,
            },
            routing: routing(index, pipeline)?,
            timeout: Some(pipeline.timeout.into()),
            headers: header_names(&pipeline.input.headers),
            replies: reply_rules(&pipeline.output.reply_topics)?,
        })
    };
    let owner = |topic: &String| {
        pipelines
            .iter()
            .position(|pipeline| pipeline.input.topics.contains(topic))
            .ok_or_else(|| anyhow!("no pipeline reads `{topic}`"))
    };
    Ok(Intakes {
        intakes: pipelines.iter().enumerate().map(intake).collect::<anyhow::Result<_>>()?,
        topics: requests
            .iter()
            .map(|topic| Ok((topic.as_str().into(), owner(topic)?)))
            .collect::<anyhow::Result<_>>()?,
    })
}

/// The pipelines as the journey runs them; `outputs` are the output topics in the order of their indices.
pub fn build(pipelines: &[PipelineConfig], outputs: &[String]) -> Vec<Pipeline> {
    let index_of = |topic: &String| outputs.iter().position(|output| output == topic);
    let pipeline = |config: &PipelineConfig| {
        let outlet = Outlet {
            pipeline: config.name.clone(),
            results: index_of(&config.output.topic).expect("the result topics of all pipelines are listed"),
            dead_letters: config.output.dead_letter_topic.as_ref().and_then(index_of),
            placement: match config.output.ordering {
                Ordering::None => Placement::Key,
                Ordering::Key => Placement::RequestKey,
                Ordering::Partition => Placement::RequestPartition,
            },
            headers: match config.output.headers {
                config::HeaderPolicy::Auto => HeaderPolicy::Auto,
                config::HeaderPolicy::Always => HeaderPolicy::Always,
                config::HeaderPolicy::Never => HeaderPolicy::Never,
            },
            copied: Arc::new(header_names(&config.input.headers).copy_rule()),
        };
        Pipeline::new(config.name.clone(), segments(&config.steps), outlet)
    };
    pipelines.iter().map(pipeline).collect()
}

/// The pipelines as the admin endpoint shows them, with the models that they cannot do without.
pub fn statuses(pipelines: &[PipelineConfig]) -> Vec<PipelineStatus> {
    let needed = |(_, predict): (usize, &predict::Config)| predict.selector().ok()?.needed().cloned();
    let status = |pipeline: &PipelineConfig| PipelineStatus {
        name: pipeline.name.clone(),
        topics: pipeline.input.topics.clone(),
        output: pipeline.output.topic.clone(),
        models: pipeline.predicts().filter_map(needed).collect(),
    };
    pipelines.iter().map(status).collect()
}

fn header_names(names: &config::HeaderNames) -> HeaderNames {
    HeaderNames {
        model: vec![names.model_name.clone()],
        version: vec![names.model_version.clone()],
        timeout: vec![names.timeout.clone()],
        request_id: vec![names.request_id.clone()],
        reply_topic: names.reply_topic.clone(),
        reply_partition: names.reply_partition.clone(),
        correlation_id: names.correlation_id.clone(),
    }
}

fn reply_rules(globs: &[String]) -> anyhow::Result<ReplyRules> {
    let allowed = glob_set(globs).map_err(|problems| anyhow!(problems.join("; ")))?;
    Ok(ReplyRules { allowed })
}

fn routing(index: usize, pipeline: &PipelineConfig) -> anyhow::Result<Routing> {
    let selectors: Vec<Selector> = pipeline
        .predicts()
        .map(|(_, predict)| predict.selector().map_err(|problems| anyhow!(problems.join("; "))))
        .collect::<anyhow::Result<_>>()?;
    let fixed: Option<Vec<ModelChoice>> = selectors
        .iter()
        .map(|selector| match (&selector.model, &selector.version) {
            (ModelSelector::Fixed(name), VersionSelector::Fixed(version)) => {
                Some(ModelChoice { name: name.clone(), version: version.clone(), fallback: None })
            }
            _ => None,
        })
        .collect();
    Ok(match fixed {
        Some(models) => Routing::Fixed(Arc::new(Route { pipeline: index, models })),
        None => Routing::Chosen(Box::new(Chosen::new(index, selectors))),
    })
}
