//! The `models:` part of `server.yaml`: where models come from and which versions are in service.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::{KeyPath, Problem};
use crate::{
    request::{MODEL_NAME_RULE, is_model_name},
    store::{S3Config, S3Store},
    tensor::Name,
};

/// Where models come from and which versions are in service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-not-built-yet" = ["poll_interval", "cache", "memory"]))]
pub struct ModelsConfig {
    /// Where the models lie, `<repository>/<model>/<version>/model.onnx`: a path (from where the worker is started), `file://…` or
    /// `s3://bucket/prefix`.
    pub repository: String,
    /// How the bucket is reached, for a repository on S3.
    #[serde(default)]
    pub s3: S3Config,
    /// The models to serve; empty: those that the pipelines name; `["*"]`: all of the repository.
    #[serde(default)]
    pub serve: Vec<String>,
    /// Which versions of a model are in service: `{latest: n}`, `all` or `{specific: [1, 3]}`.
    #[serde(default)]
    pub versions: VersionPolicy,
    /// Whether a new version may take other inputs than the one in service, or lack outputs of it.
    #[serde(default)]
    pub signature: SignatureRule,
    /// What differs for single models, by name.
    #[serde(default)]
    pub per_model: BTreeMap<String, ModelOverrides>,
}

/// What differs for one model.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ModelOverrides {
    /// Its versions in service, instead of `models.versions`.
    pub versions: Option<VersionPolicy>,
    /// What its new versions may change, instead of `models.signature`.
    pub signature: Option<SignatureRule>,
}

/// Whether a new version may take other inputs than the one in service, or lack outputs of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SignatureRule {
    /// It may not, since clients would break: such a version is refused.
    #[default]
    Compatible,
    /// It may.
    Any,
}

/// Which versions of a model are in service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum VersionPolicy {
    /// So many versions with the highest numbers.
    Latest(NonZeroU32),
    /// Every version that there is.
    All,
    /// The versions with these numbers.
    Specific(Vec<NonZeroU64>),
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest(NonZeroU32::MIN)
    }
}

/// The models that a server file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// Those that the pipelines name.
    Named,
    /// All that the repository holds.
    All,
    /// Exactly these.
    Only(Vec<Name>),
}

impl ModelsConfig {
    /// The defaults around a repository.
    pub fn new(repository: impl Into<String>) -> Self {
        Self {
            repository: repository.into(),
            s3: S3Config::default(),
            serve: Vec::new(),
            versions: VersionPolicy::default(),
            signature: SignatureRule::default(),
            per_model: BTreeMap::new(),
        }
    }

    /// The repository's folder.
    pub fn folder(&self) -> PathBuf {
        self.repository.strip_prefix("file://").unwrap_or(&self.repository).into()
    }

    /// Which models are to be in service.
    pub fn served(&self) -> Served {
        match self.serve.as_slice() {
            [] => Served::Named,
            [all] if all == "*" => Served::All,
            names => Served::Only(names.iter().map(|name| name.as_str().into()).collect()),
        }
    }

    /// Which versions of `model` are to be in service.
    pub fn versions_of(&self, model: &str) -> &VersionPolicy {
        self.per_model.get(model).and_then(|overrides| overrides.versions.as_ref()).unwrap_or(&self.versions)
    }

    /// What new versions of `model` may change.
    pub fn signature_of(&self, model: &str) -> SignatureRule {
        self.per_model.get(model).and_then(|overrides| overrides.signature).unwrap_or(self.signature)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("models");
        let mut problems = Vec::new();
        problems.extend(self.repository_problem().map(|sentence| Problem::new(at.key("repository"), sentence)));
        problems.extend(
            self.s3.problems().into_iter().map(|(key, sentence)| Problem::new(at.key("s3").key(key), sentence)),
        );
        for (index, name) in self.serve.iter().enumerate() {
            let path = at.key("serve").index(index);
            if name == "*" && self.serve.len() > 1 {
                problems.push(Problem::new(path, "`*` means all models already: write `[\"*\"]` alone"));
            } else if name != "*" && !is_model_name(name) {
                problems.push(Problem::new(path, no_model_name(name)));
            }
        }
        problems.extend(self.versions.problem(at.key("versions")));
        for (name, overrides) in &self.per_model {
            let path = at.key("per_model").key(name);
            problems.extend(model_key_problem(name, &path));
            problems.extend(overrides.versions.as_ref().and_then(|policy| policy.problem(path.key("versions"))));
        }
        problems
    }

