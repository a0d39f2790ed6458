//! The names of the request headers that say something: `input.headers` of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::{KeyPath, Problem};

/// The headers that say something about a request. Names are compared without regard to case.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderNames {
    /// The header with the request's id, where its body has none.
    pub request_id: String,
    /// The header with the model that the request asks for.
    pub model_name: String,
    /// The header with the version of the model that the request asks for.
    pub model_version: String,
    /// The header with the time budget in milliseconds, from the record's timestamp on.
    pub timeout: String,
    /// Headers that ask for the answer on another topic, which `output.reply_topics` must allow. Empty: the headers say
    /// nothing.
    pub reply_topic: Vec<String>,
    /// Headers that ask for a partition of that topic: its number in 4 bytes, the highest first, as Spring writes it.
    pub reply_partition: Vec<String>,
    /// Headers by which the sender knows its answer: they come back byte for byte under the names they came with.
    pub correlation_id: Vec<String>,
}

impl Default for HeaderNames {
    fn default() -> Self {
        Self {
            request_id: "x-request-id".to_owned(),
            model_name: "model-name".to_owned(),
            model_version: "model-version".to_owned(),
            timeout: "timeout-ms".to_owned(),
            reply_topic: vec!["kafka_replyTopic".to_owned(), "reply-to".to_owned()],
            reply_partition: vec!["kafka_replyPartition".to_owned()],
            correlation_id: vec!["kafka_correlationId".to_owned(), "correlation-id".to_owned()],
        }
    }
}

impl HeaderNames {
    pub(super) fn problems(&self, at: &KeyPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut taken: Vec<(String, KeyPath)> = Vec::new();
        for (path, name) in self.names(at) {
            let folded = name.to_lowercase();
            if name.trim().is_empty() {
                problems.push(Problem::new(path, "is empty: name a header, or leave the key out for the default"));
            } else if let Some((_, other)) = taken.iter().find(|(taken, _)| *taken == folded) {
                problems.push(Problem::new(path, format!("header `{name}` already stands for `{other}`")));
            } else {
                taken.push((folded, path));
            }
        }
        problems
    }

    fn names(&self, at: &KeyPath) -> Vec<(KeyPath, &str)> {
        let mut names = vec![
            (at.key("request_id"), self.request_id.as_str()),
            (at.key("model_name"), &self.model_name),
            (at.key("model_version"), &self.model_version),
            (at.key("timeout"), &self.timeout),
        ];
        for (key, several) in [
            ("reply_topic", &self.reply_topic),
            ("reply_partition", &self.reply_partition),
            ("correlation_id", &self.correlation_id),
        ] {
            let at = at.key(key);
            names.extend(several.iter().enumerate().map(|(index, name)| (at.index(index), name.as_str())));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_stands_for_one_thing() {
        let names = HeaderNames {
            timeout: "Model-Name".to_owned(),
            reply_topic: vec![String::new()],
            ..HeaderNames::default()
        };
        let problems = names.problems(&KeyPath::from("headers"));
        assert_eq!(problems[0].path.to_string(), "headers.timeout");
        assert_eq!(problems[0].sentence, "header `Model-Name` already stands for `headers.model_name`");
        assert_eq!(problems[1].path.to_string(), "headers.reply_topic[0]");
        assert_eq!(problems.len(), 2);
        assert_eq!(HeaderNames::default().problems(&KeyPath::root()), []);
    }
}
