//! What travels between decode and encode: requests that share a model and a signature, as one group of columns.
//!
//! A [`Group`] holds the columns of all its requests; a [`Request`] remembers which rows are its own, which message it
//! came in and whether it failed on the way.

use std::{ops::Range, sync::Arc};

use crate::{error::RequestError, tensor::Name};
use event::Event;
pub use group::Group;

pub mod allowed;
pub mod event;
mod group;

/// The name of a column that its request did not name (row form of bare arrays, numbers or strings): the pipeline knows the
/// one name that it can have.
pub const UNNAMED: &str = "";

/// The ids of a chunk's requests, one after another in one buffer.
#[derive(Debug, Default)]
pub struct Ids(String);

/// Where an id stands in [`Ids`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    start: u32,
    end: u32,
}

impl Ids {
    /// Keeps an id.
    pub fn push(&mut self, id: &str) -> RequestId {
        let start = self.0.len();
        self.0.push_str(id);
        self.since(start)
    }

    /// Keeps an id that is written piece by piece.
    pub fn push_fmt(&mut self, id: std::fmt::Arguments<'_>) -> RequestId {
        use std::fmt::Write;
        let start = self.0.len();
        self.0.write_fmt(id).expect("a string takes everything");
        self.since(start)
    }

    /// The id as text; never empty.
    pub fn text(&self, id: RequestId) -> &str {
        &self.0[id.start as usize..id.end as usize]
    }

    fn since(&self, start: usize) -> RequestId {
        let position = |at: usize| u32::try_from(at).expect("a chunk is bounded far below 4 GiB");
        RequestId { start: position(start), end: position(self.0.len()) }
    }
}

/// The form of an answer: that in which its request came, unless the request asks for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Open Inference Protocol v2: named tensors.
    Tensors,
    /// `instances` in, `predictions` out.
    Rows,
    /// Named tensors, the data of those outputs that [`Options::is_binary`] names as bytes behind the JSON.
    Binary,
    /// Named tensors in protobuf, the data of all of them as bytes.
    Protobuf,
    /// One Avro record, behind the id of its schema; as [`Self::Rows`] where the pipeline names no schema for it. So is answered
    /// whatever has its schema in a registry.
    Avro,
}

/// An output that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedOutput {
    /// Its name.
    pub name: Name,
    /// Whether its data stand as bytes behind the JSON (`binary_data`); `None`: as [`Options::binary`] says.
    pub binary: Option<bool>,
}

/// What few requests say: kept apart, so that the others do not pay for it.
#[derive(Debug, Default)]
pub struct Options {
    /// The outputs that the request asks for, in its order; all of them if it names none.
    pub outputs: Option<Vec<AskedOutput>>,
    /// Whether outputs that say nothing themselves are binary (`binary_data_output`).
    pub binary: bool,
    /// The request's parameters as it wrote them (a JSON object), for the answer.
    pub parameters: Option<Box<str>>,
    /// The same of a request in protobuf: the fields as it wrote them, tags and all.
    pub parameter_fields: Option<Box<[u8]>>,
    /// The CloudEvent that the request came in; its answer is one, too.
    pub event: Option<Arc<Event>>,
}

impl Options {
    /// Whether the data of an output stand as bytes behind the JSON; `asked` is its entry in [`Self::outputs`], if they are
    /// named at all.
    pub fn is_binary(&self, asked: Option<&AskedOutput>) -> bool {
        asked.and_then(|asked| asked.binary).unwrap_or(self.binary)
    }

    /// The form of the answer to a request that came as `form`.
    pub fn form(&self, form: Form) -> Form {
        let binary = match &self.outputs {
            Some(outputs) => outputs.iter().any(|output| self.is_binary(Some(output))),
            None => self.binary,
        };
        if binary { Form::Binary } else { form }
    }
}

/// One request within its group.
#[derive(Debug)]
pub struct Request {
    /// Index of the message in its chunk.
    pub message: usize,
    /// Its id, in the chunk's [`Ids`].
    pub id: RequestId,
    /// Its rows of every column.
    pub rows: Range<usize>,
    /// How it is answered.
    pub form: Form,
    /// When its time is up: milliseconds since the Unix epoch.
    pub deadline: i64,
    /// Whether its record has any headers: a bare request gets a bare answer.
    pub has_headers: bool,
    /// What only few requests say.
    pub options: Option<Arc<Options>>,
    /// Why it is answered with an error; the first reason stays.
    pub failure: Option<RequestError>,
}