    fn repository_problem(&self) -> Option<String> {
        let repository = self.repository.trim();
        match repository.split_once("://") {
            _ if repository.is_empty() => Some("is empty: write the folder that holds the models".to_owned()),
            Some(("file", folder)) if folder.starts_with('/') => None,
            Some(("file", _)) => Some(format!(
                "`{repository}` needs an absolute path after `file://`: write `file:///folder`, or the folder alone"
            )),
            Some(("s3", _)) => S3Store::check(repository).err().map(|error| error.to_string()),
            Some((scheme, _)) => Some(format!(
                "`{scheme}://` is no kind of repository: write a folder, `file://…` or `s3://bucket/prefix`"
            )),
            None => None,
        }
    }
}

impl VersionPolicy {
    fn problem(&self, path: KeyPath) -> Option<Problem> {
        let Self::Specific(numbers) = self else { return None };
        let path = path.key("specific");
        if numbers.is_empty() {
            return Some(Problem::new(path, "lists no version: write numbers, or `versions: all`"));
        }
        let twice = numbers.iter().enumerate().find(|(index, number)| numbers[..*index].contains(number));
        twice.map(|(index, number)| Problem::new(path.index(index), format!("version {number} is listed twice")))
    }
}

/// The sentence for a name that cannot be a model's.
pub(super) fn no_model_name(name: &str) -> String {
    format!("`{}` is no model name: {MODEL_NAME_RULE}", name.escape_debug())
}

/// What is wrong with a key of a `per_model:` map.
pub(super) fn model_key_problem(name: &str, path: &KeyPath) -> Option<Problem> {
    (!is_model_name(name)).then(|| Problem::new(path.clone(), no_model_name(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specific(numbers: &[u64]) -> VersionPolicy {
        VersionPolicy::Specific(numbers.iter().map(|number| NonZeroU64::new(*number).unwrap()).collect())
    }

    #[test]
    fn the_repository_is_a_folder_with_or_without_a_scheme() {
        assert_eq!(ModelsConfig::new("file:///srv/models").folder(), PathBuf::from("/srv/models"));
        assert_eq!(ModelsConfig::new("models").folder(), PathBuf::from("models"));
    }

    #[test]
    fn a_model_may_have_rules_of_its_own() {
        let overrides = ModelOverrides { versions: Some(specific(&[3])), signature: Some(SignatureRule::Any) };
        let per_model = [("iris".to_owned(), overrides), ("spam".to_owned(), ModelOverrides::default())].into();
        let models = ModelsConfig { per_model, ..ModelsConfig::new("models") };
        assert_eq!(models.versions_of("iris"), &specific(&[3]));
        assert_eq!(models.versions_of("spam"), &VersionPolicy::Latest(NonZeroU32::MIN));
        assert_eq!(models.signature_of("iris"), SignatureRule::Any);
        assert_eq!(models.signature_of("spam"), SignatureRule::Compatible);
    }

    #[test]
    fn served_models_are_those_named_or_listed_or_all() {
        let served = |names: &[&str]| {
            let serve = names.iter().map(ToString::to_string).collect();
            ModelsConfig { serve, ..ModelsConfig::new("models") }.served()
        };
        assert_eq!(served(&[]), Served::Named);
        assert_eq!(served(&["*"]), Served::All);
        assert_eq!(served(&["a", "b"]), Served::Only(vec!["a".into(), "b".into()]));
    }
}
