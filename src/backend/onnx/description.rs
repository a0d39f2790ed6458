//! What a model file says of itself, read without the runtime: versions, inputs and outputs, the labels of its ZipMaps,
//! the files that hold its weights.
//!
//! The runtime's interface does not tell which classes a ZipMap has, whether a shape without axes is a scalar or unknown, or
//! which files a model needs; and it refuses a broken file with a sentence that helps nobody.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use prost::Message;

use super::{
    proto::{Entry, Kind, Length, Node, OperatorSet, TensorType, ValueInfo, fields},
    sentences,
    trace::Trace,
    wire::{Field, Wire, WireError},
};
use crate::{
    backend::{BackendError, Example},
    tensor::Elements,
};

/// What a model file says of itself.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Version of the file format.
    pub ir_version: u64,
    /// The program that wrote the file, and its version.
    pub producer: String,
    /// Domains of operators with their versions; the domain of ONNX itself is empty.
    pub opsets: Vec<(String, i64)>,
    /// Files beside the model that hold weights.
    pub weights: Vec<PathBuf>,
    /// The graph's inputs, those with defaults included.
    pub(super) inputs: Vec<ValueInfo>,
    /// The graph's outputs.
    pub(super) outputs: Vec<ValueInfo>,
    /// The graph's nodes of type ZipMap.
    pub(super) zip_maps: Vec<ZipMap>,
    /// What encoders name for the inputs that they read.
    pub(super) examples: Vec<Example>,
    /// Where the graph stands in the file.
    pub(super) graph: Field,
    /// Where each of its outputs does.
    pub(super) output_fields: Vec<Field>,
}

/// A node that turns scores into maps from class to score.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ZipMap {
    /// The dense scores.
    pub(super) input: String,
    /// The name of the maps.
    pub(super) output: String,
    /// Its labels in the order of the scores.
    pub(super) classes: Arc<Elements>,
    /// Where the node stands in the file.
    pub(super) field: Field,
}

impl Description {
    /// Reads what the file at `path` says, and makes sure that it is a whole ONNX file with all its weights.
    ///
    /// # Errors
    /// [`BackendError::Load`] if it is not, with what it is instead.
    pub fn read(path: &Path) -> Result<Self, BackendError> {
        let unreadable = |error: std::io::Error| BackendError::Load(sentences::unreadable(path, &error));
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(BackendError::Load(format!("`{}` is a folder, not a model file", path.display())));
        }
        let mut walk = Walk::default();
        let mut wire =
            Wire::new(file).map_err(|error| BackendError::Load(sentences::no_model(path, &error, &[], 0)))?;
        let start = wire.first_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        let length = wire.length;
        let walked = walk.model(&mut wire, length).map_err(|error| (error, length));
        match walked {
            Ok(()) if walk.has_graph => walk.finish(path),
            Ok(()) => Err(BackendError::Load(sentences::no_model(path, &WireError::Nonsense, &start, length))),
            Err((error, length)) => Err(BackendError::Load(sentences::no_model(path, &error, &start, length))),
        }
    }

    /// Whether no axis of any input may vary.
    pub(super) fn has_fixed_shapes(&self) -> bool {
        let is_fixed = |input: &ValueInfo| match input.kind.as_ref().and_then(|kind| kind.value.as_ref()) {
            Some(Kind::Tensor(TensorType { shape: Some(shape), .. })) => {
                shape.axes.iter().all(|axis| matches!(axis.length, Some(Length::Fixed(_))))
            }
            _ => false,
        };
        self.inputs.iter().all(is_fixed)
    }

    /// The ZipMap that makes the output called `name`.
    pub(super) fn zip_map(&self, name: &str) -> Option<&ZipMap> {
        self.zip_maps.iter().find(|zip_map| zip_map.output == name)
    }
}

/// A walk through a model file.
#[derive(Default)]
struct Walk {
    description: Description,
    producer: (String, String),
    weights: BTreeSet<String>,
    trace: Trace,
    has_graph: bool,
}

