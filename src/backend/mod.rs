//! What executes a model: from named tensors to named tensors, on the thread that owns the session.
//!
//! A [`Session`] is one loaded copy of one model version. It belongs to one thread (the batcher's) and knows nothing of
//! requests: it is given rows and returns rows, or whatever the graph made of them. [`onnx`] is the backend for ONNX
//! files; [`scripted`] is a session made of a closure, for tests of what stands above. [`decide`] says whether rows of
//! several requests may share a run, [`check_input`] whether a tensor of a request fits.

use std::{fmt, ops::Range, sync::Arc};

use crate::tensor::{Column, Columns, DataType, Elements, Name};

use batching::declared_axis;
pub use batching::{BatchingChoice, decide};
pub use check::check_input;
pub use probe::sample;

mod batching;
mod check;
mod draw;
pub mod onnx;
mod probe;
pub mod scripted;

/// One input or output, as the model declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// The graph's name for it.
    pub name: Name,
    /// Its element type.
    pub datatype: DataType,
    /// Its axes; `None` is any length.
    pub shape: Vec<Option<usize>>,
    /// The model does not even say how many axes there are; `shape` is empty then and says nothing.
    pub unranked: bool,
    /// An input that the graph has a default for.
    pub optional: bool,
    /// What the entries of the last axis stand for (the classes of a scikit-learn ZipMap).
    pub classes: Option<Arc<Elements>>,
}

impl fmt::Display for TensorSpec {
    /// `FP32 [?, 4]`: the form in which errors and `inspect` show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unranked {
            return write!(f, "{} of any shape", self.datatype);
        }
        write!(f, "{} [", self.datatype)?;
        for (index, axis) in self.shape.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            match axis {
                Some(length) => write!(f, "{comma}{length}")?,
                None => write!(f, "{comma}?")?,
            }
        }
        f.write_str("]")
    }
}

/// What a model takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// In the graph's order.
    pub inputs: Vec<TensorSpec>,
    /// In the graph's order.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// The input called `name`.
    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|spec| &*spec.name == name)
    }

    /// The output called `name`.
    pub fn output(&self, name: &str) -> Option<&TensorSpec> {
        self.outputs.iter().find(|spec| &*spec.name == name)
    }
}

/// Whether and how the rows of several requests may share a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchAxis {
    /// Rows may share a run in any number.
    Dynamic,
    /// Rows may share a run; the session itself cuts and pads to runs of this many.
    Fixed(usize),
    /// The first axis is no batch, or rows disturb each other: one request a run.
    None,
}

/// What the batcher may do to a session, and why: the reason is shown by `inspect` and the log.
#[derive(Clone, Debug)]
pub struct Batching {
    /// The verdict.
    pub axis: BatchAxis,
    /// One sentence for people.
    pub reason: String,
}

/// Why a model could not be opened or run; its text is for a data scientist.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The runtime library is missing or wrong.
    #[error("{0}")]
    Runtime(String),
    /// The model file cannot be opened.
    #[error("{0}")]
    Load(String),
    /// The model does what we cannot serve (an output type without a counterpart in the protocol).
    #[error("{0}")]
    Unsupported(String),
    /// The model failed while running.
    #[error("{0}")]
    Run(String),
}

/// What a model itself names for one of its inputs, such as the categories of an encoder: values that it can be tried with.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The input.
    pub input: Name,
    /// Texts or integers, none of them empty; several where it is open which of them is meant for this input.
    pub values: Vec<Arc<Elements>>,
}

/// One loaded copy of a model version. Used by one thread at a time.
pub trait Session: Send {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// What it names for its inputs, as far as it does.
    fn examples(&self) -> &[Example] {
        &[]
    }

    /// Runs the rows `rows` of every column of `inputs` that the signature names (`None`: the tensors whole, whatever
    /// their shape) and returns all outputs in the signature's order, in the shapes that came. Inputs that the graph has a
    /// default for may be absent.
    ///
    /// # Errors
    /// [`BackendError::Run`] if the model fails; the session stays usable.
    fn run(&mut self, inputs: &Columns, rows: Option<Range<usize>>) -> Result<Vec<Column>, BackendError>;
}
