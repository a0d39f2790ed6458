//! `pipeline.yaml`: what is computed, from the request topics through the steps to the result topic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    headers::HeaderNames,
    problem::{KeyPath, Problem},
    units::HumanDuration,
};
use crate::{
    request::allowed::{TOPIC_NAME_RULE, glob_set, is_topic_name},
    steps::{StepConfig, predict},
};

/// What is computed: requests of some topics go through steps, answers go to another topic.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// The pipeline's name in logs and metrics; unique among the pipelines of a worker.
    pub name: String,
    /// Where requests come from and how they are read.
    pub input: InputConfig,
    /// Where answers go and what they carry.
    pub output: OutputConfig,
    /// What happens to requests, in this order; each entry is one step by its name.
    pub steps: Vec<StepConfig>,
    /// The time budget of a request that brings none, from its record's timestamp on.
    #[serde(default = "half_a_minute")]
    pub timeout: HumanDuration,
}

fn half_a_minute() -> HumanDuration {
    HumanDuration::from_secs(30)
}

/// Where requests come from and how they are read.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// The request topics. A topic belongs to one pipeline.
    pub topics: Vec<String>,
    /// How a record without a `content-type` header is read.
    #[serde(default)]
    pub codec: Codec,
    /// The names of the headers that say something about a request, in any case of letters.
    #[serde(default)]
    pub headers: HeaderNames,
}

/// A format of request bodies.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// The Open Inference Protocol v2, or rows.
    #[default]
    Json,
    /// The whole body is the pipeline's one input, of `BYTES`: an image, a text.
    Raw,
    /// The Open Inference Protocol v2 as protobuf: `inference.ModelInferRequest`. Or messages in Confluent's wire format, which begin
    /// with a zero byte, and whose schemas are in `schema_registry` of the server file: each field is a column.
    Protobuf,
    /// CSV: a header line that names the columns, and a row a line.
    Csv,
    /// Avro records in Confluent's wire format, whose schemas are in `schema_registry` of the server file: each field is a column.
    /// The type of the schema decides: protobuf messages are read, too.
    Avro,
}

/// Where answers go and what they carry.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// The result topic: one answer for each request, success or error, keyed by the request's id.
    pub topic: String,
    /// Where records that cannot be decoded, and requests that killed the worker, are kept byte for byte, besides their
    /// answer. `null`: they are only answered.
    #[serde(default)]
    pub dead_letter_topic: Option<String>,
    /// Globs of the topics on which requests may ask for their answers (`input.headers.reply_topic`); such an answer goes there
    /// and not to `topic`. A request that asks for another one is answered with `INVALID_REQUEST` on `topic`. The worker must
    /// be allowed to describe and write all that the globs match.
    #[serde(default)]
    pub reply_topics: Vec<String>,
    /// Which answers carry headers.
    #[serde(default)]
    pub headers: HeaderPolicy,
    /// In which order answers are published, and which of them share a partition of the result topic.
    #[serde(default)]
    pub ordering: Ordering,
    /// Answers to requests whose schema is in a registry are Avro records. `null`: they are rows in JSON.
    #[serde(default)]
    pub avro: Option<AvroAnswers>,
}

/// Where the schema of answers in Avro stands.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AvroAnswers {
    /// The subject of the schema, by custom the result topic's name and `-value`.
    pub subject: String,
    /// Whether the worker registers the schema, which it makes from the outputs of the model: when it starts, if they are known
    /// then. `false`: it looks it up, and somebody else registers it.
    #[serde(default)]
    pub register: bool,
}

/// In which order answers are published. An order costs a wait for slower neighbours, and no batching.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// As they are ready; each goes to the partition of its own key, the request's id.
    #[default]
    None,
    /// Answers to requests with the same key in the order of the requests, in one partition: that of the request's key.
    Key,
    /// Answers in the order of their request partition, in one partition: the one of the same number, modulo the partitions
    /// of the result topic.
    Partition,
}

/// Which answers carry headers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum HeaderPolicy {
    /// Answers to requests that had headers, and errors.
    #[default]
    Auto,
    /// Every answer.
    Always,
    /// No answer; one on a reply topic still carries its correlation id.
    Never,
}

impl PipelineConfig {
    /// The defaults around what has none: one request topic, one result topic, and steps.
    pub fn new(
        name: impl Into<String>,
        requests: impl Into<String>,
        results: impl Into<String>,
        steps: Vec<StepConfig>,
    ) -> Self {
        let input =
            InputConfig { topics: vec![requests.into()], codec: Codec::default(), headers: HeaderNames::default() };
        let output = OutputConfig {
            topic: results.into(),
            dead_letter_topic: None,
            reply_topics: Vec::new(),
            headers: HeaderPolicy::default(),
            ordering: Ordering::default(),
            avro: None,
        };
        Self { name: name.into(), input, output, steps, timeout: half_a_minute() }
    }

