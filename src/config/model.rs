//! `model.yaml`, beside `model.onnx`: what whoever made a model version knows of it and the graph does not say.

use std::{io::ErrorKind, num::NonZeroUsize, path::Path};

use serde::Deserialize;
use serde_yaml::Value as Yaml;

use super::units::HumanDuration;
use crate::{
    backend::{BatchingChoice, onnx::OptimizationLevel},
    steps::VersionFiles,
};

/// What the file may say, for sentences.
const KEYS: &str = "it may say `batching: auto | on | off`, `optimization: off | basic | extended | all`, \
                    `warm_up: {batch_sizes: [1, 8, 32], time_limit: 5s}`, and `golden:` with a list of samples or the name of a \
                    file of them";

/// What `model.yaml` says; without the file, the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelConfig {
    /// Whether rows of several requests may share a run: `auto` (found out when the model is loaded), `on` or `off`.
    pub batching: BatchingChoice,
    /// How much the runtime may rewrite the graph: `off`, `basic`, `extended` or `all`.
    pub optimization: OptimizationLevel,
    /// What is run before the version serves.
    pub warm_up: WarmUpConfig,
    /// Requests with the answers that the version must give.
    pub golden: Option<GoldenConfig>,
}

/// What is run before a version serves.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct WarmUpConfig {
    /// The numbers of rows that are run; `[]`: nothing is. `None`: those that the batcher may form.
    pub batch_sizes: Option<Vec<NonZeroUsize>>,
    /// How long it may take in all.
    pub time_limit: HumanDuration,
}

impl Default for WarmUpConfig {
    fn default() -> Self {
        Self { batch_sizes: None, time_limit: HumanDuration::from_secs(5) }
    }
}

/// Golden samples, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldenConfig {
    /// The file that they stand in: `golden.json`, or `model.yaml` itself.
    pub source: String,
    /// The samples.
    pub text: String,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    batching: BatchingChoice,
    optimization: OptimizationLevel,
    warm_up: WarmUpConfig,
    golden: Option<Yaml>,
}

impl ModelConfig {
    /// Reads `model.yaml` of a version's folder, if there is one, and the file of golden samples that it names.
    ///
    /// # Errors
    /// A sentence if either cannot be read, or the file says something else.
    pub fn read(folder: &Path) -> Result<Self, String> {
        if let Err(error) = folder.join("model.yaml").symlink_metadata()
            && error.kind() == ErrorKind::NotFound
        {
            return Ok(Self::default());
        }
        let files = VersionFiles { folder: folder.to_owned() };
        let text = files.text("model.yaml").map_err(|why| why.to_string())?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let written: Written =
            serde_yaml::from_str(&text).map_err(|error| format!("`model.yaml` is not valid: {error}; {KEYS}"))?;
        let Written { batching, optimization, warm_up, golden } = written;
        let golden = golden.map(|golden| GoldenConfig::read(golden, folder)).transpose()?;
        Ok(Self { batching, optimization, warm_up, golden })
    }
}

impl GoldenConfig {
    fn read(golden: Yaml, folder: &Path) -> Result<Self, String> {
        match golden {
            Yaml::String(source) => {
                let files = VersionFiles { folder: folder.to_owned() };
                let text = files.text(&source).map_err(|why| format!("`golden` of model.yaml: {why}"))?;
                Ok(Self { source, text })
            }
            list @ Yaml::Sequence(_) => {
                let samples = json(list).map_err(|why| format!("`golden` of model.yaml: {why}"))?;
                Ok(Self { source: "model.yaml".to_owned(), text: samples.to_string() })
            }
            _ => Err("`golden` of model.yaml must be a list of samples, or the name of a file beside it".to_owned()),
        }
    }
}

/// The same as JSON. YAML has numbers that JSON lacks (`.nan`, `.inf`): they become the texts that stand for them there.
fn json(value: Yaml) -> Result<serde_json::Value, String> {
    Ok(match value {
        Yaml::Null => serde_json::Value::Null,
        Yaml::Bool(bool) => bool.into(),
        Yaml::String(text) => text.into(),
        Yaml::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(number)) if number.is_finite() => number.into(),
            (.., Some(number)) if number.is_nan() => "NaN".into(),
            (.., number) => if number.is_some_and(|number| number > 0.0) { "Infinity" } else { "-Infinity" }.into(),
        },
        Yaml::Sequence(list) => list.into_iter().map(json).collect::<Result<_, _>>()?,
        Yaml::Mapping(entries) => {
            let mut object = serde_json::Map::new();
            for (key, value) in entries {
                let Yaml::String(key) = key else { return Err("a key is no text".to_owned()) };
                object.insert(key, json(value)?);
            }
            object.into()
        }
        Yaml::Tagged(tagged) => return Err(format!("the tag `{}` means nothing here", tagged.tag)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: Option<&str>) -> Result<ModelConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("golden.json"), "[\n]").unwrap();
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
    fn the_warm_up_is_sizes_and_a_time() {
        let warm_up = read(Some("warm_up: {batch_sizes: [1, 8], time_limit: 1m}")).unwrap().warm_up;
        assert_eq!(warm_up.batch_sizes.unwrap().iter().map(|size| size.get()).collect::<Vec<_>>(), [1, 8]);
        assert_eq!(warm_up.time_limit, HumanDuration::from_secs(60));
        let none = read(Some("warm_up: {batch_sizes: []}")).unwrap().warm_up;
        assert_eq!((none.batch_sizes, none.time_limit), (Some(vec![]), HumanDuration::from_secs(5)));
        assert!(read(Some("warm_up: {batch_sizes: [0]}")).is_err());
    }

    #[test]
    fn golden_samples_stand_in_the_file_or_beside_it() {
        let beside = read(Some("golden: golden.json")).unwrap().golden.unwrap();
        assert_eq!((beside.source.as_str(), beside.text.as_str()), ("golden.json", "[\n]"));
        let inside = read(Some(
            "golden:\n  - inputs: [{name: x, datatype: FP32, shape: [1, 3], data: [1.5, .nan, -.inf]}]\n    \
             outputs: [{\"name\": \"y\", \"data\": [18446744073709551615, NaN, true, null]}]\n",
        ));
        let expected = r#"[{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1.5,"NaN","-Infinity"]}],"outputs":[{"name":"y","data":[18446744073709551615,"NaN",true,null]}]}]"#;
        assert_eq!(inside.unwrap().golden, Some(GoldenConfig { source: "model.yaml".into(), text: expected.into() }));
    }

    #[test]
    fn a_file_of_golden_samples_that_is_not_there_is_named() {
        let missing = read(Some("golden: goldens.json")).unwrap_err();
        assert!(missing.contains("`goldens.json`, which must lie beside model.onnx"), "{missing}");
        assert!(read(Some("golden: ../golden.json")).unwrap_err().contains("no file name inside"));
        assert!(read(Some("golden: 3")).unwrap_err().contains("a list of samples, or the name of a file"));
    }

    #[test]
    fn anything_else_is_an_error_that_says_what_is_possible() {
        for text in ["bathcing: on", "batching: maybe", "[", "warm_up: 3", "warm_up: {sizes: [1]}"] {
            let error = read(Some(text)).unwrap_err();
            assert!(error.contains("batching: auto | on | off"), "{error}");
        }
    }
}
