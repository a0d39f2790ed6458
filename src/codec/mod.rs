//! From records to groups of columns, and from groups back to answers; one folder or file per wire format.
//!
//! [`decode`] walks a chunk once. What a record says beside its body is read by [`envelope`]; its body is inflated if it is
//! compressed ([`inflate`]) and read in the [`Format`] that its headers name, straight into the columns of the group that it belongs to ([`groups`]). What cannot
//! be decoded becomes a [`Refused`] with the id that could be found. [`encode`] writes the answers of a group, one after
//! another, into one buffer, each in the [`Form`] that its request remembers ([`results`]).

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::{
    broker::{Chunk, Message, replies::Replies},
    error::{ErrorCode, RequestError},
    request::{
        Form, Group, Ids, Options, Request, RequestId, Route,
        event::{Event, Mode},
    },
    tensor::Name,
};

pub use asked::{Asked, Headers, Parameter};
pub use envelope::Envelope;
pub use format::Format;
pub use groups::{Announced, Drafted, Groups, Rows};
use inflate::{Body, Inflater, Space};
pub use reply::ReplyRules;

mod asked;
mod binary;
pub mod client;
mod cloudevents;
mod csv;
pub mod encode;
pub mod envelope;
pub mod event;
mod format;
mod groups;
pub mod inflate;
pub mod json;
pub mod labels;
pub mod manifest;
pub mod notification;
mod protobuf;
mod raw;
mod reply;
mod results;
#[cfg(test)]
mod tests;

/// Which model a pipeline's `predict` runs, where the request may choose.
#[derive(Debug)]
pub enum Routing {
    /// The pipeline says it for all requests.
    Fixed(Arc<Route>),
    /// Each request says it; see [`RouteChoice`].
    Chosen(Box<dyn RouteChoice>),
}

/// Turns what a request says about models into a route.
pub trait RouteChoice: Send + Sync + std::fmt::Debug {
    /// The route for a request that says this much.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidRequest`] or `UnknownModel` for a name that is missing or may not be chosen.
    fn route(&self, asked: &Asked<'_>) -> Result<Arc<Route>, RequestError>;

    /// Whether routes depend on the body's parameters, which must be read first then.
    fn reads_parameters(&self) -> bool {
        false
    }
}

/// What decoding must know of a pipeline.
#[derive(Debug)]
pub struct Intake {
    /// Its index in the worker.
    pub pipeline: usize,
    /// The format of records without a content-type.
    pub format: Format,
    /// Which model its requests go to.
    pub routing: Routing,
    /// The budget of a request without a time-out of its own, from the record's timestamp.
    pub timeout: Option<Duration>,
    /// The names of the headers that are read.
    pub headers: envelope::HeaderNames,
    /// Which topics its requests may want their answers on.
    pub replies: ReplyRules,
}

/// A request that could not be decoded.
#[derive(Debug)]
pub struct Refused {
    /// Index of the message in its chunk.
    pub message: usize,
    /// The pipeline that it came to.
    pub pipeline: usize,
    /// The id that could be found, else the one made of its position.
    pub id: RequestId,
    /// Whether the record has any headers at all.
    pub has_headers: bool,
    /// Why.
    pub error: RequestError,
    /// Whether it also goes to the dead-letter topic.
    pub is_letter: bool,
    /// The CloudEvent that it came in; its answer is one, too.
    pub event: Option<Arc<Event>>,
}

impl Refused {
    /// A request of `pipeline` that was decoded, has failed, and is refused all the same.
    ///
    /// # Panics
    /// If it has not failed.
    pub fn from_request(request: Request, pipeline: usize) -> Self {
        let Request { message, id, has_headers, failure, options, .. } = request;
        let error = failure.expect("the caller says that it has failed");
        let is_letter = error.code() == ErrorCode::InvalidRequest;
        let event = options.and_then(|options| options.event.clone());
        Self { message, pipeline, id, has_headers, error, is_letter, event }
    }
}

/// A chunk as groups of columns.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The ids of all its requests.
    pub ids: Ids,
    /// Requests that go the same way with the same signature.
    pub groups: Vec<Group>,
    /// Requests that are answered with an error at once.
    pub refused: Vec<Refused>,
    /// Where requests want their answers, of those that say so.
    pub replies: Replies,
    /// The message with which the next part of the chunk begins: what was compressed is decoded a part at a time.
    pub rest: Option<usize>,
    /// The space of the columns that were made of compressed bodies.
    pub space: Option<Space>,
}

/// What decoding must know of the worker's pipelines.
#[derive(Debug, Default)]
pub struct Intakes {
    /// One a pipeline.
    pub intakes: Vec<Intake>,
    /// The request topics in the order of [`crate::broker::Message::topic`]: name, and index of the intake.
    pub topics: Vec<(Name, usize)>,
}

