//! The signature of a model, from what the runtime knows of the graph and what the file says of itself.
//!
//! Everything that a tensor of the Open Inference Protocol can hold is taken; a sequence of maps (scikit-learn's ZipMap)
//! counts as the matrix `[n, classes]` that it stands for. Whatever else a graph takes or gives is refused when it is
//! opened, not when the first request comes.

use std::path::Path;

use ort::{
    session::Session,
    value::{TensorElementType, ValueType},
};

use super::{
    description::Description,
    proto::{Kind, TypeProto, ValueInfo, element},
};
use crate::{
    backend::{BackendError, Signature, TensorSpec},
    tensor::DataType,
};

/// Refuses what the protocol has no words for, before the runtime is asked to load it.
///
/// # Errors
/// [`BackendError::Unsupported`], naming the input or output and its type.
pub(super) fn check_types(path: &Path, description: &Description) -> Result<(), BackendError> {
    let refused = |side: &str, value: &ValueInfo, what: &str| {
        Err(BackendError::Unsupported(format!(
            "the {side} `{}` of `{}` is {what}, for which the Open Inference Protocol has no datatype: {}",
            value.name,
            path.display(),
            "export the model with tensors of numbers, booleans or strings"
        )))
    };
    for input in &description.inputs {
        if let Some(what) = unsupported(input.kind.as_ref()) {
            return refused("input", input, what);
        }
    }
    for output in &description.outputs {
        if !is_maps(output.kind.as_ref())
            && let Some(what) = unsupported(output.kind.as_ref())
        {
            return refused("output", output, what);
        }
    }
    Ok(())
}

/// What the runtime's graph takes and gives, in the order of the file.
///
/// # Errors
/// [`BackendError::Unsupported`] for a type that shows only in the runtime's graph.
pub(super) fn signature(session: &Session, description: &Description) -> Result<Signature, BackendError> {
    let mut inputs = Vec::new();
    for input in session.inputs() {
        inputs.push(spec(input.name(), input.dtype(), false, description)?);
    }
    for input in session.overridable_initializers() {
        inputs.push(spec(input.name(), input.dtype(), true, description)?);
    }
    let place = |spec: &TensorSpec| description.inputs.iter().position(|input| input.name == *spec.name);
    inputs.sort_by_key(place);
    let mut outputs = Vec::new();
    for output in session.outputs() {
        outputs.push(spec(output.name(), output.dtype(), false, description)?);
    }
    Ok(Signature { inputs, outputs })
}

fn spec(name: &str, kind: &ValueType, optional: bool, description: &Description) -> Result<TensorSpec, BackendError> {
    let spec = |datatype, shape, unranked| TensorSpec {
        name: name.into(),
        datatype,
        shape,
        unranked,
        optional,
        classes: None,
    };
    let classes = description.zip_map(name).map(|zip_map| zip_map.classes.clone());
    match kind {
        ValueType::Tensor { ty, shape, .. } => {
            let datatype = datatype(*ty).ok_or_else(|| unknown(name, kind))?;
            let shape: Vec<_> = shape.iter().map(|&axis| usize::try_from(axis).ok()).collect();
            let unranked = shape.is_empty() && !declares_shape(name, description);
            Ok(TensorSpec { classes, ..spec(datatype, shape, unranked) })
        }
        ValueType::Sequence(item) if matches!(**item, ValueType::Map { .. }) => {
            let width = classes.as_ref().map(|classes| classes.len());
            Ok(TensorSpec { classes, ..spec(DataType::Fp32, vec![None, width], false) })
        }
        _ => Err(unknown(name, kind)),
    }
}

fn unknown(name: &str, kind: &ValueType) -> BackendError {
    let sentence = format!("`{name}` is {kind}, for which the Open Inference Protocol has no datatype");
    BackendError::Unsupported(sentence)
}

/// Whether the file gives a shape at all: the runtime says "no axes" for a scalar and for "nobody knows" alike.
fn declares_shape(name: &str, description: &Description) -> bool {
    let mut values = description.inputs.iter().chain(&description.outputs);
    let kind = values.find(|value| value.name == name).and_then(|value| value.kind.as_ref());
    matches!(kind, Some(TypeProto { value: Some(Kind::Tensor(tensor)) }) if tensor.shape.is_some())
}

/// The protocol's datatype of an element type of the runtime.
fn datatype(kind: TensorElementType) -> Option<DataType> {
    Some(match kind {
        TensorElementType::Bool => DataType::Bool,
        TensorElementType::Uint8 => DataType::Uint8,
        TensorElementType::Uint16 => DataType::Uint16,
        TensorElementType::Uint32 => DataType::Uint32,
        TensorElementType::Uint64 => DataType::Uint64,
        TensorElementType::Int8 => DataType::Int8,
        TensorElementType::Int16 => DataType::Int16,
        TensorElementType::Int32 => DataType::Int32,
        TensorElementType::Int64 => DataType::Int64,
        TensorElementType::Float16 => DataType::Fp16,
        TensorElementType::Float32 => DataType::Fp32,
        TensorElementType::Float64 => DataType::Fp64,
        TensorElementType::String => DataType::Bytes,
        _ => return None,
    })
}

/// Whether a value is a sequence of maps from a label to a single-precision number, as ZipMap makes them.
fn is_maps(kind: Option<&TypeProto>) -> bool {
    let Some(Kind::Sequence(sequence)) = kind.and_then(|kind| kind.value.as_ref()) else { return false };
    let Some(Kind::Map(map)) = sequence.element.as_ref().and_then(|item| item.value.as_ref()) else { return false };
    let Some(Kind::Tensor(score)) = map.value.as_ref().and_then(|score| score.value.as_ref()) else { return false };
    matches!(map.key, element::INT64 | element::STRING) && score.element == element::FLOAT
}

/// What a value is, if it is no tensor that can travel.
fn unsupported(kind: Option<&TypeProto>) -> Option<&'static str> {
    match kind.and_then(|kind| kind.value.as_ref()) {
        Some(Kind::Tensor(tensor)) => match tensor.element {
            1..=13 => None,
            14 | 15 => Some("a tensor of complex numbers"),
            16 => Some("a tensor of bfloat16"),
            _ => Some("a tensor of a very short number type"),
        },
        Some(Kind::Sequence(_)) => Some("a sequence"),
        Some(Kind::Map(_)) => Some("a map"),
        Some(Kind::Sparse(_)) => Some("a sparse tensor"),
        Some(Kind::Optional(_)) => Some("an optional value"),
        Some(Kind::Opaque(_)) => Some("an opaque value"),
        None => Some("of no declared type"),
    }
}
