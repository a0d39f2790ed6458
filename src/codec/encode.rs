//! From groups to answers: one record for each request, written into one buffer; for undecodable messages a dead letter, too.
//!
//! Guarantee: every request of a group, and every refused message, gets exactly one answer, keyed by its id. Nothing is
//! allocated for one request; the headers that we write ourselves are made once for all answers alike.

use std::{ops::Range, sync::Arc};

use super::{
    Refused,
    cloudevents::{Outcome, Reply},
    json,
    registry::Subject,
    results::{Results, Written},
};
use crate::{
    broker::{
        Answer, AnswerHeaders, Answers, Chunk, Copied, CopyRule, HeaderSet, OwnHeaders, Placement,
        replies::{Replies, Standing},
    },
    error::{ErrorCode, RequestError},
    request::{
        Group, Ids, Request, RequestId,
        event::{Event, Mode},
    },
    tensor::Name,
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
    /// How an answer's partition is chosen.
    pub placement: Placement,
    /// Which answers have headers.
    pub headers: HeaderPolicy,
    /// Which of a request's headers stand in its answer.
    pub copied: Arc<CopyRule>,
}

/// Who waits for an answer.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Index of the message in the chunk.
    pub message: usize,
    /// The request's id.
    pub id: RequestId,
    /// Whether its record has any headers.
    pub has_headers: bool,
    /// The CloudEvent that the request came in.
    pub event: Option<Arc<Event>>,
}

impl From<&Request> for Caller {
    fn from(request: &Request) -> Self {
        let event = request.options.as_ref().and_then(|options| options.event.clone());
        Self { message: request.message, id: request.id, has_headers: request.has_headers, event }
    }
}

impl From<&Refused> for Caller {
    fn from(refused: &Refused) -> Self {
        let Refused { message, id, has_headers, ref event, .. } = *refused;
        Self { message, id, has_headers, event: event.clone() }
    }
}

/// Which bytes made an answer.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub digest: &'a str,
}

/// The status of a result.
const OK: &str = "OK";
/// Stands among the statuses for headers that state none.
const NO_STATUS: &str = "";

/// Writes the answers of one group after another.
pub struct Encoder<'a> {
    chunk: &'a Chunk,
    topics: &'a [(Name, usize)],
    ids: &'a Ids,
    outlet: &'a Outlet,
    replies: Option<&'a Replies>,
    model: Option<Model<'a>>,
    subject: Option<&'a Subject>,
    answers: Answers,
    /// Our headers by what they state of the status and of the body: index in the answers' sets.
    prepared: Vec<(&'static str, Written, usize)>,
    /// Which headers of a request that is a CloudEvent stand in its answer; made when it is needed.
    copied_of_events: Option<Arc<CopyRule>>,
}

impl<'a> Encoder<'a> {
    /// An encoder of answers to requests of `chunk` that came to one pipeline; they are added to `answers`.
    pub fn new(
        answers: Answers,
        chunk: &'a Chunk,
        topics: &'a [(Name, usize)],
        ids: &'a Ids,
        outlet: &'a Outlet,
    ) -> Self {
        Self {
            chunk,
            topics,
            ids,
            outlet,
            replies: None,
            model: None,
            subject: None,
            answers,
            prepared: Vec::new(),
            copied_of_events: None,
        }
    }

    /// With answers that go where their requests want them.
    #[must_use]
    pub fn replying(self, replies: &'a Replies) -> Self {
        Self { replies: (!replies.is_empty()).then_some(replies), ..self }
    }

    /// The model that the answers name: the last one that ran, or would have.
    #[must_use]
    pub fn naming(self, model: Option<Model<'a>>) -> Self {
        Self { model, ..self }
    }

    /// With answers in Avro to requests in Avro, whose schemas are known under this subject.
    #[must_use]
    pub(crate) fn under(self, subject: Option<&'a Subject>) -> Self {
        Self { subject, ..self }
    }

    /// The records to publish.
    pub fn finish(self) -> Answers {
        self.answers
    }

    /// Answers every request of a group.
    pub fn group(&mut self, group: &Group) {
        let mut results = self.model.map(|model| Results::new(group, model).under(self.subject, group));
        for request in &group.requests {
            match (&request.failure, results.as_mut()) {
                (Some(error), _) => self.error(&request.into(), error),
                (None, Some(results)) => self.result(results, request),
                (None, None) => {
                    let error = RequestError::new(ErrorCode::Internal, "no model ran for this request");
                    self.error(&request.into(), &error);
                }
            }
        }
    }

    fn result(&mut self, results: &mut Results<'_>, request: &Request) {
        let id = self.ids.text(request.id);
        let key = self.answers.push_bytes(id.as_bytes());
        let start = self.answers.buffer.len();
        let written = results.write(&mut self.answers.buffer, id, request);
        self.close(&request.into(), OK, key, start, written);
    }

    /// Answers a message that is not run, and keeps it as a dead letter where that is asked for.
    pub fn refused(&mut self, refused: &Refused) {
        self.error(&refused.into(), &refused.error);
        if refused.is_letter {
            self.dead_letter(refused.message, &refused.error);
        }
    }

    /// Answers one request with an error.
    pub fn error(&mut self, caller: &Caller, error: &RequestError) {
        let id = self.ids.text(caller.id);
        let key = self.answers.push_bytes(id.as_bytes());
        let start = self.answers.buffer.len();
        json::write_error(&mut self.answers.buffer, id, error);
        self.close(caller, error.code().as_str(), key, start, Written::Json);
    }

