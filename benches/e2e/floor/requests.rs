//! Requests to columns. The members come in one known order, so that nothing is looked up: what stands between the values
//! has a known length, and is only held against its last eight bytes.

use std::ffi::c_char;

use super::numbers;

/// An input of the model, and what stands in it for the batch.
pub struct Input {
    /// Bytes from the start of the input to its shape.
    to_shape: usize,
    /// Bytes from the end of the shape to the data.
    to_data: usize,
    /// The shape of one row.
    pub row: Vec<i64>,
    pub data: Data,
}

/// A column.
pub enum Data {
    Fp32(Vec<f32>),
    Int64(Vec<i64>),
    /// Strings that end with a zero byte, where they came in.
    Bytes(Vec<*const c_char>),
}

impl Input {
    pub fn new(name: &str, data: Data) -> Self {
        let datatype = match data {
            Data::Fp32(_) => "FP32",
            Data::Int64(_) => "INT64",
            Data::Bytes(_) => "BYTES",
        };
        let to_shape = format!(r#"{{"name":"{name}","shape":["#).len();
        let to_data = format!(r#","datatype":"{datatype}","data":["#).len();
        Self { to_shape, to_data, row: Vec::new(), data }
    }

    pub fn clear(&mut self) {
        match &mut self.data {
            Data::Fp32(column) => column.clear(),
            Data::Int64(column) => column.clear(),
            Data::Bytes(column) => column.clear(),
        }
    }
}

/// What is known of a request when its values are in their columns.
#[derive(Clone, Copy)]
pub struct Request {
    pub id: [u8; 8],
    pub rows: usize,
}

/// Reads a request; its strings get a zero byte where their closing quote was.
///
/// # Panics
/// If it is not written as expected, or its rows have another shape than those before.
#[inline]
pub fn read(bytes: &mut [u8], inputs: &mut [Input]) -> Request {
    const START: usize = r#"{"id":""#.len();
    let id = *bytes[START..].first_chunk().expect("an id of eight bytes");
    let (mut at, mut rows) = (START + 8 + r#"","inputs":["#.len(), 0);
    for input in inputs {
        at += input.to_shape;
        expect(bytes, at, *b"shape\":[");
        let elements;
        (rows, elements, at) = shape(bytes, at, &mut input.row);
        at += input.to_data;
        expect(bytes, at, *b"\"data\":[");
        at = match &mut input.data {
            Data::Fp32(column) => append(column, elements, |into| numbers::read(bytes, at, into)),
            Data::Int64(column) => append(column, elements, |into| numbers::read(bytes, at, into)),
            Data::Bytes(column) => (0..elements).fold(at, |at, _| string(bytes, at, column)),
        };
        assert!(bytes[at - 1] == b']', "as many elements as the shape says");
        at += "},".len();
    }
    Request { id, rows }
}

#[inline]
fn expect(bytes: &[u8], end: usize, mark: [u8; 8]) {
    assert!(bytes[end - 8..end] == mark, "`{}` at {end} in {}", mark.escape_ascii(), bytes.escape_ascii());
}

/// The first axis of the shape at `at`, how many elements there are, and where the shape ends.
#[inline]
fn shape(bytes: &[u8], mut at: usize, row: &mut Vec<i64>) -> (usize, usize, usize) {
    let (mut rows, mut elements, mut axes) = (0, 1, 0);
    loop {
        let mut axis = 0;
        while let digit @ b'0'..=b'9' = bytes[at] {
            axis = axis * 10 + usize::from(digit - b'0');
            at += 1;
        }
        elements *= axis;
        match axes {
            0 => rows = axis,
            _ if row.len() < axes => row.push(axis as i64),
            _ => assert!(row[axes - 1] == axis as i64, "rows of one shape"),
        }
        axes += 1;
        at += 1;
        if bytes[at - 1] == b']' {
            return (rows, elements, at);
        }
    }
}

/// Lets `count` more elements of a column be written.
#[inline]
fn append<T: Copy>(column: &mut Vec<T>, count: usize, write: impl FnOnce(&mut [T]) -> usize) -> usize {
    column.reserve(count);
    let length = column.len();
    // SAFETY: there is room; numbers have no invalid bits, and `write` writes all of them or panics.
    unsafe {
        column.set_len(length + count);
        write(column.get_unchecked_mut(length..))
    }
}

/// Takes the string whose quote stands at `at`, and says where the text goes on behind the comma or bracket after it.
#[inline]
fn string(bytes: &mut [u8], at: usize, column: &mut Vec<*const c_char>) -> usize {
    let start = at + 1;
    column.push(bytes[start..].as_ptr().cast());
    let end = start + memchr::memchr2(b'"', b'\\', &bytes[start..]).expect("a string ends");
    if bytes[end] == b'\\' {
        return escaped(bytes, end) + 2;
    }
    bytes[end] = 0;
    end + 2
}

/// Takes the escapes out of the string that goes on at `at`, in its place; where its quote was.
fn escaped(bytes: &mut [u8], at: usize) -> usize {
    let (mut from, mut to) = (at, at);
    loop {
        match bytes[from] {
            b'"' => {
                bytes[to] = 0;
                return from;
            }
            b'\\' => {
                let (character, length) = escape(&bytes[from + 1..]);
                from += 1 + length;
                to += character.encode_utf8(&mut bytes[to..]).len();
            }
            byte => {
                bytes[to] = byte;
                (from, to) = (from + 1, to + 1);
            }
        }
    }
}

/// The character that an escape stands for, and the length of what follows its backslash.
fn escape(text: &[u8]) -> (char, usize) {
    let character = match text[0] {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let unit = |at: usize| {
                let digits = std::str::from_utf8(&text[at..at + 4]).expect("four digits");
                u16::from_str_radix(digits, 16).expect("four digits")
            };
            let first = unit(1);
            let length = if (0xd800..0xdc00).contains(&first) { 11 } else { 5 };
            let units = [first, if length == 11 { unit(7) } else { 0 }];
            let character = char::decode_utf16(units).next().expect("a character").expect("a whole character");
            assert!(character != '\0', "strings for this runtime's call end with a zero byte");
            return (character, length);
        }
        other => char::from(other),
    };
    (character, 1)
}
