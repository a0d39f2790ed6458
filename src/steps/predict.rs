//! `predict`: which model runs, and which choice a request has.
//!
//! The file's text becomes a [`Selector`] once, when the pipeline is set up; for each request, the program asks it which
//! model and version are meant and whether the request may have them.

use globset::{Glob, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    request::{MODEL_NAME_RULE, VersionChoice, is_model_name},
    tensor::Name,
};

/// Lets the request choose the model.
const REQUEST_MODEL: &str = "{request.model}";
/// Lets the request choose the version.
const REQUEST_VERSION: &str = "{request.version}";

/// Properties of `predict`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-not-built-yet" = ["fallback"]))]
pub struct Config {
    /// The model's name in the repository, or `{request.model}` to let the request choose.
    pub model: String,
    /// `latest`, a version number, a label of the model's `labels.yaml` such as `stable`, or `{request.version}` to let the
    /// request choose.
    #[serde(default = "latest", deserialize_with = "text_or_number")]
    #[schemars(schema_with = "version_schema")]
    pub version: String,
    /// Globs of the models that a request may choose; empty: all that are served.
    #[serde(default)]
    pub allow: Vec<String>,
}

fn latest() -> String {
    "latest".to_owned()
}

/// YAML reads `version: 3` as a number.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i64),
        Text(String),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    })
}

fn version_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": ["string", "integer"], "examples": ["latest", 3, "stable"]})
}

/// Which model runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSelector {
    /// Always this one.
    Fixed(Name),
    /// The one that the request names.
    FromRequest,
}

/// Which version of it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionSelector {
    /// Always this one.
    Fixed(VersionChoice),
    /// The one that the request names; the latest if it names none.
    FromRequest,
}

/// The choice between models, ready for requests.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Which model runs.
    pub model: ModelSelector,
    /// Which version of it runs.
    pub version: VersionSelector,
    allow: Option<GlobSet>,
}

impl Selector {
    /// Whether a request may choose the model `name`: a legal name, on the list if there is one.
    pub fn allows(&self, name: &str) -> bool {
        is_model_name(name) && self.allow.as_ref().is_none_or(|globs| globs.is_match(name))
    }
}

impl Config {
    /// The choice that the properties describe.
    ///
    /// # Errors
    /// Everything that is wrong with them, one sentence each.
    pub fn selector(&self) -> Result<Selector, Vec<String>> {
        let mut problems = Vec::new();
        let model = self.model().map_err(|sentence| problems.push(sentence)).ok();
        let version = self.version().map_err(|sentence| problems.push(sentence)).ok();
        let allow = glob_set(&self.allow)
            .map_err(|wrong| problems.extend(wrong.into_iter().map(|sentence| format!("`allow`: {sentence}"))))
            .ok();
        if matches!(model, Some(ModelSelector::Fixed(_))) && !self.allow.is_empty() {
            problems.push(format!(
                "`allow` limits what requests may choose, but `model` is always `{}`: \
                 remove `allow`, or write `model: \"{REQUEST_MODEL}\"`",
                self.model
            ));
        }
        match (model, version, allow) {
            (Some(model), Some(version), Some(globs)) if problems.is_empty() => {
                Ok(Selector { model, version, allow: (!self.allow.is_empty()).then_some(globs) })
            }
            _ => Err(problems),
        }
    }

    /// What is wrong with the properties.
    pub fn problems(&self) -> Vec<String> {
        self.selector().err().unwrap_or_default()
    }

    /// Which model runs.
    ///
    /// # Errors
    /// If `model` is neither a legal name nor the placeholder.
    pub fn model(&self) -> Result<ModelSelector, String> {
        match self.model.as_str() {
            REQUEST_MODEL => Ok(ModelSelector::FromRequest),
            template if template.contains(['{', '}']) => Err(format!(
                "`model` is `{template}`: write a name, or \"{REQUEST_MODEL}\" and nothing beside it; \
                 other templates are not built yet"
            )),
            name if is_model_name(name) => Ok(ModelSelector::Fixed(name.into())),
            other => Err(format!("`model` is `{}`: {MODEL_NAME_RULE}", other.escape_debug())),
        }
    }

