//! The few messages of the ONNX format that are read whole, with the few of their fields that matter here.
//!
//! Source: `onnx.proto` of <https://github.com/onnx/onnx>; the field numbers are its. What is left out is skipped.

use std::sync::Arc;

use prost::{Message, Oneof};

use crate::tensor::Elements;

/// Numbers of the fields that the walk through a file looks at.
pub(super) mod fields {
    /// `ModelProto`.
    pub(crate) mod model {
        pub(crate) const IR_VERSION: u64 = 1;
        pub(crate) const PRODUCER_NAME: u64 = 2;
        pub(crate) const PRODUCER_VERSION: u64 = 3;
        pub(crate) const GRAPH: u64 = 7;
        pub(crate) const OPSET_IMPORT: u64 = 8;
    }
    /// `GraphProto`.
    pub(crate) mod graph {
        pub(crate) const NODE: u64 = 1;
        pub(crate) const NAME: u64 = 2;
        pub(crate) const INITIALIZER: u64 = 5;
        pub(crate) const INPUT: u64 = 11;
        pub(crate) const OUTPUT: u64 = 12;
    }
    /// `NodeProto`.
    pub(crate) mod node {
        pub(crate) const INPUT: u64 = 1;
        pub(crate) const OUTPUT: u64 = 2;
        pub(crate) const OP_TYPE: u64 = 4;
    }
    /// `TensorProto`.
    pub(crate) mod tensor {
        pub(crate) const EXTERNAL_DATA: u64 = 13;
    }
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `ValueInfoProto`: an input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) kind: Option<TypeProto>,
}

/// `TypeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TypeProto {
    #[prost(oneof = "Kind", tags = "1, 4, 5, 7, 8, 9")]
    pub(super) value: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "1")]
    Tensor(TensorType),
    #[prost(message, tag = "4")]
    Sequence(Box<SequenceType>),
    #[prost(message, tag = "5")]
    Map(Box<MapType>),
    #[prost(message, tag = "7")]
    Opaque(Nothing),
    #[prost(message, tag = "8")]
    Sparse(Nothing),
    #[prost(message, tag = "9")]
    Optional(Nothing),
}

/// A message whose fields do not matter.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(super) element: i32,
    /// Absent where the number of axes is not known.
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SequenceType {
    #[prost(message, optional, boxed, tag = "1")]
    pub(super) element: Option<Box<TypeProto>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MapType {
    #[prost(int32, tag = "1")]
    pub(super) key: i32,
    #[prost(message, optional, boxed, tag = "2")]
    pub(super) value: Option<Box<TypeProto>>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(super) axes: Vec<Axis>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Axis {
    #[prost(oneof = "Length", tags = "1, 2")]
    pub(super) length: Option<Length>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Length {
    #[prost(int64, tag = "1")]
    Fixed(i64),
    #[prost(string, tag = "2")]
    Named(String),
}

/// `NodeProto`, of which only those with labels are read.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

impl Node {
    /// The strings or integers of the attribute called `name`; `None` if there are none.
    pub(super) fn labels(&self, name: &str) -> Option<Arc<Elements>> {
        let attribute = self.attribute.iter().find(|attribute| attribute.name == name)?;
        let elements = if attribute.strings.is_empty() {
            Elements::Int64(attribute.ints.clone())
        } else {
            Elements::Bytes(attribute.strings.iter().collect())
        };
        (!elements.is_empty()).then(|| Arc::new(elements))
    }
}

/// `AttributeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int64, repeated, tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) strings: Vec<Vec<u8>>,
}

/// `TensorProto.DataType`.
pub(super) mod element {
    pub(crate) const FLOAT: i32 = 1;
    pub(crate) const INT64: i32 = 7;
    pub(crate) const STRING: i32 = 8;
}
