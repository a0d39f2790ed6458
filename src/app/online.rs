//! A look at what a worker would meet: the broker, its topics, the repository. Nothing is started, created or changed.

use super::{TopicNames, creation, kafka_settings, models};
use crate::{
    broker::kafka::{entrance, topics::EntranceError},
    config::Settings,
};

/// What is missing, one sentence each; empty if a worker would find everything. Blocks for some seconds if nobody answers.
pub fn look(settings: &Settings) -> Vec<String> {
    let mut missing = Vec::new();
    let needs = TopicNames::of(&settings.pipelines).needs(&settings.server);
    match entrance::look(&kafka_settings(&settings.server), &needs, None) {
        Ok(()) => {}
        // The worker would create them itself.
        Err(EntranceError::Missing(_)) if creation(&settings.server).is_some() => {}
        Err(error) => missing.push(error.to_string()),
    }
    missing.extend(models::absent(settings));
    missing
}
