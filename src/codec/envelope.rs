//! What a record says beside its body: its headers, its key and its position.

use std::{
    str::{FromStr, from_utf8},
    time::Duration,
};

use super::{asked::Headers, cloudevents::Attributes};
use crate::{
    broker::{Chunk, CopyRule, Message},
    error::{ErrorCode, RequestError},
    request::{Ids, Request, RequestId},
};

/// How many bytes of JSON a body begins with, behind which binary data follow; in requests and in answers.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// The names of the request headers that are read; compared without case. Of several names for one thing, any will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderNames {
    pub model: Vec<String>,
    pub version: Vec<String>,
    pub timeout: Vec<String>,
    pub request_id: Vec<String>,
    pub reply_topic: Vec<String>,
    pub reply_partition: Vec<String>,
    pub correlation_id: Vec<String>,
}

impl Default for HeaderNames {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            model: names(&["model-name"]),
            version: names(&["model-version"]),
            timeout: names(&["timeout-ms"]),
            request_id: names(&["x-request-id"]),
            reply_topic: names(&["kafka_replyTopic", "reply-to"]),
            reply_partition: names(&["kafka_replyPartition"]),
            correlation_id: names(&["kafka_correlationId", "correlation-id"]),
        }
    }
}

impl HeaderNames {
    /// Which headers stand in an answer: not those that are read here, whatever their names, but for the request's id and the
    /// sender's own.
    pub fn copy_rule(&self) -> CopyRule {
        let Self { model, version, timeout, request_id: _, reply_topic, reply_partition, correlation_id } = self;
        let left = [model, version, timeout, reply_topic, reply_partition].into_iter().flatten().cloned().collect();
        CopyRule::without(left).correlating_by(correlation_id.clone())
    }
}

/// The headers of a record that mean something to us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    pub content_type: Option<&'a str>,
    /// How the body was compressed.
    pub content_encoding: Option<&'a str>,
    /// Bytes of JSON at the start of the body, behind which binary data follow.
    pub header_length: Option<usize>,
    pub model: Option<&'a str>,
    pub version: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub timeout: Option<Duration>,
    pub reply_topic: Option<&'a str>,
    pub reply_partition: Option<&'a [u8]>,
    pub has_correlation_id: bool,
    /// The attributes of a CloudEvent in binary mode.
    pub event: Attributes<'a>,
    /// Whether the record has any headers at all.
    pub has_headers: bool,
    /// All of them, for those that only some pipelines ask for.
    pub headers: Headers<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads the headers of a message. The last of several headers of one name counts.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] for a header of ours that is no text or no number; the envelope then holds what was
    /// read so far.
    pub fn read(chunk: &'a Chunk, message: usize, names: &HeaderNames) -> (Self, Result<(), RequestError>) {
        let mut envelope = Self { headers: Headers::of(chunk, message), ..Self::default() };
        let mut verdict = Ok(());
        chunk.headers(message, &mut |header| {
            envelope.has_headers = true;
            if let Err(error) = envelope.take(header.name, header.value.unwrap_or_default(), names) {
                verdict = Err(error);
            }
        });
        (envelope, verdict)
    }

    fn take(&mut self, name: &[u8], value: &'a [u8], names: &HeaderNames) -> Result<(), RequestError> {
        let is = |ours: &[String]| ours.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()));
        let invalid = |why: &str| {
            let why = format!("header `{}` {why}", String::from_utf8_lossy(name));
            Err(RequestError::new(ErrorCode::InvalidRequest, why))
        };
        if let Err(why) = self.event.take(name, value) {
            return invalid(why);
        }
        let slot = if name.eq_ignore_ascii_case(b"content-type") {
            &mut self.content_type
        } else if name.eq_ignore_ascii_case(b"content-encoding") {
            &mut self.content_encoding
        } else if is(&names.model) {
            &mut self.model
        } else if is(&names.version) {
            &mut self.version
        } else if is(&names.request_id) {
            &mut self.request_id
        } else if is(&names.reply_topic) {
            &mut self.reply_topic
        } else if is(&names.timeout) {
            let Some(millis) = number(value) else {
                return invalid("must be a whole number of milliseconds");
            };
            self.timeout = Some(Duration::from_millis(millis));
            return Ok(());
        } else if name.eq_ignore_ascii_case(HEADER_LENGTH.as_bytes()) {
            let Some(bytes) = number(value) else {
                return invalid("must be a whole number: how many bytes of JSON the body begins with");
            };
            self.header_length = Some(bytes);
            return Ok(());
        } else {
            if is(&names.reply_partition) {
                self.reply_partition = Some(value);
            } else if is(&names.correlation_id) {
                self.has_correlation_id = true;
            }
            return Ok(());
        };
        match from_utf8(value) {
            Ok("") => {}
            Ok(text) => *slot = Some(text),
            Err(_) => return invalid("must be UTF-8 text"),
        }
        Ok(())
    }

    /// When a request's time is up, in milliseconds since the Unix epoch.
    pub fn deadline(&self, message: &Message<'_>, default: Option<Duration>) -> i64 {
        let Some(timeout) = self.timeout.or(default) else { return Request::NO_DEADLINE };
        if message.timestamp < 0 {
            return Request::NO_DEADLINE;
        }
        message.timestamp.saturating_add(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
    }

    /// The id of a request whose body has none: a header, else the key, else the position. Never empty.
    pub fn fallback_id(&self, ids: &mut Ids, message: &Message<'_>, topic: &str) -> RequestId {
        if let Some(id) = self.request_id {
            return ids.push(id);
        }
        match message.key.map(from_utf8) {
            Some(Ok(key)) if !key.is_empty() => ids.push(key),
            _ => ids.push_fmt(format_args!("{topic}-{}-{}", message.partition, message.offset)),
        }
    }
}

