//! From the configuration of pipelines to what decoding, routing and encoding need.

use std::sync::Arc;

use anyhow::anyhow;

use crate::{
    admin::PipelineStatus,
    codec::{
        Format, Intake, Intakes, RouteChoice, Routing,
        encode::{HeaderPolicy, Outlet},
        envelope::HeaderNames,
    },
    config::{self, Codec, PipelineConfig},
    error::{ErrorCode, RequestError},
    request::{ModelChoice, Route, VersionChoice, is_model_name},
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
            },
            routing: routing(index, pipeline)?,
            timeout: Some(pipeline.timeout.into()),
            headers: header_names(&pipeline.input.headers),
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
            headers: match config.output.headers {
                config::HeaderPolicy::Auto => HeaderPolicy::Auto,
                config::HeaderPolicy::Always => HeaderPolicy::Always,
                config::HeaderPolicy::Never => HeaderPolicy::Never,
            },
        };
        Pipeline::new(config.name.clone(), segments(&config.steps), outlet)
    };
    pipelines.iter().map(pipeline).collect()
}

/// The pipelines as the admin endpoint shows them, with the models that they cannot do without.
pub fn statuses(pipelines: &[PipelineConfig]) -> Vec<PipelineStatus> {
    let fixed = |(_, predict): (usize, &predict::Config)| match predict.model() {
        Ok(ModelSelector::Fixed(name)) => Some(name),
        _ => None,
    };
    let status = |pipeline: &PipelineConfig| PipelineStatus {
        name: pipeline.name.clone(),
        topics: pipeline.input.topics.clone(),
        output: pipeline.output.topic.clone(),
        models: pipeline.predicts().filter_map(fixed).collect(),
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
    }
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
                Some(ModelChoice { name: name.clone(), version: version.clone() })
            }
            _ => None,
        })
        .collect();
    Ok(match fixed {
        Some(models) => Routing::Fixed(Arc::new(Route { pipeline: index, models })),
        None => Routing::Chosen(Box::new(Chosen { pipeline: index, selectors })),
    })
}

/// A pipeline whose requests choose.
#[derive(Debug)]
struct Chosen {
    pipeline: usize,
    selectors: Vec<Selector>,
}

impl RouteChoice for Chosen {
    fn route(&self, model: Option<&str>, version: Option<&str>) -> Result<Arc<Route>, RequestError> {
        let choice = |selector: &Selector| {
            let name = match &selector.model {
                ModelSelector::Fixed(name) => name.clone(),
                ModelSelector::FromRequest => chosen_model(selector, model)?.into(),
            };
            let version = match &selector.version {
                VersionSelector::Fixed(version) => version.clone(),
                VersionSelector::FromRequest => chosen_version(version)?,
            };
            Ok(ModelChoice { name, version })
        };
        let models = self.selectors.iter().map(choice).collect::<Result<_, RequestError>>()?;
        Ok(Arc::new(Route { pipeline: self.pipeline, models }))
    }
}

fn chosen_model<'a>(selector: &Selector, model: Option<&'a str>) -> Result<&'a str, RequestError> {
    let Some(name) = model else {
        let why = "the request must name a model: in the header `model-name`, or as `model_name` in the body";
        return Err(RequestError::new(ErrorCode::InvalidRequest, why));
    };
    if selector.allows(name) {
        return Ok(name);
    }
    let shown = if is_model_name(name) { name.to_owned() } else { name.escape_debug().to_string() };
    Err(RequestError::new(ErrorCode::UnknownModel, format!("there is no model `{shown}` that requests may choose")))
}

fn chosen_version(version: Option<&str>) -> Result<VersionChoice, RequestError> {
    match version {
        None | Some("" | "latest") => Ok(VersionChoice::Latest),
        Some(text) => VersionChoice::of(text).ok_or_else(|| {
            let why = format!("`{}` is no version: send a number from 1 up, a label or `latest`", text.escape_debug());
            RequestError::new(ErrorCode::UnknownModel, why)
        }),
    }
}