/// One message, on its way from bytes to rows.
pub struct Draft<'a> {
    /// What the message's pipeline expects.
    pub intake: &'a Intake,
    /// What its headers say.
    pub envelope: Envelope<'a>,
    /// Where it stands.
    pub message: Message<'a>,
    /// Its index in the chunk.
    pub index: usize,
    /// The name of its topic.
    pub topic: &'a str,
    /// The ids of the chunk.
    pub ids: &'a mut Ids,
    /// The groups of the chunk.
    pub groups: &'a mut Groups,
    /// The CloudEvent that the request came in.
    pub event: Option<Arc<Event>>,
}

impl<'a> Draft<'a> {
    /// The message at `index` of a chunk, and whether its headers can be read.
    fn of(
        chunk: &'a Chunk,
        index: usize,
        intakes: &'a Intakes,
        ids: &'a mut Ids,
        groups: &'a mut Groups,
    ) -> (Self, Result<(), RequestError>) {
        let message = chunk.message(index);
        let (topic, intake) = &intakes.topics[message.topic];
        let intake = &intakes.intakes[*intake];
        let (envelope, verdict) = Envelope::read(chunk, index, &intake.headers);
        let event = envelope.event.event();
        (Self { intake, envelope, message, index, topic, ids, groups, event }, verdict)
    }

    /// Keeps the body's id if it has one, else makes one.
    pub fn id(&mut self, body: Option<&str>) -> RequestId {
        // Only what was compressed can be longer than its record; all ids of a chunk are kept until the end.
        const LONGEST_INFLATED: usize = 1 << 10;
        let longest = match self.message.payload {
            Some(payload) if self.envelope.content_encoding.is_some() => payload.len().max(LONGEST_INFLATED),
            _ => usize::MAX,
        };
        match body {
            Some(id) if !id.is_empty() && id.len() <= longest => self.ids.push(id),
            _ => match &self.event {
                Some(event) if !event.id.is_empty() => self.ids.push(&event.id),
                _ => self.envelope.fallback_id(self.ids, &self.message, self.topic),
            },
        }
    }

    /// Whether the way of a request depends on its parameters.
    pub fn reads_parameters(&self) -> bool {
        matches!(&self.intake.routing, Routing::Chosen(choice) if choice.reads_parameters())
    }

    /// The request as it goes into its group; [`Rows::commit`] says which rows are its own. `form` is the one in which it
    /// came.
    pub fn request(&self, id: RequestId, form: Form, mut options: Option<Options>) -> Request {
        if let Some(event) = &self.event {
            options.get_or_insert_default().event = Some(Arc::clone(event));
        }
        Request {
            message: self.index,
            id,
            rows: 0..0,
            form: options.as_ref().map_or(form, |options| options.form(form)),
            deadline: self.envelope.deadline(&self.message, self.intake.timeout),
            has_headers: self.envelope.has_headers,
            options: options.map(Arc::new),
            failure: None,
        }
    }

    /// The way of a request whose body names `model` and `version` and has `parameters`, a JSON object; headers go before
    /// it.
    ///
    /// # Errors
    /// If the pipeline lets requests choose and this choice is missing or not allowed.
    pub fn route(
        &self,
        model: Option<&str>,
        version: Option<&str>,
        parameters: Option<&str>,
    ) -> Result<Arc<Route>, RequestError> {
        match &self.intake.routing {
            Routing::Fixed(route) => Ok(Arc::clone(route)),
            Routing::Chosen(choice) => choice.route(&Asked {
                model: self.envelope.model.or(model),
                version: self.envelope.version.or(version),
                key: self.message.key,
                headers: self.envelope.headers,
                parameters,
            }),
        }
    }
}

/// Decodes every message of a chunk, those that are compressed within the default limit.
///
/// Guarantee: each message is in exactly one group, once, or refused, once. A decoder that panics on a message is a fault
/// of ours that this message is answered with; its neighbours are decoded one by one.
pub fn decode(chunk: &Chunk, intakes: &Intakes) -> Decoded {
    decode_part(chunk, 0, intakes, Inflater::alone(Inflater::DEFAULT_MOST), Decoded::default())
}

/// Decodes the messages of a chunk from `from` on, as far as there is room for what is compressed; [`Decoded::rest`] says
/// where the next part begins. `before` is what the part before it left: its ids and replies go on.
///
/// Guarantee: as that of [`decode`]. A part that was given space makes progress.
pub fn decode_part(
    chunk: &Chunk,
    from: usize,
    intakes: &Intakes,
    mut inflater: Inflater<'_>,
    before: Decoded,
) -> Decoded {
    let mut decoded = Decoded { ids: before.ids, replies: before.replies, ..Decoded::default() };
    let outcome =
        catch_unwind(AssertUnwindSafe(|| decode_some(chunk, from..chunk.len(), intakes, &mut inflater, &mut decoded)));
    decoded.rest = outcome.unwrap_or_else(|_| {
        decoded.replies.forget_from(from);
        (decoded.groups, decoded.refused) = Default::default();
        inflater.restart();
        decode_each(chunk, from, intakes, &mut inflater, &mut decoded)
    });
    decoded.space = inflater.into_space();
    decoded
}

