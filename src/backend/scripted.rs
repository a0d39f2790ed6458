//! A session made of a closure: stands in for a model where a test is about what happens around it.

use std::ops::Range;

use super::{BackendError, Session, Signature};
use crate::tensor::{Column, Columns};

/// What a scripted session does with its rows.
pub type Script = Box<dyn FnMut(&Columns, Option<Range<usize>>) -> Result<Vec<Column>, BackendError> + Send>;

/// A model whose runs are a closure.
pub struct ScriptedSession {
    signature: Signature,
    script: Script,
}

impl ScriptedSession {
    /// A session with this signature that answers each run with `script`.
    pub fn new(signature: Signature, script: Script) -> Self {
        Self { signature, script }
    }
}

impl Session for ScriptedSession {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &Columns, rows: Option<Range<usize>>) -> Result<Vec<Column>, BackendError> {
        (self.script)(inputs, rows)
    }
}
