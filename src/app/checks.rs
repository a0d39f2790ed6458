//! From `model.yaml` and the pipelines to what a version is held against before it serves.

use std::time::Duration;

use crate::{
    config::{GoldenConfig, ModelConfig, PipelineConfig},
    model::checks::{CheckOptions, GoldenText, WarmUp},
    steps::{fit::Places, program::segments},
};

/// What `model.yaml` asks for.
pub fn options(model: &ModelConfig) -> CheckOptions {
    let sizes = model.warm_up.batch_sizes.as_ref();
    CheckOptions {
        warm_up: WarmUp {
            batch_sizes: sizes.map(|sizes| sizes.iter().map(|size| size.get()).collect()),
            time_limit: Duration::from(model.warm_up.time_limit),
        },
        golden: model.golden.clone().map(|GoldenConfig { source, text }| GoldenText { source, text }),
    }
}

/// The places that a version must fit.
pub fn places(pipelines: &[PipelineConfig]) -> Places {
    Places::new(pipelines.iter().map(|pipeline| (pipeline.name.clone(), segments(&pipeline.steps))))
}
