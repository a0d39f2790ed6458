//! What travels between decode and encode: requests that share a model and a signature, as one group of columns.
//!
//! A [`Group`] holds the columns of all its requests; a [`Request`] remembers which rows are its own, which message it
//! came in and whether it failed on the way. A group of one request may have any shapes; in a group of several, the first
//! axis of every column counts the rows of all of them.

use std::{ops::Range, sync::Arc};

use crate::{
    error::RequestError,
    tensor::{Column, Columns, Name},
};
use event::Event;

pub mod allowed;
pub mod event;

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

/// Requests of one chunk that go the same way with the same signature.
#[derive(Debug)]
pub struct Group {
    /// Where it goes.
    pub route: Arc<Route>,
    /// The data of all its requests.
    pub columns: Columns,
    /// Its requests in the order of their rows.
    pub requests: Vec<Request>,
}

impl Group {
    /// The number of rows of all requests together.
    pub fn rows(&self) -> usize {
        self.requests.last().map_or(0, |request| request.rows.end)
    }

    /// Whether the group is one request, whose tensors may have any shape.
    pub fn is_single(&self) -> bool {
        self.requests.len() == 1
    }

    /// Fails the request that owns `row`.
    pub fn fail_row(&mut self, row: usize, error: RequestError) {
        let index = if self.is_single() { 0 } else { self.requests.partition_point(|request| request.rows.end <= row) };
        if let Some(request) = self.requests.get_mut(index) {
            request.failure.get_or_insert(error);
        }
    }

    /// Fails every request that has not failed yet.
    pub fn fail_all(&mut self, error: &RequestError) {
        for request in &mut self.requests {
            request.failure.get_or_insert_with(|| error.clone());
        }
    }

    /// Whether no request is left that could be answered with a result.
    pub fn is_lost(&self) -> bool {
        self.requests.iter().all(|request| request.failure.is_some())
    }

    /// Takes the failed requests out, as a group without columns that only waits for its answers, so that no more work is
    /// spent on their rows. `None` if nothing failed.
    pub fn split_failed(&mut self) -> Option<Self> {
        if self.requests.iter().all(|request| request.failure.is_none()) {
            return None;
        }
        let (failed, live): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.requests).into_iter().partition(|request| request.failure.is_some());
        if !live.is_empty() {
            self.columns = rows_of(&live, &self.columns);
        }
        self.requests = renumbered(live);
        Some(Self { route: Arc::clone(&self.route), columns: Columns::default(), requests: failed })
    }

    /// Takes requests out, with their rows, as a group of their own. `None` if none of them leaves; a group that all leave
    /// stays behind empty.
    pub fn part(&mut self, leaves: impl Fn(&Request) -> bool) -> Option<Self> {
        let count = self.requests.iter().filter(|request| leaves(request)).count();
        if count == 0 {
            return None;
        }
        let route = Arc::clone(&self.route);
        if count == self.requests.len() {
            let (columns, requests) = (std::mem::take(&mut self.columns), std::mem::take(&mut self.requests));
            return Some(Self { route, columns, requests });
        }
        let (left, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.requests).into_iter().partition(leaves);
        let columns = rows_of(&left, &self.columns);
        self.columns = rows_of(&kept, &self.columns);
        self.requests = renumbered(kept);
        Some(Self { route, columns, requests: renumbered(left) })
    }

    /// Each request as a group of its own, whose columns may then take any shape.
    pub fn split(self) -> Vec<Self> {
        if self.is_single() {
            return vec![self];
        }
        let Self { route, columns, requests } = self;
        let single = |mut request: Request| {
            let rows = request.rows.clone();
            let slice =
                |column: &Column| Column { tensor: Arc::new(column.tensor.slice(rows.clone())), ..column.clone() };
            let columns = columns.iter().map(slice).collect();
            request.rows = 0..rows.len();
            Self { route: Arc::clone(&route), columns, requests: vec![request] }
        };
        requests.into_iter().map(single).collect()
    }
}

