//! A CloudEvent in JSON: its attributes, and where its data are.
//!
//! Source: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use std::borrow::Cow;

use super::{
    body::{string, twice},
    fault::{Clip, Fault, refused},
    scan::{Bare, Scanner},
    text_of,
    write::string as write_string,
};
use crate::error::RequestError;

/// Attributes that an answer does not take over: it has its own, or they describe the data.
const OWN: [&str; 9] =
    ["specversion", "id", "source", "type", "time", "datacontenttype", "dataschema", "data", "data_base64"];

/// An event as it stands in a body.
#[derive(Debug, Default)]
pub struct EventText<'a> {
    pub version: Cow<'a, str>,
    pub id: Cow<'a, str>,
    pub kind: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub content_type: Option<Cow<'a, str>>,
    /// The attributes that an answer takes over, as members of a JSON object, each behind a comma.
    pub kept: String,
    pub data: EventData<'a>,
}

/// The data of an event.
#[derive(Debug, Default)]
pub enum EventData<'a> {
    #[default]
    None,
    /// A JSON value that is no string.
    Json(&'a str),
    /// A string.
    Text(Cow<'a, str>),
    /// Bytes in base64.
    Base64(Cow<'a, str>),
}

/// Whether a body may be an event though nothing says so: JSON with `specversion` and neither `inputs` nor `instances`.
pub fn is_event(body: &[u8]) -> bool {
    if memchr::memmem::find(body, b"specversion").is_none() {
        return false;
    }
    let (mut is_versioned, mut is_request) = (false, false);
    let walk = text_of(body).map_err(Fault::from).and_then(|text| {
        Scanner::new(text).members(|scanner, key| {
            is_versioned |= key == "specversion";
            is_request |= matches!(key, "inputs" | "instances");
            Ok::<_, Fault>(scanner.skip(Bare::Allowed).map(drop)?)
        })
    });
    // What breaks behind its version is told as a broken event.
    is_versioned && !is_request && (walk.is_ok() || body.trim_ascii_start().starts_with(b"{"))
}

/// Reads an event. Required attributes that are missing are empty.
///
/// # Errors
/// `INVALID_REQUEST` if it is none.
pub fn read_event(body: &[u8]) -> Result<EventText<'_>, RequestError> {
    let text = text_of(body)?;
    members(text).map_err(|fault| fault.into_error(text))
}

fn members(text: &str) -> Result<EventText<'_>, Fault> {
    let (mut event, mut names, mut scanner) = (EventText::default(), Vec::new(), Scanner::new(text));
    scanner.members(|scanner, name| {
        names.push(name.to_owned());
        if scanner.null() {
            return Ok(());
        }
        event.member(scanner, name)
    })?;
    scanner.end()?;
    match twice(names.iter().map(String::as_str)) {
        Some(name) => Err(refused(format!("`{}` stands twice in the event", Clip(name)))),
        None => Ok(event),
    }
}

impl<'a> EventText<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, name: &str) -> Result<(), Fault> {
        let text = |scanner: &mut Scanner<'a>| string(scanner, &format!("`{name}` of the event"));
        match name {
            "specversion" => self.version = text(scanner)?,
            "id" => self.id = text(scanner)?,
            "type" => self.kind = text(scanner)?,
            "source" => self.source = text(scanner)?,
            "datacontenttype" => self.content_type = Some(text(scanner)?),
            "data" | "data_base64" if !matches!(self.data, EventData::None) => {
                return Err(refused("an event has `data` or `data_base64`, but both came".to_owned()));
            }
            "data" if scanner.peek() == Some(b'"') => self.data = EventData::Text(text(scanner)?),
            "data" => self.data = EventData::Json(scanner.skip(Bare::Allowed)?),
            "data_base64" => self.data = EventData::Base64(text(scanner)?),
            _ if OWN.contains(&name) => drop(scanner.skip(Bare::Refused)?),
            // Lists and objects are no attributes.
            _ if matches!(scanner.peek(), Some(b'[' | b'{')) => drop(scanner.skip(Bare::Refused)?),
            _ => {
                let start = scanner.at();
                match scanner.peek() {
                    // Read and not skipped: half a surrogate pair would make an answer that nobody can read.
                    Some(b'"') => drop(text(scanner)?),
                    _ => drop(scanner.skip(Bare::Refused)?),
                }
                let value = &scanner.text()[start..scanner.at()];
                let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                // Nor does everybody read a number beyond all doubles.
                if !is_number || value.parse().is_ok_and(f64::is_finite) {
                    self.keep(name, value);
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, name: &str, value: &str) {
        let mut quoted = b",".to_vec();
        write_string(&mut quoted, name);
        self.kept.push_str(std::str::from_utf8(&quoted).expect("a string is written as UTF-8"));
        self.kept.push(':');
        self.kept.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_from_a_request_by_its_version_and_what_it_lacks() {
        assert!(is_event(br#" {"id": "1", "specversion": "1.0", "data": {"inputs": []}}"#));
        for other in [
            &br#"{"specversion": "1.0", "inputs": []}"#[..],
            br#"{"instances": [[1]], "specversion": "1.0"}"#,
            br#"{"parameters": {"specversion": "1.0"}}"#,
            br#"["specversion"]"#,
            b"specversion",
            b"\xFF\"specversion\"",
            b"",
        ] {
            assert!(!is_event(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn extensions_are_kept_as_they_were_written() {
        let body = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","te\u006eant" : "a\"b","n":7,"none":null,"subject":"x",
            "list":["\ud800"],"beyond":1e999,"time":"2026-01-01T00:00:00Z","dataschema":"s","data":[NaN]}"#;
        let event = read_event(body).unwrap();
        assert_eq!(event.kept, r#","tenant":"a\"b","n":7,"subject":"x""#);
        assert!(matches!(event.data, EventData::Json("[NaN]")));
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_reason() {
        for (body, expected) in [
            (r#"{"specversion": 1}"#, "`specversion` of the event must be a string, but `1` came"),
            (r#"{"data": 1, "data_base64": ""}"#, "has `data` or `data_base64`, but both came"),
            (r#"{"x": 1, "x": 2}"#, "`x` stands twice in the event"),
            (r#"{"tenant": "\ud83d"}"#, "a whole surrogate pair"),
            (r#"{"id": "1""#, "the body is broken at byte 10"),
            ("[]", "expected `{`"),
        ] {
            let why = read_event(body.as_bytes()).unwrap_err();
            assert!(why.message().contains(expected), "{why}");
        }
    }
}
