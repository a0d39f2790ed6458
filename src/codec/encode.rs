//! From groups to answers: one record for each request, written into one buffer; for undecodable messages a dead letter, too.
//!
//! Guarantee: every request of a group, and every refused message, gets exactly one answer, keyed by its id.

use std::sync::Arc;

use super::{Refused, json};
use crate::{
    broker::{Answer, AnswerHeaders, Answers, Chunk, Copied, OwnHeaders},
    error::{ErrorCode, RequestError},
    request::{Form, Group, Ids, Request, RequestId},
    tensor::{Column, Name},
};

/// Which answers have headers. Each header costs about as much as a run of a small model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderPolicy {
    /// Where the request had some, or the answer is an error.
    #[default]
    Auto,
    Always,
    Never,
}

/// Where a pipeline's answers go, and how.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The pipeline's name, for dead letters.
    pub pipeline: String,
    /// Index of the result topic among the worker's output topics.
    pub results: usize,
    /// Index of the dead-letter topic, if there is one.
    pub dead_letters: Option<usize>,
    /// Which answers have headers.
    pub headers: HeaderPolicy,
}

/// Which bytes made an answer.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub digest: &'a str,
}

/// Writes the answers of one group after another.
pub struct Encoder<'a> {
    chunk: &'a Chunk,
    topics: &'a [(Name, usize)],
    ids: &'a Ids,
    outlet: &'a Outlet,
    answers: Answers,
}

impl<'a> Encoder<'a> {
    /// What an answer takes in the buffer, roughly: room for all of them is made at once.
    const USUAL_ANSWER: usize = 256;

    /// An encoder for `requests` requests of `chunk` that came to one pipeline.
    pub fn new(
        chunk: &'a Chunk,
        topics: &'a [(Name, usize)],
        ids: &'a Ids,
        outlet: &'a Outlet,
        requests: usize,
    ) -> Self {
        let buffer = Vec::with_capacity(requests * Self::USUAL_ANSWER);
        let answers = Answers { buffer, entries: Vec::with_capacity(requests) };
        Self { chunk, topics, ids, outlet, answers }
    }

    /// The records to publish.
    pub fn finish(self) -> Answers {
        self.answers
    }

    /// Answers every request of a group; `model` is the last one that ran, or would have.
    pub fn group(&mut self, group: &Group, model: Option<Model<'_>>) {
        let mut results = model.map(|model| Results::new(group, model));
        for request in &group.requests {
            match (&request.failure, results.as_mut()) {
                (Some(error), _) => self.error(request.message, request.id, request.has_headers, model, error),
                (None, Some(results)) => self.result(results, request),
                (None, None) => {
                    let error = RequestError::new(ErrorCode::Internal, "no model ran for this request");
                    self.error(request.message, request.id, request.has_headers, None, &error);
                }
            }
        }
    }

    fn result(&mut self, results: &mut Results<'_>, request: &Request) {
        let id = self.ids.text(request.id);
        let key = self.answers.push_bytes(id.as_bytes());
        let start = self.answers.buffer.len();
        results.write(&mut self.answers.buffer, id, request);
        let wants_headers = match self.outlet.headers {
            HeaderPolicy::Auto => request.has_headers,
            HeaderPolicy::Always => true,
            HeaderPolicy::Never => false,
        };
        let headers = wants_headers.then(|| AnswerHeaders {
            copied: if request.has_headers { Copied::Answer } else { Copied::None },
            own: results.headers(),
        });
        let value = Some(start..self.answers.buffer.len());
        let topic = self.outlet.results;
        self.answers.entries.push(Answer { topic, message: request.message, key: Some(key), value, headers });
    }

    /// Answers a message that could not be decoded; an invalid one also becomes a dead letter.
    pub fn refused(&mut self, refused: &Refused) {
        self.error(refused.message, refused.id, refused.has_headers, None, &refused.error);
    }

