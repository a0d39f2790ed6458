//! `predict`: which model runs, and which choice a request has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Properties of `predict`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The model's name in the repository, or `{request.model}` to let the request choose.
    pub model: String,
    /// `latest`, a version number, or `{request.version}` to let the request choose.
    #[serde(default = "latest")]
    pub version: String,
    /// Globs of the models that a request may choose; empty: all of the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

fn latest() -> String {
    "latest".to_owned()
}

impl Config {
    /// What is wrong with the properties.
    pub fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