/// A header's value as a whole number.
fn number<T: FromStr>(value: &[u8]) -> Option<T> {
    from_utf8(value).ok().and_then(|text| text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::{MemoryRecord, MemoryRecords};

    fn chunk(headers: &[(&str, &[u8])], key: Option<&[u8]>) -> Chunk {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.to_vec()))).collect();
        let record =
            MemoryRecord { partition: 3, offset: 42, key: key.map(<[u8]>::to_vec), headers, ..Default::default() };
        Chunk::new(Box::new(MemoryRecords(vec![record])))
    }

    fn id(headers: &[(&str, &[u8])], key: Option<&[u8]>) -> String {
        let (chunk, mut ids) = (chunk(headers, key), Ids::default());
        let (envelope, _) = Envelope::read(&chunk, 0, &HeaderNames::default());
        let id = envelope.fallback_id(&mut ids, &chunk.message(0), "orders");
        ids.text(id).to_owned()
    }

    #[test]
    fn the_id_comes_from_the_header_then_the_key_then_the_position() {
        assert_eq!(id(&[("X-Request-Id", b"h")], Some(b"k")), "h");
        assert_eq!(id(&[("X-Request-Id", b"")], Some(b"k")), "k");
        assert_eq!(id(&[], Some(b"\xFF")), "orders-3-42");
        assert_eq!(id(&[], Some(b"")), "orders-3-42");
        assert_eq!(id(&[], None), "orders-3-42");
    }

    #[test]
    fn a_timeout_that_is_no_number_is_an_invalid_request() {
        let chunk = chunk(&[("timeout-ms", b"soon"), ("Model-Name", b"iris")], None);
        let (envelope, verdict) = Envelope::read(&chunk, 0, &HeaderNames::default());
        assert_eq!(verdict.unwrap_err().code(), ErrorCode::InvalidRequest);
        assert_eq!(envelope.model, Some("iris"));
    }

    #[test]
    fn headers_that_were_given_other_names_are_not_copied_either() {
        let names = HeaderNames {
            timeout: vec!["X-Budget".to_owned()],
            model: vec!["x-model".to_owned()],
            ..HeaderNames::default()
        };
        let rule = names.copy_rule();
        for (name, copied) in [("x-budget", false), ("X-MODEL", false), ("x-request-id", true), ("tenant", true)] {
            assert_eq!(rule.copies(name.as_bytes()), copied, "{name}");
        }
    }

    #[test]
    fn a_budget_counts_from_the_records_timestamp() {
        let envelope = Envelope { timeout: Some(Duration::from_millis(5)), ..Envelope::default() };
        let message = Message { topic: 0, partition: 0, offset: 0, timestamp: 1000, key: None, payload: None };
        assert_eq!(envelope.deadline(&message, None), 1005);
        assert_eq!(Envelope::default().deadline(&message, Some(Duration::from_secs(1))), 2000);
        assert_eq!(Envelope::default().deadline(&message, None), Request::NO_DEADLINE);
    }
}