    /// Which version runs.
    ///
    /// # Errors
    /// If `version` is neither `latest` nor a positive number, a label or the placeholder.
    pub fn version(&self) -> Result<VersionSelector, String> {
        match self.version.as_str() {
            REQUEST_VERSION => Ok(VersionSelector::FromRequest),
            text => VersionChoice::of(text).map(VersionSelector::Fixed).ok_or_else(|| {
                format!(
                    "`version` is `{}`: write `latest`, a number from 1 up, a label such as `stable`, \
                     or \"{REQUEST_VERSION}\"",
                    text.escape_debug()
                )
            }),
        }
    }
}

/// One matcher for a list of globs (`churn-*`), or a sentence for each that is none.
fn glob_set(globs: &[String]) -> Result<GlobSet, Vec<String>> {
    let mut builder = GlobSetBuilder::new();
    let mut problems = Vec::new();
    for glob in globs {
        match Glob::new(glob) {
            Ok(_) if glob.is_empty() => problems.push("an empty glob matches nothing: remove it".to_owned()),
            Ok(glob) => {
                builder.add(glob);
            }
            Err(error) => problems.push(format!("`{glob}` is no glob: {}", error.kind())),
        }
    }
    match builder.build() {
        Ok(set) if problems.is_empty() => Ok(set),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.push(format!("the globs together are too large: {}", error.kind()));
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(properties: serde_json::Value) -> Config {
        serde_json::from_value(properties).unwrap()
    }

    fn sentences(properties: serde_json::Value) -> Vec<String> {
        config(properties).problems()
    }

    #[test]
    fn a_model_is_fixed_or_left_to_the_request() {
        let fixed = config(serde_json::json!({"model": "iris"})).selector().unwrap();
        assert_eq!(fixed.model, ModelSelector::Fixed("iris".into()));
        assert_eq!(fixed.version, VersionSelector::Fixed(VersionChoice::Latest));
        let free = config(serde_json::json!({"model": "{request.model}", "version": "{request.version}"}));
        let free = free.selector().unwrap();
        assert_eq!((free.model, free.version), (ModelSelector::FromRequest, VersionSelector::FromRequest));
    }

    #[test]
    fn a_version_may_be_written_as_a_number_or_as_text() {
        for version in [serde_json::json!(3), serde_json::json!("3")] {
            let selector = config(serde_json::json!({"model": "iris", "version": version})).selector().unwrap();
            assert_eq!(selector.version, VersionSelector::Fixed(VersionChoice::Number(3)));
        }
    }

    #[test]
    fn a_word_is_the_label_of_a_version() {
        let selector = config(serde_json::json!({"model": "iris", "version": "stable"})).selector().unwrap();
        assert_eq!(selector.version, VersionSelector::Fixed(VersionChoice::Label("stable".into())));
    }

    #[test]
    fn a_request_may_choose_what_the_globs_allow_and_never_a_path() {
        let listed = config(serde_json::json!({"model": "{request.model}", "allow": ["churn-*", "iris"]}));
        let listed = listed.selector().unwrap();
        assert!(listed.allows("churn-7") && listed.allows("iris"));
        assert!(!listed.allows("spam") && !listed.allows("churn-/../x"));
        let open = config(serde_json::json!({"model": "{request.model}"})).selector().unwrap();
        assert!(open.allows("spam") && !open.allows("../spam"));
    }

    #[test]
    fn every_wrong_property_is_told_with_what_to_write() {
        let all_wrong = serde_json::json!({"model": "churn-{key}", "version": 0, "allow": ["[", ""]});
        assert_eq!(
            sentences(all_wrong),
            [
                "`model` is `churn-{key}`: write a name, or \"{request.model}\" and nothing beside it; \
                 other templates are not built yet",
                "`version` is `0`: write `latest`, a number from 1 up, a label such as `stable`, or \"{request.version}\"",
                "`allow`: `[` is no glob: unclosed character class; missing ']'",
                "`allow`: an empty glob matches nothing: remove it",
            ]
        );
        let idle = sentences(serde_json::json!({"model": "iris", "allow": ["a"]}));
        assert!(idle[0].contains("remove `allow`"), "{idle:?}");
        assert!(sentences(serde_json::json!({"model": "../iris"}))[0].contains("one folder of the repository"));
    }
}
