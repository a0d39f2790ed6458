//! The walk over a chunk: each message read, inflated, decoded into its group, refused, or set aside until its schema has come.
//!
//! Guarantee: each message is in exactly one group, once, refused, once, or awaiting, once. A decoder that panics on a message
//! is a fault of ours that this message is answered with; its neighbours are decoded one by one.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    Awaiting, Decoded, Draft, Envelope, Format, Groups, Intakes, Refused, cloudevents,
    inflate::{Body, Inflater},
    json,
    registry::Registry,
    reply,
};
use crate::{
    broker::Chunk,
    error::{ErrorCode, RequestError},
    request::{Ids, RequestId, event::Mode},
};

/// What bodies are read by: what their pipelines expect, and the schemas of those that do not say themselves what they hold.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub intakes: &'a Intakes,
    pub registry: Option<&'a Registry>,
}

impl<'a> From<&'a Intakes> for Rules<'a> {
    fn from(intakes: &'a Intakes) -> Self {
        Self { intakes, registry: None }
    }
}

/// Decodes every message of a chunk, those that are compressed within the default limit.
pub fn decode<'a>(chunk: &Chunk, rules: impl Into<Rules<'a>>) -> Decoded {
    decode_part(chunk, 0, rules.into(), Inflater::alone(Inflater::DEFAULT_MOST), Decoded::default())
}

/// Decodes the messages of a chunk from `from` on, as far as there is room for what is compressed; [`Decoded::rest`] says
/// where the next part begins. `before` is what the part before it left: its ids and replies go on, and who awaits a schema.
///
/// A part that was given space makes progress.
pub fn decode_part<'a>(
    chunk: &Chunk,
    from: usize,
    rules: impl Into<Rules<'a>>,
    mut inflater: Inflater<'_>,
    before: Decoded,
) -> Decoded {
    let Decoded { ids, replies, awaiting, .. } = before;
    let (rules, awaited) = (rules.into(), awaiting.len());
    let mut decoded = Decoded { ids, replies, awaiting, ..Decoded::default() };
    let outcome =
        catch_unwind(AssertUnwindSafe(|| decode_some(chunk, from..chunk.len(), rules, &mut inflater, &mut decoded)));
    decoded.rest = outcome.unwrap_or_else(|_| {
        decoded.replies.forget_from(from);
        decoded.awaiting.truncate(awaited);
        (decoded.groups, decoded.refused) = Default::default();
        inflater.restart();
        decode_each(chunk, from, rules, &mut inflater, &mut decoded)
    });
    decoded.space = inflater.into_space();
    decoded
}

/// Decodes messages that have waited for their schemas, which are known by now or were not there in time. The ids are those of
/// the chunk that they were parted from, and so are their wishes for replies; [`Decoded::rest`] counts these messages.
pub fn decode_late(chunk: &Chunk, messages: &[Awaiting], rules: Rules<'_>, mut inflater: Inflater<'_>) -> Decoded {
    let mut decoded = Decoded::default();
    let outcome =
        catch_unwind(AssertUnwindSafe(|| decode_awaited(chunk, messages, rules, &mut inflater, &mut decoded)));
    decoded.rest = outcome.unwrap_or_else(|_| {
        (decoded.groups, decoded.refused) = Default::default();
        inflater.restart();
        for (index, message) in messages.iter().enumerate() {
            let one = std::slice::from_ref(message);
            let alone = || decode_awaited(chunk, one, rules, &mut inflater, &mut decoded);
            match catch_unwind(AssertUnwindSafe(alone)) {
                Ok(None) => {}
                Ok(Some(_)) => return Some(index),
                Err(_) => decoded.refused.push(panicked(chunk, message.message, rules, |_, _| message.id)),
            }
        }
        None
    });
    decoded.space = inflater.into_space();
    decoded
}

/// Groups for so many messages of a chunk.
fn groups_of(chunk: &Chunk, messages: usize) -> Groups {
    Groups::expecting(messages, chunk.bytes().saturating_mul(messages) / chunk.len().max(1))
}

