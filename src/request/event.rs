//! The CloudEvent that a request came in, as far as its answer must know of it.

/// How an event travels in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its attributes are headers, its data the body.
    Binary,
    /// All of it is the body, as JSON.
    Structured,
}

/// An event around a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub mode: Mode,
    /// Its id, which is the request's where the data have none. Empty if the event is refused for that.
    pub id: Box<str>,
    /// Its type. Empty if the event is refused for that.
    pub kind: Box<str>,
    /// In structured mode, the attributes that the answer takes over, as members of a JSON object, each behind a comma. In
    /// binary mode the request's headers are copied.
    pub kept: Box<str>,
}

impl Event {
    /// An event that travels so.
    pub fn new(mode: Mode, id: &str, kind: &str, kept: &str) -> Self {
        Self { mode, id: id.into(), kind: kind.into(), kept: kept.into() }
    }
}
