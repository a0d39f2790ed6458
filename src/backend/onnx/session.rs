//! One loaded copy of an ONNX model: opened from its file, run by the thread that owns it.
//!
//! Rows of numeric columns are lent to the runtime where they lie; results are copied out once, in the shapes that came.
//! Names are made ready when the model is opened. What fails comes back as a sentence, and the session stays usable.

use std::{
    ffi::{CString, c_char},
    ops::Range,
    path::Path,
    ptr::{null, null_mut},
    sync::Arc,
};

use ort::{AsPointer, Error, memory::MemoryInfo, session::Session as OrtSession};

use super::{
    description::Description,
    load::{SessionOptions, load},
    maps, runtime, sentences,
    signature::{check_types, signature},
    value::{Value, check},
};
use crate::{
    backend::{BackendError, BatchAxis, Example, Session, Signature, TensorSpec, declared_axis},
    tensor::{Column, Columns, Tensor},
};

/// A model that runs in ONNX Runtime.
pub struct OnnxSession {
    signature: Signature,
    description: Description,
    /// The names of the inputs as the runtime wants them, in the signature's order.
    inputs: Vec<CString>,
    /// The same for the outputs.
    outputs: Vec<CString>,
    /// Which outputs are sequences of maps.
    maps: Vec<bool>,
    /// The number of rows that each run must have, if the model has one.
    fixed: Option<usize>,
    memory: MemoryInfo<'static>,
    session: OrtSession,
}

impl OnnxSession {
    /// Opens the model at `path`. Loads the runtime library if [`super::init`] has not.
    ///
    /// # Errors
    /// [`BackendError::Runtime`] without the library, [`BackendError::Load`] for a file that is no model or that the
    /// runtime does not take, [`BackendError::Unsupported`] for inputs or outputs that the protocol has no datatype for.
    pub fn open(path: &Path, options: &SessionOptions) -> Result<Self, BackendError> {
        let environment = runtime::environment()?;
        let description = Description::read(path)?;
        check_types(path, &description)?;
        let refused = |error: Error| BackendError::Load(sentences::refused(path, error.message(), runtime::version()));
        let session = load(environment, path, &description, options).map_err(refused)?;
        let signature = signature(&session, &description)?;
        let fixed = match declared_axis(&signature) {
            Ok(BatchAxis::Fixed(rows)) => Some(rows),
            _ => None,
        };
        Ok(Self {
            inputs: names(&signature.inputs).map_err(refused)?,
            outputs: names(&signature.outputs).map_err(refused)?,
            maps: session.outputs().iter().map(|output| !output.dtype().is_tensor()).collect(),
            signature,
            description,
            fixed,
            memory: MemoryInfo::default(),
            session,
        })
    }

    /// What the file says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// One run of the runtime.
    pub(super) fn run_once(
        &mut self,
        inputs: &Columns,
        rows: Option<&Range<usize>>,
    ) -> Result<Vec<Column>, BackendError> {
        let failed = |error: Error| BackendError::Run(sentences::failed(error.message()));
        let mut names: Vec<*const c_char> = Vec::with_capacity(self.inputs.len());
        let mut values: Vec<Value<'_>> = Vec::with_capacity(self.inputs.len());
        for (spec, name) in self.signature.inputs.iter().zip(&self.inputs) {
            match inputs.find(&spec.name) {
                Some(column) => {
                    names.push(name.as_ptr());
                    values.push(lend(&self.memory, &column.tensor, rows).map_err(failed)?);
                }
                None if spec.optional => {}
                None => return Err(BackendError::Run(format!("the input `{}` ({spec}) is missing", spec.name))),
            }
        }
        let outputs = self.execute(&names, &values).map_err(failed)?;
        let mut columns = Vec::with_capacity(outputs.len());
        for ((spec, &is_maps), value) in self.signature.outputs.iter().zip(&self.maps).zip(&outputs) {
            columns.push(column(spec, is_maps, value).map_err(failed)?);
        }
        Ok(columns)
    }

    fn execute(&mut self, names: &[*const c_char], values: &[Value<'_>]) -> Result<Vec<Value<'static>>, Error> {
        let values: Vec<_> = values.iter().map(Value::ptr).collect();
        let wanted: Vec<_> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        let mut given = vec![null_mut(); wanted.len()];
        // SAFETY: names and values live until the call returns, and are as many as it is told; the session is borrowed
        // mutably, so that no other run is in it.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                null(),
                names.as_ptr(),
                values.as_ptr(),
                values.len(),
                wanted.as_ptr(),
                wanted.len(),
                given.as_mut_ptr(),
            )
        };
        check(status)?;
        given.into_iter().map(Value::owned).collect()
    }
}

impl Session for OnnxSession {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn examples(&self) -> &[Example] {
        &self.description.examples
    }

    fn run(&mut self, inputs: &Columns, rows: Option<Range<usize>>) -> Result<Vec<Column>, BackendError> {
        match (rows, self.fixed) {
            (Some(rows), Some(fixed)) if rows.len() != fixed => self.run_pieces(inputs, rows, fixed),
            (rows, _) => self.run_once(inputs, rows.as_ref()),
        }
    }
}

fn names(specs: &[TensorSpec]) -> Result<Vec<CString>, Error> {
    let names = specs.iter().map(|spec| CString::new(&*spec.name)).collect::<Result<_, _>>();
    names.map_err(Error::from)
}

/// The rows of a tensor as a value of the runtime; the whole tensor for `None` and for a scalar.
fn lend<'a>(memory: &MemoryInfo<'_>, tensor: &'a Tensor, rows: Option<&Range<usize>>) -> Result<Value<'a>, Error> {
    let mut shape: Vec<i64> = tensor.shape().iter().map(|&axis| axis as i64).collect();
    match (rows, shape.first_mut()) {
        (Some(rows), Some(first)) => {
            *first = rows.len() as i64;
            Value::borrow(memory, tensor.elements(), tensor.range_of(rows), &shape)
        }
        _ => Value::borrow(memory, tensor.elements(), 0..tensor.elements().len(), &shape),
    }
}

/// A column of the answer, from a value of the runtime.
fn column(spec: &TensorSpec, is_maps: bool, value: &Value<'_>) -> Result<Column, Error> {
    let (tensor, classes) = if is_maps {
        let (tensor, classes) = maps::matrix(value, spec.classes.as_ref())?;
        (tensor, Some(classes))
    } else {
        (value.tensor()?, spec.classes.clone())
    };
    if let Some(classes) = &classes
        && tensor.shape().last() != Some(&classes.len())
    {
        let (name, count, shape) = (&spec.name, classes.len(), tensor.shape());
        return Err(Error::new(format!(
            "the output `{name}` has the shape {shape:?}, but {count} classes are declared"
        )));
    }
    Ok(Column { name: spec.name.clone(), tensor: Arc::new(tensor), classes, answer: true, exact: false })
}
