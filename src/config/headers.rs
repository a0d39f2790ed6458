//! The names of the request headers that say something: `input.headers` of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::{KeyPath, Problem};

/// The headers that say something about a request. Names are compared without regard to case; of several names the first
/// one present counts; an empty list turns the header off.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderNames {
    /// The request's id, where its body has none.
    pub request_id: Vec<String>,
    /// The model that the request asks for.
    pub model_name: Vec<String>,
    /// The version of the model that the request asks for.
    pub model_version: Vec<String>,
    /// The time budget in milliseconds, from the record's timestamp on.
    pub timeout: Vec<String>,
    /// The topic that the answer goes to, if `output.reply_topics` allows it.
    pub reply_topic: Vec<String>,
    /// The partition that the answer goes to: 4 bytes, big-endian.
    pub reply_partition: Vec<String>,
    /// What comes back in the answer byte for byte.
    pub correlation_id: Vec<String>,
}

impl Default for HeaderNames {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            request_id: names(&["x-request-id"]),
            model_name: names(&["model-name"]),
            model_version: names(&["model-version"]),
            timeout: names(&["timeout-ms"]),
            reply_topic: names(&["kafka_replyTopic", "reply-to"]),
            reply_partition: names(&["kafka_replyPartition"]),
            correlation_id: names(&["kafka_correlationId", "correlation-id"]),
        }
    }
}

impl HeaderNames {
    pub(super) fn problems(&self, at: &KeyPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut taken: Vec<(String, &str)> = Vec::new();
        for (key, names) in self.lists() {
            for (index, name) in names.iter().enumerate() {
                let path = at.key(key).index(index);
                let folded = name.to_lowercase();
                if name.trim().is_empty() {
                    problems
                        .push(Problem::new(path, "is empty: name a header, or leave the list empty to turn it off"));
                } else if let Some((_, other)) = taken.iter().find(|(taken, _)| *taken == folded) {
                    problems.push(Problem::new(path, format!("header `{name}` already stands for `{other}`")));
                } else {
                    taken.push((folded, key));
                }
            }
        }
        problems
    }

    fn lists(&self) -> [(&'static str, &[String]); 7] {
        [
            ("request_id", &self.request_id),
            ("model_name", &self.model_name),
            ("model_version", &self.model_version),
            ("timeout", &self.timeout),
            ("reply_topic", &self.reply_topic),
            ("reply_partition", &self.reply_partition),
            ("correlation_id", &self.correlation_id),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_stands_for_one_thing() {
        let names = HeaderNames { timeout: vec!["Model-Name".to_owned(), String::new()], ..HeaderNames::default() };
        let problems = names.problems(&KeyPath::from("input.headers"));
        assert_eq!(problems[0].path.to_string(), "input.headers.timeout[0]");
        assert_eq!(problems[0].sentence, "header `Model-Name` already stands for `model_name`");
        assert_eq!(problems[1].path.to_string(), "input.headers.timeout[1]");
        assert_eq!(problems.len(), 2);
        assert_eq!(HeaderNames::default().problems(&KeyPath::root()), []);
    }
}