impl Walk {
    fn model<R: Read + Seek>(&mut self, wire: &mut Wire<R>, end: u64) -> Result<(), WireError> {
        while let Some(field) = wire.next(end)? {
            match field.number {
                fields::model::IR_VERSION => self.description.ir_version = field.value,
                fields::model::PRODUCER_NAME => self.producer.0 = text(wire, &field)?,
                fields::model::PRODUCER_VERSION => self.producer.1 = text(wire, &field)?,
                fields::model::OPSET_IMPORT => {
                    let opset: OperatorSet = message(wire, &field)?;
                    self.description.opsets.push((opset.domain, opset.version));
                }
                fields::model::GRAPH => {
                    self.has_graph = true;
                    self.description.graph = field;
                    self.graph(wire, field.end)?;
                }
                _ => {}
            }
            wire.go(field.end)?;
        }
        Ok(())
    }

    fn graph<R: Read + Seek>(&mut self, wire: &mut Wire<R>, end: u64) -> Result<(), WireError> {
        while let Some(field) = wire.next(end)? {
            match field.number {
                fields::graph::NODE => self.node(wire, &field)?,
                fields::graph::INITIALIZER => self.initializer(wire, &field)?,
                fields::graph::INPUT => self.description.inputs.push(message(wire, &field)?),
                fields::graph::OUTPUT => {
                    self.description.outputs.push(message(wire, &field)?);
                    self.description.output_fields.push(field);
                }
                _ => {}
            }
            wire.go(field.end)?;
        }
        Ok(())
    }

    /// Looks at the node's type and ends, and reads the whole node only if it has labels: others may hold forests.
    fn node<R: Read + Seek>(&mut self, wire: &mut Wire<R>, node: &Field) -> Result<(), WireError> {
        let (mut kind, mut inputs, mut outputs) = (String::new(), Vec::new(), Vec::new());
        while let Some(field) = wire.next(node.end)? {
            match field.number {
                fields::node::INPUT => inputs.push(text(wire, &field)?),
                fields::node::OUTPUT => outputs.push(text(wire, &field)?),
                fields::node::OP_TYPE => kind = text(wire, &field)?,
                _ => {}
            }
            wire.go(field.end)?;
        }
        match kind.as_str() {
            "ZipMap" => {
                let found = zip_map(message(wire, node)?, *node);
                self.description.zip_maps.extend(found);
            }
            "OneHotEncoder" | "LabelEncoder" => self.trace.encoder(&message(wire, node)?),
            _ => {}
        }
        self.trace.node(&inputs, outputs);
        Ok(())
    }

    /// Finds out where the weights lie; those within the file are stepped over.
    fn initializer<R: Read + Seek>(&mut self, wire: &mut Wire<R>, tensor: &Field) -> Result<(), WireError> {
        while let Some(field) = wire.next(tensor.end)? {
            if field.number == fields::tensor::EXTERNAL_DATA {
                let entry: Entry = message(wire, &field)?;
                if entry.key == "location" {
                    self.weights.insert(entry.value);
                }
            }
            wire.go(field.end)?;
        }
        Ok(())
    }

    /// Makes sure that the files with the weights are there; the runtime's own sentence about it names its source code.
    fn finish(mut self, path: &Path) -> Result<Description, BackendError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        for location in self.weights {
            let is_inside = Path::new(&location).components().all(|part| matches!(part, Component::Normal(_)));
            let file = folder.join(&location);
            if !is_inside {
                let sentence = format!("`{}` wants weights from `{location}`, outside of its folder", path.display());
                return Err(BackendError::Load(sentence));
            }
            if !file.is_file() {
                return Err(BackendError::Load(format!(
                    "`{}` keeps its weights in the file `{location}`, which must lie beside it but is not there",
                    path.display()
                )));
            }
            self.description.weights.push(file);
        }
        self.description.examples = self.trace.examples(&self.description.inputs);
        let (name, version) = self.producer;
        self.description.producer = format!("{name} {version}").trim().to_owned();
        Ok(self.description)
    }
}

fn message<M: Message + Default, R: Read + Seek>(wire: &mut Wire<R>, field: &Field) -> Result<M, WireError> {
    let bytes = wire.bytes(field)?;
    M::decode(bytes.as_slice()).map_err(|_| WireError::Nonsense)
}

fn text<R: Read + Seek>(wire: &mut Wire<R>, field: &Field) -> Result<String, WireError> {
    String::from_utf8(wire.bytes(field)?).map_err(|_| WireError::Nonsense)
}

fn zip_map(node: Node, field: Field) -> Option<ZipMap> {
    let strings = node.labels("classlabels_strings");
    let classes = strings.or_else(|| node.labels("classlabels_int64s"))?;
    let (input, output) = (node.input.into_iter().next()?, node.output.into_iter().next()?);
    Some(ZipMap { input, output, classes, field })
}
