//! Bytes as elements: copied into the column that they belong to, whatever their alignment.
//!
//! Guarantee: no memory is reserved before as many bytes are known to be there.

use std::fmt;

use half::f16;

use crate::tensor::{ByteStrings, Elements};

/// Why bytes are not the elements that were announced.
#[derive(Debug, PartialEq, Eq)]
pub enum Misfit {
    /// They are more or fewer than the elements take.
    Size { expected: Option<usize>, found: usize },
    /// The string at this index begins behind the end, or ends there.
    String { index: usize, found: usize },
    /// The byte at this index is neither 0 nor 1.
    Bool { index: usize, found: u8 },
    /// So many bytes are left behind the last string.
    Left(usize),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { expected: Some(expected), found } => write!(f, "takes {expected} bytes, but {found} came"),
            Self::Size { expected: None, found } => write!(f, "takes more bytes than can be counted, but {found} came"),
            Self::String { index, found } => write!(
                f,
                "breaks off in element {index}, which is its length in 4 bytes, little-endian, and as many bytes; \
                 {found} bytes were left for it"
            ),
            Self::Bool { index, found } => write!(f, "is 0 or 1 in each element, but {found} in element {index}"),
            Self::Left(left) => write!(f, "ends {left} bytes before its data do"),
        }
    }
}

/// Appends `count` elements, which are all of `bytes`. What was appended before an error is the caller's to take back.
pub fn append(elements: &mut Elements, count: usize, bytes: &[u8]) -> Result<(), Misfit> {
    macro_rules! numbers {
        ($($kind:ident($number:ty)),*) => {
            match elements {
                $(Elements::$kind(vector) => {
                    let parts = parts(count, bytes)?;
                    vector.extend(parts.iter().map(|part| <$number>::from_le_bytes(*part)));
                })*
                Elements::Bool(vector) => bools(vector, parts::<1>(count, bytes)?.as_flattened())?,
                Elements::Bytes(strings) => self::strings(strings, count, bytes)?,
            }
        };
    }
    numbers!(
        Uint8(u8),
        Uint16(u16),
        Uint32(u32),
        Uint64(u64),
        Int8(i8),
        Int16(i16),
        Int32(i32),
        Int64(i64),
        Fp16(f16),
        Fp32(f32),
        Fp64(f64)
    );
    Ok(())
}

/// The bytes as `count` parts of a width.
fn parts<const WIDTH: usize>(count: usize, bytes: &[u8]) -> Result<&[[u8; WIDTH]], Misfit> {
    let (parts, rest) = bytes.as_chunks();
    if parts.len() == count && rest.is_empty() {
        return Ok(parts);
    }
    Err(Misfit::Size { expected: count.checked_mul(WIDTH), found: bytes.len() })
}

fn bools(vector: &mut Vec<bool>, bytes: &[u8]) -> Result<(), Misfit> {
    if let Some(index) = bytes.iter().position(|byte| *byte > 1) {
        return Err(Misfit::Bool { index, found: bytes[index] });
    }
    vector.extend(bytes.iter().map(|byte| *byte == 1));
    Ok(())
}

/// The bytes of a string's length.
pub const LENGTH: usize = size_of::<u32>();

fn strings(strings: &mut ByteStrings, count: usize, bytes: &[u8]) -> Result<(), Misfit> {
    let mut rest = bytes;
    for index in 0..count {
        let broken = || Misfit::String { index, found: rest.len() };
        let (length, behind) = rest.split_first_chunk::<LENGTH>().ok_or_else(broken)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| broken())?;
        let (string, behind) = behind.split_at_checked(length).ok_or_else(broken)?;
        strings.push(string);
        rest = behind;
    }
    if rest.is_empty() { Ok(()) } else { Err(Misfit::Left(rest.len())) }
}
