//! What a request says that may choose its model: the names that it states, its key, its headers, its parameters.
//!
//! Most pipelines know their model without any of it, so everything is a reference, and headers and parameters are looked
//! for only when somebody asks.

use std::{borrow::Cow, fmt};

use super::json::find_parameter;
use crate::broker::Chunk;

/// What a request says that may choose its model; `None` where it is silent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The model that it names: header, else body.
    pub model: Option<&'a str>,
    /// The version that it names: header, else body.
    pub version: Option<&'a str>,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: Headers<'a>,
    /// The body's parameters: the text of a JSON object.
    pub parameters: Option<&'a str>,
}

/// One of the body's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// It is not there, or null.
    Missing,
    /// A string, or the digits of a whole number.
    Text(Cow<'a, str>),
    /// Anything else.
    Other,
}

impl<'a> Asked<'a> {
    /// The parameter called `name`; of several, the last.
    pub fn parameter(&self, name: &str) -> Parameter<'a> {
        self.parameters.map_or(Parameter::Missing, |parameters| find_parameter(parameters, name))
    }
}

/// The headers of one record.
#[derive(Clone, Copy, Default)]
pub struct Headers<'a>(Option<(&'a Chunk, usize)>);

impl<'a> Headers<'a> {
    /// Those of the message at `index`.
    pub fn of(chunk: &'a Chunk, index: usize) -> Self {
        Self(Some((chunk, index)))
    }

    /// The value of the header called `name`, in any case; of several, the last. Kafka's null is an empty value.
    pub fn find(self, name: &str) -> Option<&'a [u8]> {
        let (chunk, index) = self.0?;
        let mut found = None;
        chunk.headers(index, &mut |header| {
            if header.name.eq_ignore_ascii_case(name.as_bytes()) {
                found = Some(header.value.unwrap_or_default());
            }
        });
        found
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Headers").field(&self.0.map(|(_, index)| index)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::{MemoryRecord, MemoryRecords};

    #[test]
    fn a_header_is_found_in_any_case_and_the_last_one_counts() {
        let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        let headers = vec![header("Tenant", Some(b"a")), header("tenant", Some(b"b")), header("null", None)];
        let chunk = Chunk::new(Box::new(MemoryRecords(vec![MemoryRecord { headers, ..MemoryRecord::default() }])));
        let headers = Headers::of(&chunk, 0);
        assert_eq!((headers.find("TENANT"), headers.find("null")), (Some(&b"b"[..]), Some(&b""[..])));
        assert_eq!((headers.find("other"), Headers::default().find("tenant")), (None, None));
    }
}
