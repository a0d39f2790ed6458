//! From records to groups of columns, and from groups back to answers; one folder or file per wire format.
//!
//! [`decode`] walks a chunk once. What a record says beside its body is read by [`envelope`]; its body is read in the
//! [`Format`] that its headers name, straight into the columns of the group that it belongs to ([`groups`]). What cannot
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
use registry::Registry;
pub use reply::ReplyRules;

mod asked;
mod avro;
mod binary;
pub mod client;
mod cloudevents;
pub mod encode;
pub mod envelope;
pub mod event;
mod format;
mod groups;
pub mod json;
pub mod labels;
pub mod manifest;
pub mod notification;
mod protobuf;
mod raw;
pub mod registry;
mod reply;
mod results;

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
        (intakes, registry): (&'a Intakes, Option<&'a Registry>),
        ids: &'a mut Ids,
        groups: &'a mut Groups,
    ) -> (Self, Result<(), RequestError>) {
        let message = chunk.message(index);
        let (topic, intake) = &intakes.topics[message.topic];
        let intake = &intakes.intakes[*intake];
        let (envelope, verdict) = Envelope::read(chunk, index, &intake.headers);
        let event = envelope.event.event();
        let (awaits, late) = (None, None);
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
        match body {
            Some(id) if !id.is_empty() => self.ids.push(id),
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

/// Decodes every message of a chunk.
///
/// Guarantee: each message is in exactly one group, once, or refused, once. A decoder that panics on a message is a fault
/// of ours that this message is answered with; its neighbours are decoded one by one.
pub fn decode(chunk: &Chunk, intakes: &Intakes) -> Decoded {
    decode_with(chunk, intakes, None)
}

/// The same with schemas. What must wait for one is neither in a group nor refused, but awaiting.
pub fn decode_with(chunk: &Chunk, intakes: &Intakes, registry: Option<&Registry>) -> Decoded {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let mut decoded = Decoded::default();
        decode_some(chunk, 0..chunk.len(), (intakes, registry), &mut decoded);
        decoded
    }));
    decoded.unwrap_or_else(|_| decode_each(chunk, (intakes, registry)))
}

/// Decodes messages that have waited for their schemas, which are known by now or were not there in time. The ids are those of
/// the chunk that they were parted from, and so are their wishes for replies.
pub fn decode_late(chunk: &Chunk, messages: &[Awaiting], intakes: &Intakes, registry: &Registry) -> Decoded {
    let mut decoded = Decoded::default();
    let mut ids = Ids::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| late(chunk, messages, (intakes, registry), &mut ids)));
    if let Ok((groups, refused)) = outcome {
        return Decoded { groups, refused, ..decoded };
    }
    for message in messages {
        let one = std::slice::from_ref(message);
        match catch_unwind(AssertUnwindSafe(|| late(chunk, one, (intakes, registry), &mut ids))) {
            Ok((groups, refused)) => {
                decoded.groups.extend(groups);
                decoded.refused.extend(refused);
            }
            Err(_) => decoded.refused.push(panicked(chunk, message.message, intakes, |_, _| message.id)),
        }
    }
    decoded
}

fn late(
    chunk: &Chunk,
    messages: &[Awaiting],
    (intakes, registry): (&Intakes, &Registry),
    ids: &mut Ids,
) -> (Vec<Group>, Vec<Refused>) {
    let mut groups = Groups::expecting(messages.len());
    let mut all_refused = Vec::new();
    for Awaiting { message, id, .. } in messages {
        let (mut draft, verdict) = Draft::of(chunk, *message, (intakes, Some(registry)), ids, &mut groups);
        draft.late = Some(*id);
        if let Err(error) = verdict.and_then(|()| decode_body(&mut draft)) {
            let is_letter = error.code() == ErrorCode::InvalidRequest;
            all_refused.push(refuse(&mut draft, error, is_letter));
        }
    }
    (groups.finish(), all_refused)
}

fn decode_each(chunk: &Chunk, (intakes, registry): (&Intakes, Option<&Registry>)) -> Decoded {
    let mut decoded = Decoded::default();
    for index in 0..chunk.len() {
        let both = (intakes, registry);
        let outcome = catch_unwind(AssertUnwindSafe(|| decode_some(chunk, index..index + 1, both, &mut decoded)));
        if outcome.is_err() {
            let ids = &mut decoded.ids;
            let fallback =
                |envelope: &Envelope<'_>, topic: &str| envelope.fallback_id(ids, &chunk.message(index), topic);
            let refused = panicked(chunk, index, intakes, fallback);
            decoded.refused.push(refused);
        }
    }
    decoded
}