    /// Answers one request with an error.
    pub fn error(
        &mut self,
        message: usize,
        id: RequestId,
        has_headers: bool,
        model: Option<Model<'_>>,
        error: &RequestError,
    ) {
        let id = self.ids.text(id);
        let key = self.answers.push_bytes(id.as_bytes());
        let start = self.answers.buffer.len();
        json::write_error(&mut self.answers.buffer, id, error);
        let headers = (self.outlet.headers != HeaderPolicy::Never).then(|| AnswerHeaders {
            copied: if has_headers { Copied::Answer } else { Copied::None },
            own: error_headers(error.code(), model),
        });
        let value = Some(start..self.answers.buffer.len());
        let topic = self.outlet.results;
        self.answers.entries.push(Answer { topic, message, key: Some(key), value, headers });
        if error.code() == ErrorCode::InvalidRequest {
            self.dead_letter(message, error);
        }
    }

    /// The message, byte for byte, with its origin in headers.
    fn dead_letter(&mut self, index: usize, error: &RequestError) {
        let Some(topic) = self.outlet.dead_letters else { return };
        let message = self.chunk.message(index);
        let key = message.key.map(|key| self.answers.push_bytes(key));
        let value = message.payload.map(|payload| self.answers.push_bytes(payload));
        let own = [
            ("dead-letter-pipeline", self.outlet.pipeline.clone()),
            ("dead-letter-topic", self.topics[message.topic].0.to_string()),
            ("dead-letter-partition", message.partition.to_string()),
            ("dead-letter-offset", message.offset.to_string()),
            ("dead-letter-timestamp", message.timestamp.to_string()),
            ("dead-letter-code", error.code().to_string()),
            ("dead-letter-reason", error.message().to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        let headers = Some(AnswerHeaders { copied: Copied::All, own });
        self.answers.entries.push(Answer { topic, message: index, key, value, headers });
    }
}

/// What the results of a group have in common, made when the first of them needs it.
struct Results<'a> {
    columns: Vec<&'a Column>,
    /// Whether requests have their own rows of the columns, or the one request has them whole.
    single: bool,
    model: Model<'a>,
    tensors: Option<json::Writer<'a>>,
    rows: Option<json::Writer<'a>>,
    headers: Option<OwnHeaders>,
}

impl<'a> Results<'a> {
    fn new(group: &'a Group, model: Model<'a>) -> Self {
        let columns = group.columns.iter().filter(|column| column.answer).collect();
        Self { columns, single: group.is_single(), model, tensors: None, rows: None, headers: None }
    }

    fn write(&mut self, out: &mut Vec<u8>, id: &str, request: &Request) {
        let options = request.options.as_deref();
        let parameters = options.and_then(|options| options.parameters.as_deref());
        let rows = (!self.single).then(|| request.rows.clone());
        let Model { name, version, .. } = self.model;
        if let Some(names) = options.and_then(|options| options.outputs.as_ref()) {
            let find = |name: &Name| self.columns.iter().find(|column| column.name == *name).copied();
            let asked = names.iter().filter_map(find);
            return json::Writer::new(name, version, asked, request.form).write(out, id, parameters, rows);
        }
        let slot = match request.form {
            Form::Tensors => &mut self.tensors,
            Form::Rows => &mut self.rows,
        };
        let writer =
            slot.get_or_insert_with(|| json::Writer::new(name, version, self.columns.iter().copied(), request.form));
        writer.write(out, id, parameters, rows);
    }

    fn headers(&mut self) -> OwnHeaders {
        Arc::clone(self.headers.get_or_insert_with(|| result_headers(self.model)))
    }
}

fn result_headers(model: Model<'_>) -> OwnHeaders {
    Arc::new([
        ("content-type", b"application/json".to_vec()),
        ("status", b"OK".to_vec()),
        ("model-name", model.name.as_bytes().to_vec()),
        ("model-version", model.version.as_bytes().to_vec()),
        ("model-digest", model.digest.as_bytes().to_vec()),
    ])
}

fn error_headers(code: ErrorCode, model: Option<Model<'_>>) -> OwnHeaders {
    let mut headers =
        vec![("content-type", b"application/json".to_vec()), ("status", code.as_str().as_bytes().to_vec())];
    if let Some(model) = model {
        headers.push(("model-name", model.name.as_bytes().to_vec()));
        headers.push(("model-version", model.version.as_bytes().to_vec()));
        headers.push(("model-digest", model.digest.as_bytes().to_vec()));
    }
    headers.into()
}
