//! Answers with the data of outputs as bytes behind their JSON.

use std::ops::Range;

use super::read::LENGTH;
use crate::{
    codec::json,
    each_elements,
    tensor::{ByteStrings, Column, Elements, Tensor},
};

/// Writes the answers of a group.
#[derive(Debug)]
pub struct Writer<'a> {
    json: json::Writer<'a>,
    /// The outputs whose data stand behind the JSON, in order.
    binary: Vec<&'a Tensor>,
}

impl<'a> Writer<'a> {
    /// A writer of answers with these outputs; each is binary or not.
    pub fn new(model: &str, version: &str, outputs: &[(&'a Column, bool)]) -> Self {
        let json = json::Writer::mixed(model, version, outputs.iter().copied());
        let binary = outputs.iter().filter(|(_, binary)| *binary).map(|(column, _)| &*column.tensor).collect();
        Self { json, binary }
    }

    /// Appends the answer whose rows are `rows` of every output; `None`: the tensors whole, whatever their shapes. Returns
    /// the length of its JSON in bytes.
    ///
    /// # Panics
    /// If an output lacks these rows.
    pub fn write(&self, out: &mut Vec<u8>, id: &str, parameters: Option<&str>, rows: Option<Range<usize>>) -> usize {
        let start = out.len();
        self.json.write(out, id, parameters, rows.clone());
        let header = out.len() - start;
        for tensor in &self.binary {
            let rows = rows.clone().unwrap_or(0..tensor.rows());
            put(out, tensor.elements(), tensor.range_of(&rows));
        }
        header
    }
}

/// How many bytes `range` of some elements takes.
pub fn size(elements: &Elements, range: Range<usize>) -> usize {
    each_elements!(elements,
        vector => size_of_val(&vector[range]),
        strings => range.map(|at| LENGTH + strings.at(at).len()).sum())
}

/// Appends `range` of some elements.
pub fn put(out: &mut Vec<u8>, elements: &Elements, range: Range<usize>) {
    macro_rules! numbers {
        ($($kind:ident),*) => {
            match elements {
                $(Elements::$kind(vector) => numbers(out, &vector[range], |number, part| *part = number.to_le_bytes()),)*
                Elements::Bool(vector) => out.extend(vector[range].iter().map(|value| u8::from(*value))),
                Elements::Bytes(strings) => self::strings(out, strings, range),
            }
        };
    }
    numbers!(Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Fp32, Fp64);
}

fn numbers<T: Copy, const WIDTH: usize>(out: &mut Vec<u8>, numbers: &[T], write: impl Fn(T, &mut [u8; WIDTH])) {
    let start = out.len();
    out.resize(start + numbers.len() * WIDTH, 0);
    let (parts, _) = out[start..].as_chunks_mut();
    for (number, part) in numbers.iter().zip(parts) {
        write(*number, part);
    }
}

fn strings(out: &mut Vec<u8>, strings: &ByteStrings, range: Range<usize>) {
    for at in range {
        let string = strings.at(at);
        let length = u32::try_from(string.len()).expect("no record of Kafka's holds a string of 4 GiB");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(string);
    }
}
