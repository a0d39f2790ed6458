//! JSON as a client needs it: the id and the fate of an answer, requests that are read from a file, a body with a
//! place for the id, lines of output.
//!
//! `send`, `load`, `demo` and the tests stand on the other side of the journey; they share no code with the worker's
//! codecs, so that a fault of those cannot hide behind itself. Finding the id of an answer reads no further than the id
//! and the first name after it that tells success from error: well under a microsecond, however long the tensors are.

mod documents;
mod members;
mod template;

use std::{borrow::Cow, ops::Range};

use members::{Members, text_of};
use serde::Serialize;

pub use documents::{Document, documents};
pub use template::Template;

/// Why a body cannot be used as a request; a sentence for the person who wrote it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(String);

/// What a client wants to know of an answer's body first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AnswerHead<'a> {
    /// The body's `id`; `None` if the body is no JSON object or has none.
    pub id: Option<Cow<'a, str>>,
    /// `error.code`, if the body is an error.
    pub error: Option<Cow<'a, str>>,
}

impl<'a> AnswerHead<'a> {
    /// Reads as much of `body` as is needed.
    pub fn of(body: &'a [u8]) -> Self {
        let mut head = Self::default();
        let Some(mut members) = Members::of(body) else { return head };
        while let Some(name) = members.name() {
            // An answer has either results or an error, so results end the search once the id is known.
            if head.id.is_some() && matches!(name, b"outputs" | b"predictions") {
                break;
            }
            let Some(value) = members.value() else { break };
            match name {
                b"id" => head.id = text_of(&body[value]),
                b"error" => head.error = code_of(&body[value]),
                _ => continue,
            }
            if head.id.is_some() && head.error.is_some() {
                break;
            }
        }
        head
    }
}

/// The id in an answer's body.
pub fn id_of_answer(body: &[u8]) -> Option<Cow<'_, str>> {
    AnswerHead::of(body).id
}

/// The id in a request's body: text or a number; `None` where it is absent, null or empty, or the body no object.
pub fn id_of_request(body: &[u8]) -> Option<Cow<'_, str>> {
    member(body, b"id").and_then(|value| text_of(&body[value])).filter(|id| !id.is_empty())
}

/// One line of JSON.
pub fn json_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("values with text keys and no failing parts always serialize")
}

/// A body as a part of a [`json_line`]: JSON as it is (over one line), text as a string, anything else as its size.
pub fn embedded(body: &[u8]) -> impl Serialize + use<> {
    match (serde_json::from_slice(body), std::str::from_utf8(body)) {
        (Ok(value), _) => value,
        (Err(_), Ok(text)) => serde_json::Value::from(text),
        (Err(_), Err(_)) => serde_json::Value::from(format!("{} bytes that are no text", body.len())),
    }
}

fn member(body: &[u8], wanted: &[u8]) -> Option<Range<usize>> {
    let mut members = Members::of(body)?;
    while let Some(name) = members.name() {
        let value = members.value()?;
        if name == wanted {
            return Some(value);
        }
    }
    None
}

fn code_of(error: &[u8]) -> Option<Cow<'_, str>> {
    member(error, b"code").and_then(|value| text_of(&error[value]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(body: &str) -> (Option<String>, Option<String>) {
        let head = AnswerHead::of(body.as_bytes());
        (head.id.map(Cow::into_owned), head.error.map(Cow::into_owned))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn an_answers_id_is_found_in_every_form() {
        assert_eq!(head(r#"{"model_name":"m","id":"a-1","outputs":[{"id":"no"}]}"#), (some("a-1"), None));
        assert_eq!(head(r#"{"id": 17, "predictions": ["setosa"]}"#), (some("17"), None));
        assert_eq!(head(r#"{"predictions":[{"id":"no"}],"id":"last"}"#), (some("last"), None));
        assert_eq!(head("no json"), (None, None));
    }

    #[test]
    fn an_errors_code_is_found_before_or_after_the_id() {
        let error = r#""error":{"message":"code","code":"INVALID_INPUT"}"#;
        assert_eq!(head(&format!(r#"{{"id":"a",{error}}}"#)), (some("a"), some("INVALID_INPUT")));
        assert_eq!(head(&format!(r#"{{{error},"id":"a"}}"#)), (some("a"), some("INVALID_INPUT")));
    }

    #[test]
    fn results_end_the_search_so_broken_tensors_do_not_hide_the_id() {
        assert_eq!(head(r#"{"id":"a","outputs":[[[[[["#), (some("a"), None));
    }

    #[test]
    fn an_empty_or_null_id_of_a_request_is_no_id() {
        assert_eq!(id_of_request(br#"{"inputs":[],"id":"x"}"#).as_deref(), Some("x"));
        for body in [r#"{"id":null}"#, r#"{"id":""}"#, "{}", "[]", "text"] {
            assert_eq!(id_of_request(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_body_is_embedded_as_what_it_is() {
        assert_eq!(json_line(&embedded(b"{\"a\":\n 1.50}")), r#"{"a":1.5}"#);
        assert_eq!(json_line(&embedded(b"text")), r#""text""#);
        assert_eq!(json_line(&embedded(b"\xff\xff")), r#""2 bytes that are no text""#);
    }
}
