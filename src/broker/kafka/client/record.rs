//! A record that was read: borrowed from the client library while it is looked at, or owned.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};

use crate::codec::client::AnswerHead;

/// The status of an answer that is no error.
pub const OK: &str = "OK";

/// A record in the memory of the client library: nothing of it is copied.
pub struct RecordView<'a> {
    message: &'a BorrowedMessage<'a>,
    /// When the client took it over.
    pub received_at: Instant,
}

impl<'a> RecordView<'a> {
    pub(super) fn new(message: &'a BorrowedMessage<'a>) -> Self {
        Self { message, received_at: Instant::now() }
    }

    /// The record's key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.message.key()
    }

    /// The record's value; `None` for a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.message.payload()
    }

    /// The value of the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.message.headers()?.iter().find(|header| header.key == name)?.value
    }

    /// The id that the answer carries, and its status: see [`Record::id`] and [`Record::status`].
    pub fn id_and_status(&self) -> (Option<Cow<'a, str>>, Cow<'a, str>) {
        id_and_status(self.key(), self.value(), self.header("status"))
    }

    /// A copy that outlives the client.
    pub fn to_record(&self) -> Record {
        let headers = self.message.headers().into_iter().flat_map(|headers| headers.iter());
        Record {
            topic: self.message.topic().to_owned(),
            partition: self.message.partition(),
            offset: self.message.offset(),
            timestamp: self.message.timestamp().to_millis(),
            key: self.key().map(<[u8]>::to_vec),
            value: self.value().map(<[u8]>::to_vec),
            headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
            received_at: self.received_at,
        }
    }
}

/// A record of its own.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it was read.
    pub topic: String,
    /// Where it was read.
    pub partition: i32,
    /// Where it was read.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// When the client took it over.
    pub received_at: Instant,
}

impl Record {
    /// The id of an answer: that of its body, else its key (answers are keyed by request id, and not every codec's body
    /// is JSON).
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.id_and_status().0
    }

    /// `OK` or the error code of an answer: from its `status` header, else from its body, since answers to bare requests
    /// carry no headers.
    pub fn status(&self) -> Cow<'_, str> {
        self.id_and_status().1
    }

    /// The value of the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| key == name)?.1.as_deref()
    }

    /// The value as text, for people and assertions.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default())
    }

    /// How long after `sent_at` it was received.
    pub fn latency(&self, sent_at: Instant) -> Duration {
        self.received_at.saturating_duration_since(sent_at)
    }

    fn id_and_status(&self) -> (Option<Cow<'_, str>>, Cow<'_, str>) {
        id_and_status(self.key.as_deref(), self.value.as_deref(), self.header("status"))
    }
}

fn id_and_status<'a>(
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
) -> (Option<Cow<'a, str>>, Cow<'a, str>) {
    let head = AnswerHead::of(value.unwrap_or_default());
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
    let id = head.id.or_else(|| key.and_then(text));
    let status = status.and_then(text).or(head.error).unwrap_or(Cow::Borrowed(OK));
    (id, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_says_id_and_status_and_key_and_header_where_it_cannot() {
        let of = |key: Option<&'static str>, value: &'static str, status: Option<&'static str>| {
            let (id, status) = id_and_status(key.map(str::as_bytes), Some(value.as_bytes()), status.map(str::as_bytes));
            (id.map(Cow::into_owned), status.into_owned())
        };
        let id = |text: &str| Some(text.to_owned());
        assert_eq!(of(Some("key"), r#"{"id":"body","outputs":[]}"#, None), (id("body"), OK.to_owned()));
        assert_eq!(of(Some("key"), "binary", None), (id("key"), OK.to_owned()));
        assert_eq!(of(None, r#"{"id":"b","error":{"code":"INTERNAL"}}"#, None), (id("b"), "INTERNAL".to_owned()));
        assert_eq!(of(Some("key"), "binary", Some("INTERNAL")), (id("key"), "INTERNAL".to_owned()));
    }
}
