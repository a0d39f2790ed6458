//! The `models:` part of `server.yaml`: where models come from and which versions are in service.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    pipeline::topic_problem,
    problem::{KeyPath, Problem},
    units::{HumanDuration, HumanSize},
};
use crate::{
    request::{MODEL_NAME_RULE, VERSION_LABEL_RULE, is_model_name, is_version_label},
    store::{S3Config, S3Store},
    tensor::Name,
};

/// Where models come from and which versions are in service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
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
    /// Which versions of a model are in service: `{latest: n}`, `all`, `{specific: [1, 3]}` or `{labels: [stable, canary]}`.
    #[serde(default)]
    pub versions: VersionPolicy,
    /// Whether a new version may take other inputs than the one in service, or lack outputs of it.
    #[serde(default)]
    pub signature: SignatureRule,
    /// What differs for single models, by name.
    #[serde(default)]
    pub per_model: BTreeMap<String, ModelOverrides>,
    /// How often the repository is looked at for new, changed and removed versions.
    #[serde(default = "ten_seconds")]
    pub poll_interval: HumanDuration,
    /// Where the versions of a repository on S3 are kept on this machine's disk; a folder's are served where they lie.
    #[serde(default)]
    pub cache: CacheConfig,
    /// How much memory models may take.
    #[serde(default)]
    pub memory: MemoryConfig,
    /// The topic to which every change of a version's state is written, keyed by model. `null`: none.
    #[serde(default)]
    pub events_topic: Option<String>,
    /// The topic to which the object store publishes its event notifications: each about the repository hastens the next look.
    /// `null`: none; looks come every `poll_interval` all the same.
    #[serde(default)]
    pub notifications_topic: Option<String>,
}

fn ten_seconds() -> HumanDuration {
    HumanDuration::from_secs(10)
}

/// Where the versions of a repository on S3 are kept on this machine's disk.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// The folder; several workers of one machine may share it.
    pub directory: PathBuf,
    /// How much may lie there: above it, versions that no worker of this machine serves are removed, the one used longest ago
    /// first. What is served is never removed, even where it takes more.
    pub max_size: HumanSize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { directory: "/var/cache/modelmill".into(), max_size: HumanSize::from_mib(20 << 10) }
    }
}

/// How much memory models may take.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// What all models may take together: above it, those used longest ago leave memory, and come back when somebody asks for
    /// them. `null`: no bound.
    pub budget: Option<HumanSize>,
    /// A model that nobody has used for so long leaves memory, and comes back when somebody asks for it. `null`: it stays.
    pub idle_timeout: Option<HumanDuration>,
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
    /// The versions that these labels of the model's `labels.yaml` name.
    Labels(Vec<String>),
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
            poll_interval: ten_seconds(),
            cache: CacheConfig::default(),
            memory: MemoryConfig::default(),
            events_topic: None,
            notifications_topic: None,
        }
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
        if self.poll_interval.is_zero() {
            let sentence = "must be longer than 0, or the repository would be looked at without a pause";
            problems.push(Problem::new(at.key("poll_interval"), sentence));
        }
        problems.extend(self.topic_problems(&at));
        let memory = at.key("memory");
        if self.memory.budget.is_some_and(|budget| budget.bytes() == 0) {
            problems.push(Problem::new(memory.key("budget"), "must be more than 0, or no model could be loaded"));
        }
        if self.memory.idle_timeout.is_some_and(|timeout| timeout.is_zero()) {
            problems.push(Problem::new(
                memory.key("idle_timeout"),
                "must be longer than 0, or every model would leave at once",
            ));
        }
        if self.cache.directory.as_os_str().is_empty() {
            problems.push(Problem::new(at.key("cache").key("directory"), "is empty: write a folder"));
        }
        problems
    }

    fn topic_problems(&self, at: &KeyPath) -> Vec<Problem> {
        let topics = [("events_topic", &self.events_topic), ("notifications_topic", &self.notifications_topic)];
        let wrong = |(key, topic): &(&'static str, &Option<String>)| topic_problem(topic.as_ref()?, &at.key(key));
        let mut problems: Vec<_> = topics.iter().filter_map(wrong).collect();
        if self.events_topic.is_some() && self.events_topic == self.notifications_topic {
            let sentence = "is also models.events_topic: what the worker itself writes tells nothing of the repository; \
                            name the topic to which the object store publishes";
            problems.push(Problem::new(at.key("notifications_topic"), sentence));
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
        match self {
            Self::Specific(numbers) => specific_problem(numbers, path.key("specific")),
            Self::Labels(labels) => labels_problem(labels, path.key("labels")),
            Self::Latest(_) | Self::All => None,
        }
    }
}

fn specific_problem(numbers: &[NonZeroU64], path: KeyPath) -> Option<Problem> {
    if numbers.is_empty() {
        return Some(Problem::new(path, "lists no version: write numbers, or `versions: all`"));
    }
    let (index, number) = twice(numbers)?;
    Some(Problem::new(path.index(index), format!("version {number} is listed twice")))
}

fn labels_problem(labels: &[String], path: KeyPath) -> Option<Problem> {
    if labels.is_empty() {
        return Some(Problem::new(path, "lists no label: write labels of `labels.yaml`, or `versions: all`"));
    }
    if let Some(index) = labels.iter().position(|label| !is_version_label(label)) {
        let sentence = format!("`{}` is no label: {VERSION_LABEL_RULE}", labels[index].escape_debug());
        return Some(Problem::new(path.index(index), sentence));
    }
    let (index, label) = twice(labels)?;
    Some(Problem::new(path.index(index), format!("the label `{label}` is listed twice")))
}

/// The first entry that stands further up already.
fn twice<T: PartialEq>(entries: &[T]) -> Option<(usize, &T)> {
    entries.iter().enumerate().find(|(index, entry)| entries[..*index].contains(entry))
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
    fn a_list_of_labels_holds_labels_each_once() {
        let sentence = |labels: &[&str]| {
            let versions = VersionPolicy::Labels(labels.iter().map(ToString::to_string).collect());
            let problems = ModelsConfig { versions, ..ModelsConfig::new("models") }.problems();
            problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.sentence)).collect::<Vec<_>>()
        };
        assert_eq!(sentence(&["stable", "canary"]), [""; 0]);
        assert_eq!(
            sentence(&["a", "latest"]),
            [format!("models.versions.labels[1]: `latest` is no label: {VERSION_LABEL_RULE}")]
        );
        assert_eq!(sentence(&["a", "b", "a"]), ["models.versions.labels[2]: the label `a` is listed twice"]);
        assert!(sentence(&[])[0].contains("lists no label"));
    }

    #[test]
    fn notifications_come_from_another_topic_than_the_workers_own_events() {
        let sentences = |events: &str, notifications: &str| {
            let [events_topic, notifications_topic] = [events, notifications].map(|topic| Some(topic.to_owned()));
            let problems = ModelsConfig { events_topic, notifications_topic, ..ModelsConfig::new("models") }.problems();
            problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.sentence)).collect::<Vec<_>>()
        };
        assert_eq!(sentences("models.events", "bucket.events"), [""; 0]);
        assert!(sentences("a", "a")[0].starts_with("models.notifications_topic: is also models.events_topic"));
        assert!(sentences("a", "b c")[0].starts_with("models.notifications_topic: `b c` is no topic name"));
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
