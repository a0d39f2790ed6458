//! A look at what a worker would meet: the broker, its topics, the repository. Nothing is started, created or changed.

use super::{TopicNames, creation, kafka_settings, models};
use crate::{broker::kafka::topics, config::Settings};

/// What is missing, one sentence each; empty if a worker would find everything. Blocks for some seconds if nobody answers.
pub fn look(settings: &Settings) -> Vec<String> {
    let mut missing = Vec::new();
    let names = TopicNames::of(&settings.pipelines).all(&settings.server);
    match topics::look(&kafka_settings(&settings.server), &names, None) {
        Ok(()) => {}
        // The worker would create them itself.
        Err(topics::TopicError::Missing(_)) if creation(&settings.server).is_some() => {}
        Err(error) => missing.push(error.to_string()),
    }
    missing.extend(models::absent(settings));
    missing
}