/// A message at which the decoder panicked.
fn panicked(
    chunk: &Chunk,
    message: usize,
    intakes: &Intakes,
    id: impl FnOnce(&Envelope<'_>, &str) -> RequestId,
) -> Refused {
    let (topic, intake) = &intakes.topics[chunk.message(message).topic];
    let (envelope, _) = Envelope::read(chunk, message, &intakes.intakes[*intake].headers);
    let id = id(&envelope, topic);
    let error = RequestError::new(ErrorCode::Internal, "the decoder panicked");
    let (pipeline, has_headers) = (intakes.intakes[*intake].pipeline, envelope.has_headers);
    let event = envelope.event.event();
    Refused { message, pipeline, id, has_headers, error, is_letter: false, event }
}

fn decode_some(
    chunk: &Chunk,
    messages: Range<usize>,
    (intakes, registry): (&Intakes, Option<&Registry>),
    decoded: &mut Decoded,
) {
    let mut groups = Groups::expecting(messages.len());
    for index in messages {
        let (mut draft, verdict) = Draft::of(chunk, index, (intakes, registry), &mut decoded.ids, &mut groups);
        let noted = reply::note(index, &draft.envelope, draft.intake, &intakes.topics, &mut decoded.replies);
        if let Err(error) = verdict.and(noted).and_then(|()| decode_body(&mut draft)) {
            let is_letter = error.code() == ErrorCode::InvalidRequest;
            let refused = refuse(&mut draft, error, is_letter);
            decoded.refused.push(refused);
        } else if let Some(schema) = draft.awaits {
            let id = draft.id(None);
            let deadline = draft.envelope.deadline(&draft.message, draft.intake.timeout);
            decoded.awaiting.push(Awaiting { message: index, id, schema, deadline });
        }
    }
    decoded.groups.extend(groups.finish());
}

fn refuse(draft: &mut Draft<'_>, error: RequestError, is_letter: bool) -> Refused {
    // Whatever was wrong, be it a header: an answer with the body's own id finds its caller. What is of no format that we
    // know may be JSON all the same.
    let body = draft.message.payload;
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
    let mut decoded = Decoded::default();
    let mut groups = Groups::expecting(0);
    for index in 0..chunk.len() {
        let (mut draft, _) = Draft::of(chunk, index, (intakes, None), &mut decoded.ids, &mut groups);
        // Where it cannot be told on its reply topic, it is told on the result topic.
        drop(reply::note(index, &draft.envelope, draft.intake, &intakes.topics, &mut decoded.replies));
        let refused = refuse(&mut draft, why.clone(), true);
        decoded.refused.push(refused);
    }
    decoded
}

fn decode_body(draft: &mut Draft<'_>) -> Result<(), RequestError> {
    let invalid = |why: &str| RequestError::new(ErrorCode::InvalidRequest, why);
    let format = Format::of(&draft.envelope, draft.intake.format)?;
    let body = match draft.message.payload {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::MemoryRecords;

    /// A choice of model that panics for one of them, as a faulty decoder would.
    #[derive(Debug)]
    struct Faulty;

    impl RouteChoice for Faulty {
        fn route(&self, asked: &Asked<'_>) -> Result<Arc<Route>, RequestError> {
            assert_ne!(asked.model, Some("poison"), "a fault for the test");
            Ok(Arc::new(Route { pipeline: 0, models: Vec::new() }))
        }
    }

    #[test]
    fn a_message_that_makes_the_decoder_panic_is_answered_and_its_neighbours_are_decoded() {
        let intake = Intake {
            pipeline: 0,
            format: Format::Json,
            routing: Routing::Chosen(Box::new(Faulty)),
            timeout: None,
            headers: envelope::HeaderNames::default(),
            replies: ReplyRules::default(),
        };
        let intakes = Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] };
        let mut records = MemoryRecords::default();
        for (offset, model) in [(0, "a"), (1, "poison"), (2, "a")] {
            let body = format!(r#"{{"id": "r{offset}", "model_name": "{model}", "instances": [[1.0]]}}"#);
            records.push(0, offset, body.as_bytes());
        }
        let decoded = decode(&Chunk::new(Box::new(records)), &intakes);
        let answered: usize = decoded.groups.iter().map(|group| group.requests.len()).sum();
        assert_eq!(answered, 2);
        let refused: Vec<_> = decoded.refused.iter().map(|refused| (refused.message, refused.error.code())).collect();
        assert_eq!(refused, [(1, ErrorCode::Internal)]);
    }
}
