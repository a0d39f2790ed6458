//! What is said of a request that cannot be decoded: always `INVALID_REQUEST`, with the place and what came there.

use std::fmt;

use super::scan::{Bare, Broken, Scanner};
use crate::{
    error::{ErrorCode, RequestError},
    tensor::ShapeText,
};

/// Why a body is refused.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is no JSON.
    Broken(Broken),
    /// It is JSON, but no request.
    Refused(RequestError),
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<RequestError> for Fault {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// The error for the caller; `text` is the body.
    pub fn into_error(self, text: &str) -> RequestError {
        match self {
            Self::Refused(error) => error,
            Self::Broken(Broken { at, expected }) => match text.get(at..).and_then(|rest| rest.chars().next()) {
                Some(found) => {
                    error(format!("the body is broken at byte {at}: expected {expected}, but `{}` came", Shown(found)))
                }
                None => error(format!("the body is broken at byte {at}: expected {expected}, but it ends there")),
            },
        }
    }
}

/// `INVALID_REQUEST` with a sentence.
pub(super) fn error(sentence: String) -> RequestError {
    RequestError::new(ErrorCode::InvalidRequest, sentence)
}

/// The same as a fault.
pub(super) fn refused(sentence: String) -> Fault {
    Fault::Refused(error(sentence))
}

/// The fault of a value that is of another kind than it must be; the cursor stands on it.
pub(super) fn unexpected(scanner: &mut Scanner<'_>, what: impl fmt::Display, expected: &str) -> Fault {
    scanner.peek();
    let at = scanner.at();
    match scanner.skip(Bare::Allowed) {
        Ok(found) => refused(format!("{what} must be {expected}, but `{}` came (byte {at})", Clip(found))),
        Err(broken) => broken.into(),
    }
}

/// Text of the caller's in a sentence of ours: its beginning, if it is long.
pub(in crate::codec) struct Clip<'a>(pub &'a str);

impl fmt::Display for Clip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        match self.0.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

/// A shape in a sentence of ours: its beginning, if it is long.
pub(in crate::codec) fn shape_text(shape: &[usize]) -> String {
    Clip(&ShapeText(shape).to_string()).to_string()
}

/// One character, visible.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_control() { write!(f, "{}", self.0.escape_default()) } else { write!(f, "{}", self.0) }
    }
}
