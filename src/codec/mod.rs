//! From records to groups of columns, and from groups back to answers; one folder or file per wire format.
//!
//! [`decode`] walks a chunk once. What a record says beside its body is read by [`envelope`]; its body is inflated if it is
//! compressed ([`inflate`]) and read in the [`Format`] that its headers name, straight into the columns of the group that it belongs to ([`groups`]). What cannot
//! be decoded becomes a [`Refused`] with the id that could be found. [`encode`] writes the answers of a group, one after
//! another, into one buffer, each in the [`Form`] that its request remembers ([`results`]).

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{Chunk, Message, replies::Replies},
    error::{ErrorCode, RequestError},
    request::{Form, Group, Ids, Options, Request, RequestId, Route, event::Event},
    tensor::Name,
};

pub use asked::{Asked, Headers, Parameter};
pub use decode::{Rules, decode, decode_late, decode_part, refuse_all};
pub use envelope::Envelope;
pub use format::Format;
pub use groups::{Announced, Drafted, Groups, Rows};
use inflate::Space;
use registry::Registry;
pub use reply::ReplyRules;

mod asked;
mod avro;
mod binary;
pub mod client;
mod cloudevents;
mod csv;
mod decode;
pub mod encode;
pub mod envelope;
pub mod event;
mod format;
mod framed;
mod groups;
pub mod inflate;
pub mod json;
pub mod labels;
pub mod manifest;
pub mod notification;
mod protobuf;
mod raw;
pub mod registry;
mod reply;
mod results;
#[cfg(test)]
mod tests;
mod uri;
mod whole;

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

impl Intake {
    /// What a pipeline expects that says nothing of its requests but their format: no budget, headers by their usual names,
    /// no reply topics.
    pub fn new(pipeline: usize, format: Format, routing: Routing) -> Self {
        let (headers, replies) = (envelope::HeaderNames::default(), ReplyRules::default());
        Self { pipeline, format, routing, timeout: None, headers, replies }
    }
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
    /// Messages that can be decoded when their schema has come: see [`decode_late`].
    pub awaiting: Vec<Awaiting>,
}

/// A message whose schema is not known yet.
#[derive(Clone, Copy, Debug)]
pub struct Awaiting {
    /// Index of the message in its chunk.
    pub message: usize,
    /// The request's id.
    pub id: RequestId,
    /// The id of its schema.
    pub schema: u32,
    /// When its time is up, in milliseconds since the Unix epoch.
    pub deadline: i64,
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
    /// The schemas of bodies that do not say themselves what they hold.
    pub registry: Option<&'a Registry>,
    /// The schema that the body must wait for.
    pub awaits: Option<u32>,
    /// The id that was made when the message came, if it had to wait since then.
    pub late: Option<RequestId>,
}

impl<'a> Draft<'a> {
    /// The message at `index` of a chunk, and whether its headers can be read.
    fn of(
        chunk: &'a Chunk,
        index: usize,
        rules: Rules<'a>,
        ids: &'a mut Ids,
        groups: &'a mut Groups,
    ) -> (Self, Result<(), RequestError>) {
        let message = chunk.message(index);
        let (topic, intake) = &rules.intakes.topics[message.topic];
        let intake = &rules.intakes.intakes[*intake];
        let (envelope, verdict) = Envelope::read(chunk, index, &intake.headers);
        let event = envelope.event.event();
        let (registry, awaits, late) = (rules.registry, None, None);
        (Self { intake, envelope, message, index, topic, ids, groups, event, registry, awaits, late }, verdict)
    }

    /// Whether the message has waited and must wait no more.
    pub fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// Keeps the body's id if it has one, else makes one.
    pub fn id(&mut self, body: Option<&str>) -> RequestId {
        if let Some(id) = self.late {
            return id;
        }
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