    /// Makes a record of the answer whose body begins at `start`; if its request came in a CloudEvent, it becomes one.
    fn close(&mut self, caller: &Caller, status: &'static str, key: Range<usize>, start: usize, written: Written) {
        let outcome = if status == OK { Outcome::Response } else { Outcome::Error };
        let (id, pipeline) = (self.ids.text(caller.id), &*self.outlet.pipeline);
        let reply = caller.event.as_deref().map(|event| (event.mode, Reply::new(event, id, pipeline, outcome)));
        let wants_headers = match self.outlet.headers {
            HeaderPolicy::Auto => caller.has_headers || outcome == Outcome::Error,
            HeaderPolicy::Always => true,
            HeaderPolicy::Never => false,
        };
        let (written, attributes) = match reply {
            Some((Mode::Structured, reply)) => {
                let (content, written) = written.in_event();
                reply.enclose(&mut self.answers.buffer, start, content);
                (written, None)
            }
            Some((Mode::Binary, reply)) => (written, Some(reply.headers())),
            None => (written, None),
        };
        let headers = match attributes {
            Some(attributes) => {
                let status = if wants_headers { status } else { NO_STATUS };
                Some(self.event_headers(attributes, status, written, caller))
            }
            None if wants_headers => Some(self.headers(status, written, caller)),
            None => self.indispensable(written, caller.message),
        };
        let value = start..self.answers.buffer.len();
        self.push(caller.message, key, value, headers);
    }

    fn push(&mut self, message: usize, key: Range<usize>, value: Range<usize>, headers: Option<AnswerHeaders>) {
        let Outlet { results: mut topic, mut placement, .. } = *self.outlet;
        if let Some(Standing::Granted { topic: theirs, placement: exactly }) =
            self.replies.map(|replies| replies.standing(message))
        {
            topic = theirs;
            placement = exactly.unwrap_or(placement);
        }
        let (key, value) = (Some(key), Some(value));
        self.answers.entries.push(Answer { topic, placement, message, key, value, headers });
    }

    /// The headers of an answer with this status and such a body.
    fn headers(&mut self, status: &'static str, written: Written, caller: &Caller) -> AnswerHeaders {
        AnswerHeaders { copied: self.copied(caller), set: self.prepared(status, written) }
    }

    /// The headers of an answer that is a CloudEvent in binary mode: no two have the same.
    fn event_headers(
        &mut self,
        attributes: OwnHeaders,
        status: &'static str,
        written: Written,
        caller: &Caller,
    ) -> AnswerHeaders {
        let mut own = attributes;
        own.extend(self.own(status, written));
        own.extend((status == NO_STATUS && written == Written::Json).then(|| written.headers()).into_iter().flatten());
        let rule =
            self.copied_of_events.get_or_insert_with(|| Arc::new(self.outlet.copied.of_events(status == NO_STATUS)));
        self.answers.headers.push(HeaderSet { own, copied: Arc::clone(rule) });
        AnswerHeaders { copied: self.copied(caller), set: self.answers.headers.len() - 1 }
    }

    /// Which headers of its request an answer has that has any.
    fn copied(&self, caller: &Caller) -> Copied {
        match caller.has_headers {
            true => Copied::Answer,
            false if self.needs_correlation_id(caller.message) => Copied::CorrelationId,
            false => Copied::None,
        }
    }

    /// What an answer has where answers have no headers: a reply without its correlation id would be of no use, and a body
    /// that says not itself how it is to be read would be none either.
    fn indispensable(&mut self, written: Written, message: usize) -> Option<AnswerHeaders> {
        let copied = if self.needs_correlation_id(message) { Copied::CorrelationId } else { Copied::None };
        // What is no JSON and begins with a zero byte is Avro: its readers know that.
        if copied == Copied::None && matches!(written, Written::Json | Written::Avro) {
            return None;
        }
        Some(AnswerHeaders { copied, set: self.prepared(NO_STATUS, written) })
    }

    fn needs_correlation_id(&self, message: usize) -> bool {
        self.replies.and_then(|replies| replies.wish(message)).is_some_and(|wish| wish.has_correlation_id)
    }

    /// Our headers for this status and such a body, made when they are first needed.
    fn prepared(&mut self, status: &'static str, written: Written) -> usize {
        let alike = |(theirs, body, _): &&(&str, Written, usize)| *theirs == status && *body == written;
        if let Some((.., set)) = self.prepared.iter().rev().find(alike) {
            return *set;
        }
        let set = self.headers_in_common(self.own(status, written));
        self.prepared.push((status, written, set));
        set
    }

    fn own(&self, status: &'static str, written: Written) -> OwnHeaders {
        let mut own = OwnHeaders::new();
        if status != NO_STATUS || written != Written::Json {
            own = written.headers();
        }
        if status != NO_STATUS {
            own.push(("status", status.as_bytes().to_vec()));
        }
        if let Some(Model { name, version, digest }) = self.model.filter(|_| status != NO_STATUS) {
            let said = [("model-name", name), ("model-version", version), ("model-digest", digest)];
            own.extend(said.map(|(header, value)| (header, value.as_bytes().to_vec())));
        }
        own
    }

    fn headers_in_common(&mut self, own: OwnHeaders) -> usize {
        self.answers.headers.push(HeaderSet { own, copied: Arc::clone(&self.outlet.copied) });
        self.answers.headers.len() - 1
    }

    /// Keeps a message as a dead letter, byte for byte, with its origin in headers.
    pub fn dead_letter(&mut self, index: usize, error: &RequestError) {
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
        let headers = Some(AnswerHeaders { copied: Copied::All, set: self.headers_in_common(own) });
        let placement = Placement::Key;
        self.answers.entries.push(Answer { topic, placement, message: index, key, value, headers });
    }
}