/// Decodes messages that have waited, up to the one that must wait for the next part, whose place it returns.
fn decode_awaited(
    chunk: &Chunk,
    messages: &[Awaiting],
    rules: Rules<'_>,
    inflater: &mut Inflater<'_>,
    decoded: &mut Decoded,
) -> Option<usize> {
    let (mut groups, mut rest) = (groups_of(chunk, messages.len()), None);
    // They have theirs.
    let mut ids = Ids::default();
    for (place, Awaiting { message, id, .. }) in messages.iter().enumerate() {
        let (mut draft, verdict) = Draft::of(chunk, *message, rules, &mut ids, &mut groups);
        draft.late = Some(*id);
        let Some(body) = inflater.open(&draft.envelope, draft.message.payload) else {
            rest = Some(place);
            break;
        };
        match verdict.and_then(|()| decode_body(&body, &mut draft)) {
            Ok(()) => inflater.keep(),
            Err(error) => decoded.refused.push(refuse(&mut draft, body.bytes, error)),
        }
    }
    decoded.groups.extend(groups.finish());
    rest
}

fn decode_each(
    chunk: &Chunk,
    from: usize,
    rules: Rules<'_>,
    inflater: &mut Inflater<'_>,
    decoded: &mut Decoded,
) -> Option<usize> {
    for index in from..chunk.len() {
        let alone = || decode_some(chunk, index..index + 1, rules, inflater, decoded);
        match catch_unwind(AssertUnwindSafe(alone)) {
            Ok(None) => {}
            Ok(rest) => return rest,
            Err(_) => {
                let (ids, message) = (&mut decoded.ids, chunk.message(index));
                let fallback = |envelope: &Envelope<'_>, topic: &str| envelope.fallback_id(ids, &message, topic);
                let refused = panicked(chunk, index, rules, fallback);
                decoded.refused.push(refused);
            }
        }
    }
    None
}

/// A message at which the decoder panicked.
fn panicked(
    chunk: &Chunk,
    message: usize,
    rules: Rules<'_>,
    id: impl FnOnce(&Envelope<'_>, &str) -> RequestId,
) -> Refused {
    let (topic, intake) = &rules.intakes.topics[chunk.message(message).topic];
    let intake = &rules.intakes.intakes[*intake];
    let (envelope, _) = Envelope::read(chunk, message, &intake.headers);
    let id = id(&envelope, topic);
    let error = RequestError::new(ErrorCode::Internal, "the decoder panicked");
    let (pipeline, has_headers, event) = (intake.pipeline, envelope.has_headers, envelope.event.event());
    Refused { message, pipeline, id, has_headers, error, is_letter: false, event }
}

/// Decodes messages up to the one that must wait for the next part, which it returns.
fn decode_some(
    chunk: &Chunk,
    messages: Range<usize>,
    rules: Rules<'_>,
    inflater: &mut Inflater<'_>,
    decoded: &mut Decoded,
) -> Option<usize> {
    let (mut groups, mut rest) = (groups_of(chunk, messages.len()), None);
    for index in messages {
        let (mut draft, verdict) = Draft::of(chunk, index, rules, &mut decoded.ids, &mut groups);
        let Some(body) = inflater.open(&draft.envelope, draft.message.payload) else {
            rest = Some(index);
            break;
        };
        let noted = reply::note(index, &draft.envelope, draft.intake, &rules.intakes.topics, &mut decoded.replies);
        match verdict.and(noted).and_then(|()| decode_body(&body, &mut draft)) {
            Ok(()) => match draft.awaits {
                Some(schema) => {
                    let id = draft.id(None);
                    let deadline = draft.envelope.deadline(&draft.message, draft.intake.timeout);
                    decoded.awaiting.push(Awaiting { message: index, id, schema, deadline });
                }
                None => inflater.keep(),
            },
            Err(error) => decoded.refused.push(refuse(&mut draft, body.bytes, error)),
        }
    }
    decoded.groups.extend(groups.finish());
    rest
}

/// What cannot be read as a request at all is kept as a dead letter.
fn refuse(draft: &mut Draft<'_>, body: Option<&[u8]>, error: RequestError) -> Refused {
    let is_letter = error.code() == ErrorCode::InvalidRequest;
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
    let mut groups = Groups::default();
    let mut inflater = Inflater::alone(BEGINNING);
    for index in 0..chunk.len() {
        let (mut draft, _) = Draft::of(chunk, index, intakes.into(), &mut decoded.ids, &mut groups);
        // Where it cannot be told on its reply topic, it is told on the result topic.
        drop(reply::note(index, &draft.envelope, draft.intake, &intakes.topics, &mut decoded.replies));
        let body = inflater.open(&draft.envelope, draft.message.payload).and_then(|body| body.bytes);
        let refused = refuse(&mut draft, body, why.clone());
        decoded.refused.push(Refused { is_letter: true, ..refused });
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
