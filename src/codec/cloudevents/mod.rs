//! CloudEvents 1.0 around requests and their answers, on Kafka.
//!
//! In binary mode the attributes of an event are headers of the record, `ce_` before their names, and the body is the data. In
//! structured mode the body is the event as JSON, with the data in it. Data are a request in any other form; an answer is an
//! event in the mode of its request, be it a result or an error. Everything else about a request is decided by its data.
//!
//! Source: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>

use std::{borrow::Cow, sync::Arc};

use super::{
    Draft, Envelope, Format,
    json::{self, Clip, EventData, EventText},
};
use crate::{
    error::{ErrorCode, RequestError},
    request::event::{Event, Mode},
};
pub use answer::{Content, Outcome, Reply, structured_headers};

mod answer;
pub(super) mod base64;
#[cfg(test)]
pub(super) mod tests;

/// The content-type of events in structured mode.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// What the answer's type begins with where the request states none.
const UNKNOWN: &str = "modelmill";

/// The attributes of an event in binary mode, as far as they are headers that mean something to us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    pub version: Option<&'a str>,
    pub id: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub source: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// Takes a header, if it is one of these.
    ///
    /// # Errors
    /// If it is no text.
    pub fn take(&mut self, header: &[u8], value: &'a [u8]) -> Result<(), &'static str> {
        let Some((_, name)) = header.split_at_checked(3).filter(|(prefix, _)| prefix.eq_ignore_ascii_case(b"ce_"))
        else {
            return Ok(());
        };
        let slots = [
            (&b"specversion"[..], &mut self.version),
            (b"id", &mut self.id),
            (b"type", &mut self.kind),
            (b"source", &mut self.source),
        ];
        for (slot_name, slot) in slots {
            if name.eq_ignore_ascii_case(slot_name) {
                *slot = Some(std::str::from_utf8(value).map_err(|_| "must be UTF-8 text")?);
            }
        }
        Ok(())
    }

    /// The event; `None` if the record is none.
    pub fn event(&self) -> Option<Arc<Event>> {
        self.version?;
        Some(Arc::new(Event::new(Mode::Binary, self.id.unwrap_or_default(), self.kind.unwrap_or_default(), "")))
    }

    /// Checks that what every event must have is there.
    ///
    /// # Errors
    /// `INVALID_REQUEST` if it is not.
    pub fn check(&self) -> Result<(), RequestError> {
        let [version, id, kind, source] =
            [self.version, self.id, self.kind, self.source].map(Option::unwrap_or_default);
        required("ce_", version, id, kind, source)
    }
}

fn required(prefix: &str, version: &str, id: &str, kind: &str, source: &str) -> Result<(), RequestError> {
    if !version.is_empty() && version != "1.0" {
        let version = Clip(version);
        return Err(invalid(format!("an event of `specversion` 1.0 is expected, but `{version}` came")));
    }
    for (name, value) in [("specversion", version), ("id", id), ("type", kind), ("source", source)] {
        if value.is_empty() {
            return Err(invalid(format!("the event has no `{prefix}{name}`, which every CloudEvent must have")));
        }
    }
    Ok(())
}

/// Decodes one body that is an event in structured mode.
///
/// # Errors
/// `INVALID_REQUEST` if it is none, or what is said of its data.
pub fn decode(body: &[u8], draft: &mut Draft<'_>) -> Result<(), RequestError> {
    let event = json::read_event(body);
    draft.event = Some(Arc::new(event.as_ref().map_or_else(|_| unknown(), structured)));
    let event = event?;
    required("", &event.version, &event.id, &event.kind, &event.source)?;
    let content_type = event.content_type.as_deref();
    let data = data(&event.data, content_type)?;
    format(&draft.envelope, content_type)?.decode(&data, draft)
}

/// The event of a record that is refused, as far as it can be read.
pub fn find(envelope: &Envelope<'_>, body: Option<&[u8]>) -> Option<Arc<Event>> {
    let is_structured = matches!(Format::of(envelope, Format::Json), Ok(Format::Event));
    match body {
        Some(body) if is_structured || (envelope.event.version.is_none() && json::is_event(body)) => {
            Some(Arc::new(json::read_event(body).map_or_else(|_| unknown(), |event| structured(&event))))
        }
        _ if is_structured => Some(Arc::new(unknown())),
        _ => envelope.event.event(),
    }
}

/// The id of the data of an event in structured mode that cannot be decoded; `None` if they have none.
pub fn find_id(envelope: &Envelope<'_>, body: &[u8]) -> Option<String> {
    let event = json::read_event(body).ok()?;
    let content_type = event.content_type.as_deref();
    let (format, data) = (format(envelope, content_type).ok()?, data(&event.data, content_type).ok()?);
    format.find_id(&data).map(Cow::into_owned)
}

fn structured(event: &EventText<'_>) -> Event {
    Event::new(Mode::Structured, &event.id, &event.kind, &event.kept)
}

/// What is left of an event that cannot be read.
fn unknown() -> Event {
    Event::new(Mode::Structured, "", "", "")
}

/// The format of the data of an event in structured mode: its own content-type counts, not the record's.
fn format(envelope: &Envelope<'_>, content_type: Option<&str>) -> Result<Format, RequestError> {
    let envelope: Envelope<'_> =
        Envelope { content_type: Some(content_type.unwrap_or("application/json")), ..*envelope };
    match Format::of(&envelope, Format::Json)? {
        Format::Event => Err(invalid("the data of the event are an event: send the inner one".to_owned())),
        format => Ok(format),
    }
}

/// The data as a body.
fn data<'a>(data: &'a EventData<'_>, content_type: Option<&str>) -> Result<Cow<'a, [u8]>, RequestError> {
    match data {
        EventData::None => Err(invalid("the event has neither `data` nor `data_base64`".to_owned())),
        EventData::Json(json) if content_type.is_none_or(is_json) => Ok(json.as_bytes().into()),
        EventData::Json(_) => {
            let content_type = Clip(content_type.unwrap_or_default());
            Err(invalid(format!("data of `{content_type}` stand in `data_base64`, but `data` holds JSON")))
        }
        // No request is a JSON string: what some senders put there is a request as text.
        EventData::Text(text) => Ok(text.as_bytes().into()),
        EventData::Base64(text) => base64::decode(text)
            .map(Into::into)
            .map_err(|at| invalid(format!("`data_base64` is no base64 from its character {at} on"))),
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn invalid(sentence: String) -> RequestError {
    RequestError::new(ErrorCode::InvalidRequest, sentence)
}