/// The rows of some of a group's requests, one after another.
fn rows_of(requests: &[Request], columns: &Columns) -> Columns {
    let rows: Vec<_> = requests.iter().map(|request| request.rows.clone()).collect();
    let gathered = |column: &Column| Column { tensor: Arc::new(column.tensor.gather(&rows)), ..column.clone() };
    columns.iter().map(gathered).collect()
}

/// The requests with their rows counted from 0.
fn renumbered(mut requests: Vec<Request>) -> Vec<Request> {
    let mut end = 0;
    for request in &mut requests {
        let rows = request.rows.len();
        request.rows = end..end + rows;
        end += rows;
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::ErrorCode,
        tensor::{Elements, Tensor},
    };

    fn request(message: usize, rows: Range<usize>, ids: &mut Ids) -> Request {
        Request {
            message,
            id: ids.push("r"),
            rows,
            form: Form::Tensors,
            deadline: Request::NO_DEADLINE,
            has_headers: false,
            options: None,
            failure: None,
        }
    }

    /// Four rows of two numbers from 0 to 7, of three requests; the one in the middle owns two.
    fn group() -> Group {
        let mut ids = Ids::default();
        let tensor = Tensor::matrix(2, Elements::Int64((0..8).collect()));
        Group {
            route: Arc::new(Route { pipeline: 0, models: vec![] }),
            columns: [Column::new("x", tensor)].into_iter().collect(),
            requests: vec![request(0, 0..1, &mut ids), request(1, 1..3, &mut ids), request(2, 3..4, &mut ids)],
        }
    }

    #[test]
    fn a_row_fails_the_request_that_owns_it() {
        let mut ids = Ids::default();
        let requests = vec![request(0, 0..2, &mut ids), request(1, 2..2, &mut ids), request(2, 2..5, &mut ids)];
        let mut group =
            Group { route: Arc::new(Route { pipeline: 0, models: vec![] }), columns: Columns::default(), requests };
        group.fail_row(2, RequestError::new(ErrorCode::PreprocessFailed, "row 2"));
        let failed: Vec<_> = group.requests.iter().map(|request| request.failure.is_some()).collect();
        assert_eq!(failed, [false, false, true]);
        assert!(!group.is_lost());
    }

    #[test]
    fn failed_requests_leave_with_their_rows() {
        let mut group = group();
        assert!(group.split_failed().is_none());
        group.fail_row(2, RequestError::new(ErrorCode::PreprocessFailed, "row 2"));
        let failed = group.split_failed().unwrap();
        assert_eq!(failed.requests.iter().map(|request| request.message).collect::<Vec<_>>(), [1]);
        assert_eq!(group.columns.find("x").unwrap().tensor.elements(), &Elements::Int64(vec![0, 1, 6, 7]));
        let singles = group.split();
        assert_eq!(singles[1].columns.find("x").unwrap().tensor.elements(), &Elements::Int64(vec![6, 7]));
        assert_eq!(singles[1].requests[0].rows, 0..1);
    }

    #[test]
    fn requests_part_with_their_rows() {
        let mut group = group();
        let read = |group: &Group| {
            let messages: Vec<_> =
                group.requests.iter().map(|request| (request.message, request.rows.clone())).collect();
            (messages, group.columns.find("x").unwrap().tensor.elements().clone())
        };
        assert!(group.part(|_| false).is_none());
        let left = group.part(|request| request.message != 1).unwrap();
        assert_eq!(read(&left), (vec![(0, 0..1), (2, 1..2)], Elements::Int64(vec![0, 1, 6, 7])));
        assert_eq!(read(&group), (vec![(1, 0..2)], Elements::Int64(vec![2, 3, 4, 5])));
        let all = group.part(|_| true).unwrap();
        assert_eq!(read(&all), (vec![(1, 0..2)], Elements::Int64(vec![2, 3, 4, 5])));
        assert!(group.requests.is_empty());
    }

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
