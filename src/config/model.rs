//! `model.yaml`, beside `model.onnx`: what whoever made a model version knows of it and the graph does not say.

use std::{io::ErrorKind, path::Path};

use serde::Deserialize;

use crate::backend::{BatchingChoice, onnx::OptimizationLevel};

/// What `model.yaml` says; without the file, the defaults.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Whether rows of several requests may share a run: `auto` (found out when the model is loaded), `on` or `off`.
    pub batching: BatchingChoice,
    /// How much the runtime may rewrite the graph: `off`, `basic`, `extended` or `all`.
    pub optimization: OptimizationLevel,
}

impl ModelConfig {
    /// Reads `model.yaml` of a version's folder, if there is one.
    ///
    /// # Errors
    /// A sentence if it cannot be read or says something else.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let text = match std::fs::read_to_string(folder.join("model.yaml")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("`model.yaml` cannot be read: {error}")),
        };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_yaml::from_str(&text).map_err(|error| {
            format!("`model.yaml` is not valid: {error}; it may say `batching: auto | on | off` and `optimization: off | basic | extended | all`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: Option<&str>) -> Result<ModelConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            std::fs::write(folder.path().join("model.yaml"), text).unwrap();
        }
        ModelConfig::read(folder.path())
    }

    #[test]
    fn without_a_file_or_a_word_in_it_the_defaults_hold() {
        assert_eq!(read(None), Ok(ModelConfig::default()));
        assert_eq!(read(Some("\n")), Ok(ModelConfig::default()));
    }

    #[test]
    fn batching_and_optimisation_are_taken_as_they_stand() {
        let config = read(Some("batching: \"off\"\noptimization: basic\n")).unwrap();
        assert_eq!((config.batching, config.optimization), (BatchingChoice::Off, OptimizationLevel::Basic));
        assert_eq!(read(Some("batching: on")).unwrap().batching, BatchingChoice::On);
    }

    #[test]
    fn anything_else_is_an_error_that_says_what_is_possible() {
        for text in ["bathcing: on", "batching: maybe", "["] {
            let error = read(Some(text)).unwrap_err();
            assert!(error.contains("batching: auto | on | off"), "{error}");
        }
    }
}
