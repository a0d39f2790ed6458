//! Compressed bodies: `content-encoding: gzip` or `zstd`, inflated before anything else looks at them.
//!
//! Every format may come compressed; lengths in headers are those of the inflated body. Answers are not compressed here:
//! Kafka's own `compression.type` does that for whole batches.
//!
//! What a small record may become is bounded three times:
//!
//! * A body is inflated piece by piece and given up at the limit (`limits.inflated_bytes`). What it says of its own size is
//!   not looked at, nor is memory made for more than the limit.
//! * The bodies of a chunk are inflated one after another into one buffer, and decoded from there. What is left of them are
//!   columns, so those count, by the bytes that they were made of: a chunk is decoded in parts of at most the limit
//!   ([`super::Decoded::rest`]), and the next part begins when the models have had this one.
//! * All chunks together hold a few times the limit ([`Room`]), and who finds no room waits.
//!
//! Columns may be larger than the text that they were made of, as they may be for bodies that were never compressed: a
//! number of one digit and its comma become eight bytes.

use zstd_safe::DCtx;

use super::Envelope;
use crate::error::{ErrorCode, RequestError};
pub use room::{Room, Space};

mod gzip;
mod room;
#[cfg(test)]
pub(super) mod tests;
mod zstd;

/// How a body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Zstd,
}

/// Why a body cannot be inflated.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// It becomes larger than it may.
    TooLarge,
    /// It ends too early.
    CutOff,
    /// Something else follows its end.
    Trailing { at: usize },
    /// It is none, or broken.
    Broken { at: usize, why: String },
}

/// A body as it can be read.
#[derive(Debug)]
pub struct Body<'a> {
    /// Its bytes; of one that cannot be inflated to its end, those before the fault. `None` for a record without a value.
    pub bytes: Option<&'a [u8]>,
    /// Why these are not all.
    pub fault: Option<RequestError>,
}

/// Inflates the bodies of a part of a chunk, one after another.
pub struct Inflater<'a> {
    /// The most bytes of one body, and of all that are decoded in this part.
    most: usize,
    /// Where space is asked for when the first compressed body comes; nobody needs to be asked without it.
    room: Option<&'a Room>,
    space: Option<Space>,
    buffer: Vec<u8>,
    /// How much of it the message is that was opened last: nothing, if that came as it is.
    last: usize,
    /// Bytes of the bodies that are columns now.
    decoded: usize,
    context: Option<DCtx<'static>>,
}

impl<'a> Inflater<'a> {
    /// The limit where none is configured.
    pub const DEFAULT_MOST: usize = 16 << 20;

    /// One that nobody shares memory with: a chunk is one part.
    pub fn alone(most: usize) -> Self {
        Self { most, room: None, space: None, buffer: Vec::new(), last: 0, decoded: 0, context: None }
    }

    /// One that takes its space from `room`, unless it was given some.
    pub fn within(room: &'a Room, space: Option<Space>) -> Self {
        Self { room: Some(room), space, ..Self::alone(room.most()) }
    }

    /// A message's body, ready to be read. `None` if the message must wait for the next part.
    pub fn open<'b>(&'b mut self, envelope: &Envelope<'_>, payload: Option<&'b [u8]>) -> Option<Body<'b>> {
        self.last = 0;
        let coding = match envelope.content_encoding.map_or(Ok(None), coding) {
            Ok(Some(coding)) => coding,
            Ok(None) => return Some(Body { bytes: payload, fault: None }),
            Err(fault) => return Some(Body { bytes: payload, fault: Some(fault) }),
        };
        let Some(payload) = payload.filter(|payload| !payload.is_empty()) else {
            return Some(Body { bytes: payload, fault: None });
        };
        if !self.has_space() {
            return None;
        }
        let outcome = self.inflate(coding, payload);
        // What cannot be inflated leaves no columns.
        let is_too_much = self.decoded > 0 && self.decoded + self.buffer.len() > self.most;
        if self.room.is_some() && outcome.is_ok() && is_too_much {
            return None;
        }
        self.last = self.buffer.len();
        let fault = outcome.err().map(|fault| fault.into_error(coding, payload.len(), self.most));
        Some(Body { bytes: Some(&self.buffer), fault })
    }

    /// The body that was opened last has become columns.
    pub fn keep(&mut self) {
        self.decoded += self.last;
    }

    /// What the columns of this part take of the room; the rest is given back.
    pub fn into_space(self) -> Option<Space> {
        let mut space = self.space?;
        space.shrink(self.decoded);
        Some(space)
    }

    /// Begins the part anew.
    pub fn restart(&mut self) {
        (self.buffer, self.last, self.decoded, self.context) = (Vec::new(), 0, 0, None);
    }

    fn has_space(&mut self) -> bool {
        let Some(room) = self.room else { return true };
        if self.space.is_none() {
            self.space = room.try_enter();
        }
        self.space.is_some()
    }

    fn inflate(&mut self, coding: Coding, payload: &[u8]) -> Result<(), Fault> {
        self.buffer.clear();
        match coding {
            Coding::Gzip => gzip::inflate(payload, self.most, &mut self.buffer),
            Coding::Zstd => {
                let context = self.context.get_or_insert_with(zstd::context);
                zstd::inflate(context, payload, self.most, &mut self.buffer)
            }
        }
    }
}

/// What the header says; `None` for a body that is as it is.
fn coding(header: &str) -> Result<Option<Coding>, RequestError> {
    let mut found = None;
    for name in header.split(',').map(str::trim) {
        let is = |ours: &str| name.eq_ignore_ascii_case(ours);
        let coding = if is("gzip") || is("x-gzip") {
            Coding::Gzip
        } else if is("zstd") {
            Coding::Zstd
        } else if is("identity") || name.is_empty() {
            continue;
        } else {
            let why = format!("content-encoding `{name}` is not supported; send gzip, zstd or identity");
            return Err(RequestError::new(ErrorCode::InvalidRequest, why));
        };
        if found.replace(coding).is_some() {
            let why = format!("content-encoding `{header}` is more than one; compress the body once");
            return Err(RequestError::new(ErrorCode::InvalidRequest, why));
        }
    }
    Ok(found)
}

/// Makes room for more of a body. Memory is made for twice what came so far, and never for more than the limit.
fn make_room(out: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
    const FIRST: usize = 64 << 10;
    if out.len() > most {
        return Err(Fault::TooLarge);
    }
    if out.len() == out.capacity() {
        // One byte beyond the limit shows that there is more.
        let next = (out.len() * 2).clamp(FIRST, FIRST.max(most.saturating_add(1)));
        out.reserve_exact(next - out.len());
    }
    Ok(())
}

impl Fault {
    fn into_error(self, coding: Coding, length: usize, most: usize) -> RequestError {
        let name = match coding {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
        };
        let why = match self {
            Self::TooLarge => format!(
                "the body is {length} bytes of {name} and more than {most} when inflated, the most that is taken \
                 (`limits.inflated_bytes`): send fewer rows at a time"
            ),
            Self::CutOff => format!("the body is cut off: its {length} bytes are not all of the {name}"),
            Self::Trailing { at } => {
                format!("the {name} ends at byte {at} of the body, but {} more bytes follow", length - at)
            }
            Self::Broken { at, why } => {
                format!("the body is no {name}, or broken, at byte {at}: {why}; its content-encoding says {name}")
            }
        };
        RequestError::new(ErrorCode::InvalidRequest, why)
    }
}