    /// The `predict` steps with their places in `steps`.
    pub fn predicts(&self) -> impl Iterator<Item = (usize, &predict::Config)> {
        self.steps.iter().enumerate().filter_map(|(index, step)| match step {
            StepConfig::Predict(config) => Some((index, config)),
            _ => None,
        })
    }

    /// Every rule that the types alone cannot hold.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !is_topic_name(&self.name) {
            let sentence =
                format!("`{}` is no pipeline name: use letters, digits, `.`, `_` and `-`", self.name.escape_debug());
            problems.push(Problem::new("name", sentence));
        }
        problems.extend(self.input.problems());
        problems.extend(self.output.problems());
        problems.extend(self.loop_problems());
        problems.extend(self.step_problems());
        if self.timeout.is_zero() {
            problems.push(Problem::new("timeout", "must be longer than 0, or every request would be late"));
        }
        problems
    }

    /// A pipeline that reads what it writes would answer its own answers for ever.
    fn loop_problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("output");
        let mut problems = Vec::new();
        for (key, topic) in
            [("topic", Some(&self.output.topic)), ("dead_letter_topic", self.output.dead_letter_topic.as_ref())]
        {
            if let Some(topic) = topic.filter(|topic| self.input.topics.contains(topic)) {
                let sentence =
                    format!("`{topic}` is also among `input.topics`: the pipeline would read what it writes, for ever");
                problems.push(Problem::new(at.key(key), sentence));
            }
        }
        problems
    }

    fn step_problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("steps");
        let mut problems = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let path = at.index(index).key(&step_name(step));
            problems.extend(step.problems().into_iter().map(|sentence| Problem::new(path.clone(), sentence)));
        }
        if self.predicts().next().is_none() {
            problems
                .push(Problem::new(at, "has no `predict`: add `- predict: {model: NAME}` where the model is to run"));
        }
        problems
    }
}

/// The name under which a step stands in a file: `predict`.
pub fn step_name(step: &StepConfig) -> String {
    match serde_json::to_value(step) {
        Ok(serde_json::Value::Object(entries)) => entries.keys().next().cloned().unwrap_or_default(),
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

impl InputConfig {
    fn problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("input");
        let mut problems = self.headers.problems(&at.key("headers"));
        if self.topics.is_empty() {
            problems.push(Problem::new(at.key("topics"), "lists no topic: name at least one to read requests from"));
        }
        for (index, topic) in self.topics.iter().enumerate() {
            let path = at.key("topics").index(index);
            problems.extend(topic_problem(topic, &path));
            if self.topics[..index].contains(topic) {
                problems.push(Problem::new(path, format!("`{topic}` is listed twice")));
            }
        }
        problems
    }
}

impl OutputConfig {
    fn problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("output");
        let mut problems = Vec::new();
        problems.extend(topic_problem(&self.topic, &at.key("topic")));
        if let Some(topic) = &self.dead_letter_topic {
            let path = at.key("dead_letter_topic");
            problems.extend(topic_problem(topic, &path));
            if *topic == self.topic {
                let sentence = "is also `output.topic`: records that cannot be decoded need a topic of their own";
                problems.push(Problem::new(path, sentence));
            }
        }
        if self.avro.as_ref().is_some_and(|avro| avro.subject.is_empty()) {
            let sentence = "is empty: name the subject, by custom the result topic's name and `-value`";
            problems.push(Problem::new(at.key("avro").key("subject"), sentence));
        }
        if let Err(sentences) = glob_set(&self.reply_topics) {
            let path = at.key("reply_topics");
            problems.extend(sentences.into_iter().map(|sentence| Problem::new(path.clone(), sentence)));
        }
        problems
    }
}

pub(super) fn topic_problem(topic: &str, path: &KeyPath) -> Option<Problem> {
    (!is_topic_name(topic)).then(|| {
        let sentence = format!("`{}` is no topic name: {TOPIC_NAME_RULE}", topic.escape_debug());
        Problem::new(path.clone(), sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_by_the_name_that_it_has_in_a_file() {
        let step: StepConfig = serde_json::from_str(r#"{"predict": {"model": "iris"}}"#).unwrap();
        assert_eq!(step_name(&step), "predict");
    }
}
