//! The runtime's own start, paid before it could be taken for a model's.
//!
//! With its first session and its first run the runtime makes what all sessions share: tables of operators and kernels, the
//! code that is paged in: 9 MiB of 1.31.1. A small model that is loaded first would be reported as that much bigger, and count
//! for it in the memory budget.

use std::sync::Once;

use ort::{Error, session::Session, value::Tensor};
use prost::encoding::{WireType, encode_key, encode_varint};

use super::{
    proto::{Axis, Kind, Node, OperatorSet, Shape, TensorType, TypeProto, ValueInfo, element, fields},
    runtime,
    unzip::{content, field},
};

/// Opens a tiny model, runs it and drops it, once a process: a millisecond or so. Loads the runtime's library if nobody has.
/// What goes wrong is for the first real model to tell.
pub fn warm_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ran = runtime::environment().map_err(|error| error.to_string()).and_then(|environment| {
            let session = Session::builder(environment).and_then(|mut builder| builder.commit_from_memory(&softmax()));
            session.and_then(run).map_err(|error| error.to_string())
        });
        if let Err(reason) = ran {
            tracing::debug!(reason, "the runtime could not be warmed up");
        }
    });
}

fn run(mut session: Session) -> Result<(), Error> {
    let input = Tensor::from_array(([1, 4], vec![0.0_f32; 4]))?;
    session.run(ort::inputs!["x" => input]).map(drop)
}

/// A model of one operator.
fn softmax() -> Vec<u8> {
    let axes = vec![Axis { length: None }; 2];
    let tensor =
        TypeProto { value: Some(Kind::Tensor(TensorType { element: element::FLOAT, shape: Some(Shape { axes }) })) };
    let value = |name: &str| ValueInfo { name: name.to_owned(), kind: Some(tensor.clone()) };
    let node = Node {
        input: vec!["x".to_owned()],
        output: vec!["y".to_owned()],
        op_type: "Softmax".to_owned(),
        ..Node::default()
    };
    let graph = [
        content(fields::graph::NODE, &node),
        field(fields::graph::NAME, b"warm_up"),
        content(fields::graph::INPUT, &value("x")),
        content(fields::graph::OUTPUT, &value("y")),
    ];
    let mut model = Vec::new();
    encode_key(fields::model::IR_VERSION as u32, WireType::Varint, &mut model);
    encode_varint(8, &mut model);
    model.extend(field(fields::model::GRAPH, &graph.concat()));
    model.extend(content(fields::model::OPSET_IMPORT, &OperatorSet { domain: String::new(), version: 13 }));
    model
}
