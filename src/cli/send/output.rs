//! How an answer is printed: a line for people, or a line of JSON.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

use crate::{
    broker::kafka::client::Record,
    codec::client::{embedded, json_line},
};

/// As wide as the longest error code of the contract.
const STATUS_WIDTH: usize = 18;

/// One answer and what is known about it.
pub struct Reply<'a> {
    /// The id of the request.
    pub id: &'a str,
    /// `OK` or the error code.
    pub status: &'a str,
    /// From handing the request to the client library to having the answer.
    pub latency: Duration,
    /// The answer itself.
    pub record: &'a Record,
}

/// Writes answers as they come.
pub struct Printer<'a, W> {
    output: &'a mut W,
    json: bool,
    id_width: usize,
}

impl<'a, W: Write> Printer<'a, W> {
    /// Lines of JSON, or lines whose ids take `id_width` columns.
    pub fn new(output: &'a mut W, json: bool, id_width: usize) -> Self {
        Self { output, json, id_width }
    }

    /// Writes one line and flushes it, so that it is seen at once.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn print(&mut self, reply: &Reply<'_>) -> io::Result<()> {
        let line = if self.json { as_json(reply) } else { self.for_people(reply) };
        writeln!(self.output, "{line}")?;
        self.output.flush()
    }

    fn for_people(&self, reply: &Reply<'_>) -> String {
        let (width, milliseconds) = (self.id_width, reply.latency.as_secs_f64() * 1e3);
        let body = match &reply.record.value {
            None => "(no value)".to_owned(),
            Some(value) => match std::str::from_utf8(value) {
                // A body over several lines would break the table.
                Ok(text) => text.split(['\n', '\r']).map(str::trim_start).collect(),
                Err(_) => format!("({} bytes that are no text)", value.len()),
            },
        };
        format!("{:<width$}  {:<STATUS_WIDTH$}  {milliseconds:>8.1} ms  {body}", reply.id, reply.status)
    }
}

fn as_json(reply: &Reply<'_>) -> String {
    #[derive(Serialize)]
    struct Line<'a, B> {
        id: &'a str,
        status: &'a str,
        latency_ms: f64,
        partition: i32,
        offset: i64,
        key: Option<String>,
        headers: BTreeMap<&'a str, Option<String>>,
        body: B,
    }
    let record = reply.record;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    json_line(&Line {
        id: reply.id,
        status: reply.status,
        latency_ms: (reply.latency.as_secs_f64() * 1e6).round() / 1e3,
        partition: record.partition,
        offset: record.offset,
        key: record.key.as_deref().map(text),
        headers: record.headers.iter().map(|(name, value)| (&**name, value.as_deref().map(text))).collect(),
        body: record.value.as_deref().map(embedded),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn line(json: bool, value: Option<&[u8]>) -> String {
        let record = Record {
            topic: "out".to_owned(),
            partition: 3,
            offset: 42,
            timestamp: None,
            key: Some(b"r-1".to_vec()),
            value: value.map(<[u8]>::to_vec),
            headers: vec![("status".to_owned(), Some(b"OK".to_vec()))],
            received_at: Instant::now(),
        };
        let mut output = Vec::new();
        let latency = Duration::from_micros(3_625);
        let reply = Reply { id: "r-1", status: "OK", latency, record: &record };
        Printer::new(&mut output, json, 5).print(&reply).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_line_for_people_is_aligned_and_stays_one_line() {
        let body = b"{\n  \"id\": \"r-1\"\n}";
        assert_eq!(line(false, Some(body)), "r-1    OK                       3.6 ms  {\"id\": \"r-1\"}\n");
        assert!(line(false, Some(b"\xff")).ends_with("(1 bytes that are no text)\n"));
        assert!(line(false, None).ends_with("(no value)\n"));
    }

    #[test]
    fn a_line_of_json_holds_the_body_as_json() {
        let expected = r#"{"id":"r-1","status":"OK","latency_ms":3.625,"partition":3,"offset":42,"key":"r-1","headers":{"status":"OK"},"body":{"id":"r-1"}}"#;
        assert_eq!(line(true, Some(b"{\"id\": \"r-1\"}")).trim_end(), expected);
    }
}
