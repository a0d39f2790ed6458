//! `predict`: which model runs, and which choice a request has.
//!
//! The file's text becomes a [`Selector`] once, when the pipeline is set up; for each request, the program asks it which
//! model and version are meant and whether the request may have them.

use globset::GlobSet;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    request::{MODEL_NAME_RULE, VersionChoice, allowed::glob_set, is_model_name},
    tensor::Name,
};
pub use template::{Part, Source, Template};

mod template;

/// Lets the request choose the version.
const REQUEST_VERSION: &str = "{request.version}";

/// Properties of `predict`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The model's name in the repository, or a template over the request: `{request.model}`, `churn-{key}`, `{header.tenant}-churn`, `{parameter.NAME}`.
    pub model: String,
    /// `latest`, a version number, a label of the model's `labels.yaml` such as `stable`, or `{request.version}` to let the
    /// request choose.
    #[serde(default = "latest", deserialize_with = "text_or_number")]
    #[schemars(schema_with = "version_schema")]
    pub version: String,
    /// The model for requests whose own is not in the repository, or who do not say what the template asks for.
    #[serde(default)]
    pub fallback: Option<String>,
    /// Globs of the models that a template may make; empty: all that are served.
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
    /// The one that comes of what the request says.
    Template(Template),
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
    /// The model that takes over for one that is not in the repository.
    pub fallback: Option<Name>,
    allow: Option<GlobSet>,
    /// What may come of the template.
    pattern: Option<Regex>,
}

impl Selector {
    /// Whether a request may choose the model `name`: a legal name, on the list if there is one.
    pub fn allows(&self, name: &str) -> bool {
        is_model_name(name) && self.allow.as_ref().is_none_or(|globs| globs.is_match(name))
    }

    /// Whether the model `name` may run here, by whatever a request says.
    pub fn may_run(&self, name: &str) -> bool {
        let chosen = match &self.model {
            ModelSelector::Fixed(fixed) => **fixed == *name,
            ModelSelector::Template(_) => {
                self.allows(name) && self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
            }
        };
        chosen || self.fallback.as_deref() == Some(name)
    }

    /// Whether the file itself says which models may run, at least in part: by a name, by text around a template's places,
    /// or by a list.
    pub fn is_bounded(&self) -> bool {
        let open = matches!(&self.model, ModelSelector::Template(template) if template.is_open());
        !open || self.allow.is_some()
    }

    /// The models that it cannot do without: the one that always runs, or the fallback.
    pub fn needed(&self) -> Option<&Name> {
        match &self.model {
            ModelSelector::Fixed(name) => Some(name),
            ModelSelector::Template(_) => self.fallback.as_ref(),
        }
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
        problems.extend(self.fallback_problem());
        if matches!(model, Some(ModelSelector::Fixed(_))) {
            problems.extend(self.idle_problems());
        }
        match (model, version, allow) {
            (Some(model), Some(version), Some(globs)) if problems.is_empty() => {
                let pattern = match &model {
                    ModelSelector::Fixed(_) => None,
                    ModelSelector::Template(template) => Some(template.pattern()),
                };
                let fallback = self.fallback.as_deref().map(Name::from);
                Ok(Selector { model, version, fallback, allow: (!self.allow.is_empty()).then_some(globs), pattern })
            }
            _ => Err(problems),
        }
    }

    fn fallback_problem(&self) -> Option<String> {
        let fallback = self.fallback.as_deref().filter(|name| !is_model_name(name))?;
        Some(format!("`fallback` is `{}`: {MODEL_NAME_RULE}", fallback.escape_debug()))
    }

    /// Properties that mean nothing beside a name.
    fn idle_problems(&self) -> Vec<String> {
        let model = &self.model;
        let mut problems = Vec::new();
        if self.fallback.is_some() {
            problems.push(format!(
                "`fallback` takes over where a template makes a name that is not in the repository, but `model` is always \
                 `{model}`: remove `fallback`, or write a template such as `model: \"{model}-{{key}}\"`"
            ));
        }
        if !self.allow.is_empty() {
            problems.push(format!(
                "`allow` limits what requests may choose, but `model` is always `{model}`: \
                 remove `allow`, or write `model: \"{{request.model}}\"`"
            ));
        }
        problems
    }

    /// What is wrong with the properties.
    pub fn problems(&self) -> Vec<String> {
        self.selector().err().unwrap_or_default()
    }

    /// Which model runs.
    ///
    /// # Errors
    /// If `model` is neither a legal name nor a template.
    pub fn model(&self) -> Result<ModelSelector, String> {
        let model = match self.model.as_str() {
            template if template.contains(['{', '}']) => Template::parse(template).map(ModelSelector::Template),
            name if is_model_name(name) => Ok(ModelSelector::Fixed(name.into())),
            _ => Err(MODEL_NAME_RULE.to_owned()),
        };
        model.map_err(|why| format!("`model` is `{}`: {why}", self.model.escape_debug()))
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
        let template = ModelSelector::Template(Template::parse("{request.model}").unwrap());
        assert_eq!((free.model, free.version), (template, VersionSelector::FromRequest));
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
    fn a_model_runs_where_the_name_the_template_and_the_list_let_it_or_as_the_fallback() {
        let selector = |properties| config(properties).selector().unwrap();
        let tenants = serde_json::json!({"model": "churn-{key}", "allow": ["*-a*"], "fallback": "churn"});
        let tenants = selector(tenants);
        for (name, may) in
            [("churn-ab", true), ("churn-b", false), ("x-ab", false), ("churn", true), ("churn-a/", false)]
        {
            assert_eq!(tenants.may_run(name), may, "{name}");
        }
        assert_eq!(tenants.needed().map(|name| &**name), Some("churn"));
        let fixed = selector(serde_json::json!({"model": "iris"}));
        assert!(fixed.may_run("iris") && !fixed.may_run("iris-2"));
        let open = selector(serde_json::json!({"model": "{key}"}));
        assert!(open.may_run("anything") && !open.may_run("../x"));
        assert!(tenants.is_bounded() && fixed.is_bounded() && !open.is_bounded());
    }

    #[test]
    fn every_wrong_property_is_told_with_what_to_write() {
        let all_wrong = serde_json::json!({"model": "churn-{id}", "version": 0, "allow": ["[", ""], "fallback": "a/b"});
        assert_eq!(
            sentences(all_wrong),
            [
                "`model` is `churn-{id}`: there is no place `{id}`; there are `{request.model}`, `{key}`, `{header.NAME}` \
                 and `{parameter.NAME}`",
                "`version` is `0`: write `latest`, a number from 1 up, a label such as `stable`, or \"{request.version}\"",
                "`allow`: `[` is no glob: unclosed character class; missing ']'",
                "`allow`: an empty glob matches nothing: remove it",
                &format!("`fallback` is `a/b`: {MODEL_NAME_RULE}"),
            ]
        );
        let idle = sentences(serde_json::json!({"model": "iris", "allow": ["a"], "fallback": "b"}));
        assert!(idle[0].contains("remove `fallback`") && idle[1].contains("remove `allow`"), "{idle:?}");
        assert!(sentences(serde_json::json!({"model": "../iris"}))[0].contains("one folder of the repository"));
    }
}
