//! The two fates of an error, and the closed set of codes that callers see.
//!
//! A [`RequestError`] belongs to one request: it is answered, then acknowledged, and nothing else notices. A
//! [`WorkerError`] belongs to the process: nothing that was in flight is acknowledged, and the worker stops. A model that
//! cannot be loaded is neither; it is a state of the model (see [`crate::model`]).

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

/// What went wrong with one request; used in answers and as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Wrong without knowing the model; the record also goes to the dead-letter topic.
    InvalidRequest,
    /// Does not fit the model.
    InvalidInput,
    /// No such model or version.
    UnknownModel,
    /// The model is there and cannot be served; or a schema did not come from its registry in time.
    ModelUnavailable,
    /// The time budget was spent before inference.
    DeadlineExceeded,
    /// A step before `predict` refused a row.
    PreprocessFailed,
    /// The model failed on this request, alone.
    InferenceFailed,
    /// A step after `predict` refused a row.
    PostprocessFailed,
    /// The answer is larger than the broker takes.
    ResponseTooLarge,
    /// A fault of modelmill itself.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the contract.
    pub const ALL: [Self; 10] = [
        Self::InvalidRequest,
        Self::InvalidInput,
        Self::UnknownModel,
        Self::ModelUnavailable,
        Self::DeadlineExceeded,
        Self::PreprocessFailed,
        Self::InferenceFailed,
        Self::PostprocessFailed,
        Self::ResponseTooLarge,
        Self::Internal,
    ];

    /// The code as it stands in answers, headers and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::InvalidInput => "INVALID_INPUT",
            Self::UnknownModel => "UNKNOWN_MODEL",
            Self::ModelUnavailable => "MODEL_UNAVAILABLE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::PreprocessFailed => "PREPROCESS_FAILED",
            Self::InferenceFailed => "INFERENCE_FAILED",
            Self::PostprocessFailed => "POSTPROCESS_FAILED",
            Self::ResponseTooLarge => "RESPONSE_TOO_LARGE",
            Self::Internal => "INTERNAL",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one request is answered with an error: a code and a sentence for the caller.
///
/// Cheap to clone, since a fault of a whole group answers each of its requests.
#[derive(Clone, Debug)]
pub struct RequestError {
    code: ErrorCode,
    message: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl RequestError {
    /// An error whose sentence says what was expected and what came.
    pub fn new<'a>(code: ErrorCode, message: impl Into<Cow<'a, str>>) -> Self {
        Self { code, message: Arc::from(message.into().as_ref()), source: None }
    }

    /// The same error with its cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The code for the answer and the metrics.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// Why the worker stops. Nothing in flight is acknowledged; a successor does that work again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WorkerError {
    /// The broker client reports an error that no retry cures.
    #[error("the Kafka client failed for good: {0}")]
    Broker(String),
    /// An answer could not be published within the client's delivery time-out.
    #[error("{lost} answers could not be published to `{topic}`: {reason}")]
    Undelivered {
        /// How many answers the broker did not acknowledge.
        lost: usize,
        /// Where they were to go.
        topic: String,
        /// What the client says.
        reason: String,
    },
    /// A transaction could not be brought to its end, one way or the other.
    #[error("could not {call}: {reason}; answers that were not committed are given again by whoever takes over")]
    Transaction {
        /// What was tried.
        call: &'static str,
        /// What the client says.
        reason: String,
    },
    /// Another producer has taken this one's place, or its transaction took too long.
    #[error(
        "another worker has taken this one's place, or it stood still for longer than its transactions may last ({0}); \
         what it had not committed is answered by others"
    )]
    Fenced(String),
    /// A part of the worker is gone although nobody asked it to stop.
    #[error("{0} ended unexpectedly")]
    PartEnded(&'static str),
}

/// An error and its causes on one line; what a cause says again is said once.
pub fn chain(error: &dyn Error) -> String {
    let mut told = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = one_line(&error.to_string());
        if !told.contains(&said) {
            told += if told.is_empty() { "" } else { ": " };
            told += &said;
        }
        next = error.source();
    }
    told
}

/// A text without line breaks.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_capitals() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
