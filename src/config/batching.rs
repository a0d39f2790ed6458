//! The `batching:` part of `server.yaml`: how rows of several requests become one run of a model.

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    models::model_key_problem,
    problem::{KeyPath, Problem},
    units::HumanDuration,
};

/// How rows of several requests become one run of a model. An idle model waits for nobody, a busy one lets its batch grow.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct BatchingConfig {
    /// The most rows of one run.
    pub max_batch_size: NonZeroUsize,
    /// How long one run may take: batches shrink below `max_batch_size` for a model whose rows are dear.
    pub target_run_time: HumanDuration,
    /// How long an idle model waits for more rows: latency paid for bigger batches.
    pub max_queue_delay: HumanDuration,
    /// What differs for single models, by name.
    pub per_model: BTreeMap<String, BatchingOverrides>,
}

impl Default for BatchingConfig {
    fn default() -> Self {
        Self {
            max_batch_size: NonZeroUsize::new(512).expect("512 is not 0"),
            target_run_time: HumanDuration::from_millis(50),
            max_queue_delay: HumanDuration::from_millis(0),
            per_model: BTreeMap::new(),
        }
    }
}

/// What differs for one model.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct BatchingOverrides {
    /// The most rows of one run of this model.
    pub max_batch_size: Option<NonZeroUsize>,
    /// How long one run of this model may take.
    pub target_run_time: Option<HumanDuration>,
    /// How long this model waits for more rows when it is idle.
    pub max_queue_delay: Option<HumanDuration>,
}

/// The bounds of one model's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchBounds {
    /// The most rows of one run.
    pub max_batch_size: NonZeroUsize,
    /// How long one run may take.
    pub target_run_time: Duration,
    /// How long an idle model waits for more rows.
    pub max_queue_delay: Duration,
}

impl BatchingConfig {
    /// The bounds that hold for `model`.
    pub fn bounds_of(&self, model: &str) -> BatchBounds {
        let overrides = self.per_model.get(model).cloned().unwrap_or_default();
        BatchBounds {
            max_batch_size: overrides.max_batch_size.unwrap_or(self.max_batch_size),
            target_run_time: overrides.target_run_time.unwrap_or(self.target_run_time).into(),
            max_queue_delay: overrides.max_queue_delay.unwrap_or(self.max_queue_delay).into(),
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("batching");
        let mut problems = Vec::new();
        problems.extend(no_run_time(self.target_run_time, &at));
        for (name, overrides) in &self.per_model {
            let path = at.key("per_model").key(name);
            problems.extend(model_key_problem(name, &path));
            problems.extend(overrides.target_run_time.and_then(|time| no_run_time(time, &path)));
        }
        problems
    }
}

fn no_run_time(time: HumanDuration, at: &KeyPath) -> Option<Problem> {
    time.is_zero().then(|| Problem::new(at.key("target_run_time"), "must be longer than 0, since every run takes time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_overrides_only_what_it_names() {
        let overrides = BatchingOverrides { max_batch_size: NonZeroUsize::new(32), ..BatchingOverrides::default() };
        let config = BatchingConfig {
            max_queue_delay: HumanDuration::from_millis(5),
            per_model: [("bert".to_owned(), overrides)].into(),
            ..BatchingConfig::default()
        };
        let bounds = config.bounds_of("bert");
        assert_eq!((bounds.max_batch_size.get(), bounds.max_queue_delay), (32, Duration::from_millis(5)));
        assert_eq!(config.bounds_of("iris").max_batch_size.get(), 512);
    }
}