fn decode_each(
    chunk: &Chunk,
    from: usize,
    intakes: &Intakes,
    inflater: &mut Inflater<'_>,
    decoded: &mut Decoded,
) -> Option<usize> {
    for index in from..chunk.len() {
        let outcome =
            catch_unwind(AssertUnwindSafe(|| decode_some(chunk, index..index + 1, intakes, inflater, decoded)));
        match outcome {
            Ok(None) => {}
            Ok(rest) => return rest,
            Err(_) => {
                let message = chunk.message(index);
                let (topic, intake) = &intakes.topics[message.topic];
                let (envelope, _) = Envelope::read(chunk, index, &intakes.intakes[*intake].headers);
                let id = envelope.fallback_id(&mut decoded.ids, &message, topic);
                let error = RequestError::new(ErrorCode::Internal, "the decoder panicked");
                let (pipeline, has_headers) = (intakes.intakes[*intake].pipeline, envelope.has_headers);
                let event = envelope.event.event();
                decoded.refused.push(Refused {
                    message: index,
                    pipeline,
                    id,
                    has_headers,
                    error,
                    is_letter: false,
                    event,
                });
            }
        }
    }
    None
}

/// Decodes messages up to the one that must wait for the next part, which it returns.
fn decode_some(
    chunk: &Chunk,
    messages: Range<usize>,
    intakes: &Intakes,
    inflater: &mut Inflater<'_>,
    decoded: &mut Decoded,
) -> Option<usize> {
    let mut groups = Groups::expecting(messages.len());
    let mut rest = None;
    for index in messages {
        let (mut draft, verdict) = Draft::of(chunk, index, intakes, &mut decoded.ids, &mut groups);
        let Some(body) = inflater.open(&draft.envelope, draft.message.payload) else {
            rest = Some(index);
            break;
        };
        let noted = reply::note(index, &draft.envelope, draft.intake, &intakes.topics, &mut decoded.replies);
        match verdict.and(noted).and_then(|()| decode_body(&body, &mut draft)) {
            Ok(()) => inflater.keep(),
            Err(error) => {
                let is_letter = error.code() == ErrorCode::InvalidRequest;
                let refused = refuse(&mut draft, body.bytes, error, is_letter);
                decoded.refused.push(refused);
            }
        }
    }
    decoded.groups.extend(groups.finish());
    rest
}

fn refuse(draft: &mut Draft<'_>, body: Option<&[u8]>, error: RequestError, is_letter: bool) -> Refused {
    // Whatever was wrong, be it a header: an answer with the body's own id finds its caller. What is of no format that we
    // know may be JSON all the same.
    draft.event = draft.event.take().or_else(|| cloudevents::find(&draft.envelope, body));
    let id = match &draft.event {
        Some(event) if event.mode == Mode::Structured => {
            body.and_then(|body| cloudevents::find_id(&draft.envelope, body)).map(Into::into)
        }
        _ => {
            let format = Format::of(&draft.envelope, draft.intake.format).unwrap_or(Format::Json);
            body.and_then(|body| format.find_id(body))
        }
    };
    let id = draft.id(id.as_deref());
    let (pipeline, has_headers) = (draft.intake.pipeline, draft.envelope.has_headers);
    Refused { message: draft.index, pipeline, id, has_headers, error, is_letter, event: draft.event.clone() }
}

/// Refuses every message of a chunk, which becomes a dead letter; of a body, nothing is looked for but its id.
pub fn refuse_all(chunk: &Chunk, intakes: &Intakes, why: &RequestError) -> Decoded {
    /// Where an id is looked for in what is compressed.
    const BEGINNING: usize = 64 << 10;
    let mut decoded = Decoded::default();
    let mut groups = Groups::expecting(0);
    let mut inflater = Inflater::alone(BEGINNING);
    for index in 0..chunk.len() {
        let (mut draft, _) = Draft::of(chunk, index, intakes, &mut decoded.ids, &mut groups);
        // Where it cannot be told on its reply topic, it is told on the result topic.
        drop(reply::note(index, &draft.envelope, draft.intake, &intakes.topics, &mut decoded.replies));
        let body = inflater.open(&draft.envelope, draft.message.payload).and_then(|body| body.bytes);
        let refused = refuse(&mut draft, body, why.clone(), true);
        decoded.refused.push(refused);
    }
    decoded
}

fn decode_body(body: &Body<'_>, draft: &mut Draft<'_>) -> Result<(), RequestError> {
    let invalid = |why: &str| RequestError::new(ErrorCode::InvalidRequest, why);
    let format = Format::of(&draft.envelope, draft.intake.format)?;
    if let Some(fault) = &body.fault {
        return Err(fault.clone());
    }
    let body = match body.bytes {
        Some(body) if !body.is_empty() => body,
        Some(_) => return Err(invalid("the record's value is empty")),
        None => return Err(invalid("the record is a tombstone: it has no value")),
    };
    if draft.event.is_some() && format != Format::Event {
        draft.envelope.event.check()?;
    }
    match format.decode(body, draft) {
        // Some senders state the content-type of the data, or none, for an event in structured mode.
        Err(_) if draft.event.is_none() && json::is_event(body) => cloudevents::decode(body, draft),
        outcome => outcome,
    }
}
