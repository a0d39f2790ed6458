//! Answers as events: in the mode of their requests, with their extensions.

use std::time::SystemTime;

use super::{STRUCTURED, UNKNOWN, base64};
use crate::{
    broker::OwnHeaders,
    codec::{envelope::HEADER_LENGTH, json, uri},
    request::event::Event,
};

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Response,
    Error,
}

/// An answer as an event.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    event: &'a Event,
    id: &'a str,
    pipeline: &'a str,
    outcome: Outcome,
}

/// What is in the data of an event.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub content_type: &'static str,
    /// Whether it is JSON from end to end.
    pub is_json: bool,
}

impl<'a> Reply<'a> {
    /// The answer of a pipeline to the request with this id, which came in `event`.
    pub fn new(event: &'a Event, id: &'a str, pipeline: &'a str, outcome: Outcome) -> Self {
        Self { event, id, pipeline, outcome }
    }

    /// The headers of an answer in binary mode, beside those of the request that it takes over.
    pub fn headers(self) -> OwnHeaders {
        let header = |name, value: String| (name, value.into_bytes());
        vec![
            header("ce_specversion", "1.0".to_owned()),
            header("ce_id", self.id.to_owned()),
            header("ce_source", self.source()),
            header("ce_type", self.kind()),
            header("ce_time", now()),
        ]
    }

    /// Puts the body that begins at `start` into an event in structured mode.
    pub fn enclose(self, out: &mut Vec<u8>, start: usize, content: Content) {
        let body = out.split_off(start);
        let mut member = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            json::string(out, value);
        };
        member("{\"specversion\":", "1.0");
        member(",\"id\":", self.id);
        member(",\"source\":", &self.source());
        member(",\"type\":", &self.kind());
        member(",\"time\":", &now());
        member(",\"datacontenttype\":", content.content_type);
        out.extend_from_slice(self.event.kept.as_bytes());
        if content.is_json {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(&body);
            out.push(b'}');
        } else {
            out.extend_from_slice(b",\"data_base64\":\"");
            base64::encode(out, &body);
            out.extend_from_slice(b"\"}");
        }
    }

    fn kind(self) -> String {
        let kind = if self.event.kind.is_empty() { UNKNOWN } else { &self.event.kind };
        let outcome = match self.outcome {
            Outcome::Response => "response",
            Outcome::Error => "error",
        };
        format!("{kind}.{outcome}")
    }

    /// A URI reference that names the pipeline.
    fn source(self) -> String {
        format!("/modelmill/{}", uri::segment(self.pipeline))
    }
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// The headers of an answer in structured mode. `behind_json`: how many bytes of JSON its data begin with, if others follow.
pub fn structured_headers(behind_json: Option<usize>) -> OwnHeaders {
    let mut headers = vec![("content-type", STRUCTURED.as_bytes().to_vec())];
    headers.extend(behind_json.map(|header| (HEADER_LENGTH, header.to_string().into_bytes())));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::event::Mode;

    fn written(event: &Event, body: &[u8], is_json: bool) -> serde_json::Value {
        let mut out = [b"before", body].concat();
        let content = Content { content_type: "application/x-protobuf", is_json };
        Reply::new(event, "r\"1", "my pipeline/é", Outcome::Response).enclose(&mut out, 6, content);
        serde_json::from_slice(&out[6..]).unwrap()
    }

    #[test]
    fn a_body_is_enclosed_as_json_or_as_base64_with_the_requests_extensions() {
        let event = Event::new(Mode::Structured, "1", "com.example.ask", r#","tenant":"blue","n":7"#);
        let json = written(&event, br#"{"id": 1}"#, true);
        assert_eq!(json["data"], serde_json::json!({"id": 1}));
        for (name, value) in [
            ("specversion", "1.0"),
            ("id", "r\"1"),
            ("source", "/modelmill/my%20pipeline%2F%C3%A9"),
            ("type", "com.example.ask.response"),
            ("datacontenttype", "application/x-protobuf"),
            ("tenant", "blue"),
        ] {
            assert_eq!(json[name], value);
        }
        assert_eq!(
            (&json["n"], written(&event, b"\x01\x02", false)["data_base64"].as_str()),
            (&7.into(), Some("AQI="))
        );
    }

    #[test]
    fn an_answer_to_an_event_without_a_type_has_one_and_its_time_is_now() {
        let event = Event::new(Mode::Binary, "", "", "");
        let headers = Reply::new(&event, "r", "p", Outcome::Error).headers();
        let value = |name: &str| {
            let (_, value) = headers.iter().find(|(header, _)| *header == name).unwrap();
            String::from_utf8(value.clone()).unwrap()
        };
        assert_eq!((value("ce_type"), value("ce_source")), ("modelmill.error".to_owned(), "/modelmill/p".to_owned()));
        let time = humantime::parse_rfc3339(&value("ce_time")).unwrap();
        assert!(time.elapsed().unwrap() < std::time::Duration::from_secs(60));
    }
}
