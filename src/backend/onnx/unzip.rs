//! Takes the ZipMaps out of a model before it is loaded: scikit-learn's converter ends a classifier with one by default.
//!
//! A ZipMap turns the matrix of scores, which is what is wanted, into a map per row, out of which the matrix would have to be
//! put together again: 2.3 µs a row where the model itself takes 0.06. So the bytes of the model are edited: the node becomes
//! an `Identity` of the same output, and the output a matrix. Numbers and names stay what they were. A model that cannot be
//! edited so, or that the runtime does not take afterwards, is loaded as it is and its maps are read.

use std::path::Path;

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};

use super::{
    description::{Description, ZipMap},
    proto::{Axis, Kind, Length, Node, Shape, TensorType, TypeProto, ValueInfo, element, fields},
    wire::Field,
};

/// Editing needs the file in memory beside what the runtime makes of it: beyond this, reading the maps is the lesser evil.
const MAX_FILE: u64 = 512 << 20;

/// A field of the file and what stands in its place.
type Edit = (Field, Vec<u8>);

/// The model at `path` without its ZipMaps; `None` if it has none or cannot be edited.
pub(super) fn without_zip_maps(path: &Path, description: &Description) -> Option<Vec<u8>> {
    let knows_identity = description.opsets.iter().any(|(domain, _)| matches!(domain.as_str(), "" | "ai.onnx"));
    let edits = edits(description);
    if edits.is_empty() || !knows_identity || !description.weights.is_empty() {
        return None;
    }
    let length = std::fs::metadata(path).ok()?.len();
    if length > MAX_FILE {
        return None;
    }
    edited(&std::fs::read(path).ok()?, description.graph, edits)
}

/// Two edits for each ZipMap that makes an output of the graph, in the order of the file.
fn edits(description: &Description) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (output, &field) in description.outputs.iter().zip(&description.output_fields) {
        if let Some(zip_map) = description.zip_map(&output.name) {
            edits.push((field, content(fields::graph::OUTPUT, &matrix(zip_map))));
            edits.push((zip_map.field, content(fields::graph::NODE, &identity(zip_map))));
        }
    }
    edits.sort_by_key(|(field, _)| field.tag);
    edits
}

fn identity(zip_map: &ZipMap) -> Node {
    Node {
        input: vec![zip_map.input.clone()],
        output: vec![zip_map.output.clone()],
        op_type: "Identity".to_owned(),
        ..Node::default()
    }
}

fn matrix(zip_map: &ZipMap) -> ValueInfo {
    let classes = Length::Fixed(zip_map.classes.len() as i64);
    let axes = vec![Axis { length: None }, Axis { length: Some(classes) }];
    let tensor = TensorType { element: element::FLOAT, shape: Some(Shape { axes }) };
    let kind = TypeProto { value: Some(Kind::Tensor(tensor)) };
    ValueInfo { name: zip_map.output.clone(), kind: Some(kind) }
}

/// A message as a field of another.
pub(super) fn content(number: u64, message: &impl Message) -> Vec<u8> {
    field(number, &message.encode_to_vec())
}

/// Bytes as a field of a message.
pub(super) fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 16);
    encode_key(number as u32, WireType::LengthDelimited, &mut bytes);
    encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// The file with the edits in its graph; `None` if it is not the file that was read before.
fn edited(file: &[u8], graph: Field, edits: Vec<Edit>) -> Option<Vec<u8>> {
    let part = |from: u64, to: u64| file.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?);
    let mut content = Vec::with_capacity(file.len());
    let mut at = graph.start;
    for (field, replacement) in edits {
        content.extend_from_slice(part(at, field.tag)?);
        content.extend_from_slice(&replacement);
        at = field.end;
    }
    content.extend_from_slice(part(at, graph.end)?);
    let after = part(graph.end, file.len() as u64)?;
    Some([part(0, graph.tag)?, &field(fields::model::GRAPH, &content), after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fixtures").join(name).join("1/model.onnx")
    }

    #[test]
    fn an_edited_model_says_the_same_of_itself_but_for_its_maps() {
        for name in ["zipmap_int", "zipmap_string"] {
            let before = Description::read(&fixture(name)).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.onnx");
            std::fs::write(&path, without_zip_maps(&fixture(name), &before).unwrap()).unwrap();
            let after = Description::read(&path).unwrap();
            assert!(after.zip_maps.is_empty());
            assert_eq!((after.inputs, after.opsets, after.producer), (before.inputs, before.opsets, before.producer));
            assert_eq!(after.outputs.last(), Some(&matrix(&before.zip_maps[0])));
        }
    }

    #[test]
    fn a_model_without_zip_maps_is_left_alone() {
        let description = Description::read(&fixture("iris")).unwrap();
        assert_eq!(without_zip_maps(&fixture("iris"), &description), None);
    }
}