impl Request {
    /// The deadline of a request that waits for ever.
    pub const NO_DEADLINE: i64 = i64::MAX;
}

/// What [`is_model_name`] asks for, for a sentence.
pub const MODEL_NAME_RULE: &str = "a name is one folder of the repository, without `/`, `\\`, `..` or control characters, does not start with `.` and has at most 255 bytes";

/// The longest name in bytes: what file systems take.
const LONGEST_MODEL_NAME: usize = 255;

/// Whether `name` may be a model's: one folder of the repository and nothing outside it. Files and requests are held to the
/// same rule.
pub fn is_model_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_MODEL_NAME
        && !name.starts_with('.')
        && !name.contains("..")
        && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

/// Which version of a model a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VersionChoice {
    /// The highest number in service.
    Latest,
    /// Exactly this one.
    Number(u64),
    /// The one that the model's `labels.yaml` gives this label: `stable`, `canary`.
    Label(Name),
}

/// What [`is_version_label`] asks for, for a sentence.
pub const VERSION_LABEL_RULE: &str =
    "a label begins with a letter, goes on with letters, digits, `-`, `_` or `.`, and is not `latest`";

/// Whether `label` may stand for a version, so that nobody takes it for a number or for `latest`.
pub fn is_version_label(label: &str) -> bool {
    label.starts_with(|c: char| c.is_ascii_alphabetic())
        && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        && label.len() <= LONGEST_LABEL
        && !label.eq_ignore_ascii_case("latest")
}

/// The most bytes of a label: enough for a word, little in a log line.
const LONGEST_LABEL: usize = 64;

impl VersionChoice {
    /// What people write: `latest`, a number from 1 up, or a label; `None` for anything else.
    pub fn of(text: &str) -> Option<Self> {
        match text.parse() {
            _ if text == "latest" => Some(Self::Latest),
            Ok(number @ 1..) => Some(Self::Number(number)),
            _ if is_version_label(text) => Some(Self::Label(text.into())),
            _ => None,
        }
    }
}

/// One model, as a pipeline or a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelChoice {
    /// The model's name in the repository.
    pub name: Name,
    /// Which of its versions.
    pub version: VersionChoice,
    /// The model to take instead if there is none called `name`, in the same version. One that is there and cannot be served,
    /// or lacks the version, is not replaced.
    pub fallback: Option<Name>,
}

/// Where a group goes: a pipeline, and the model of each of its `predict` steps in order.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Index of the pipeline in the worker.
    pub pipeline: usize,
    /// One entry for each `predict`.
    pub models: Vec<ModelChoice>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_name_cannot_leave_the_repository() {
        for right in ["iris", "churn-7", "Größe v2", "a.b", "*"] {
            assert!(is_model_name(right), "{right}");
        }
        for wrong in ["", ".", "..", ".hidden", "a/b", "/etc", "a\\b", "a..b", "a\0", "a\n", &"x".repeat(256)] {
            assert!(!is_model_name(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_version_is_the_latest_a_number_or_a_label() {
        assert_eq!(VersionChoice::of("latest"), Some(VersionChoice::Latest));
        assert_eq!(VersionChoice::of("12"), Some(VersionChoice::Number(12)));
        assert_eq!(VersionChoice::of("canary-2.eu_1"), Some(VersionChoice::Label("canary-2.eu_1".into())));
        let long = "a".repeat(65);
        for wrong in ["", "0", "-1", "1.5", "3a", "Latest", "a b", "ä", "{request.version}", "a/b", &long] {
            assert_eq!(VersionChoice::of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn ids_come_back_as_they_went_in() {
        let mut ids = Ids::default();
        let first = ids.push("a-1");
        let second = ids.push_fmt(format_args!("{}-{}-{}", "topic", 3, 42));
        assert_eq!((ids.text(first), ids.text(second)), ("a-1", "topic-3-42"));
    }
}
