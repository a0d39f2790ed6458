//! Typed contents: the numbers of an input in the field that its datatype has, each datatype in one of eight.
//!
//! Guarantee: no memory is reserved before as many bytes are known to be there.

use std::fmt;

use super::wire::{Broken, Field, Value, Walk};
use crate::tensor::{DataType, Elements};

/// The field of `InferInputTensor` that holds them.
pub const CONTENTS: u32 = 5;

/// The fields of `InferTensorContents`, by their numbers from 1 on.
const FIELDS: [&str; 8] = [
    "bool_contents",
    "int_contents",
    "int64_contents",
    "uint_contents",
    "uint64_contents",
    "fp32_contents",
    "fp64_contents",
    "bytes_contents",
];

/// The number of the field that holds elements of a datatype; `None`: they can be sent raw only.
const fn field_of(datatype: DataType) -> Option<usize> {
    match datatype {
        DataType::Bool => Some(1),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Some(2),
        DataType::Int64 => Some(3),
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 => Some(4),
        DataType::Uint64 => Some(5),
        DataType::Fp16 => None,
        DataType::Fp32 => Some(6),
        DataType::Fp64 => Some(7),
        DataType::Bytes => Some(8),
    }
}

/// Why contents are not the elements that were announced.
#[derive(Debug, PartialEq, Eq)]
pub enum Misfit {
    /// They cannot be read.
    Broken(Broken),
    /// They stand in the field of another datatype.
    Field { found: usize, expected: Option<usize> },
    /// The element at this index is beyond what the datatype holds.
    Range { index: usize, found: i64 },
    /// They are more or fewer.
    Count { expected: usize, found: usize },
}

impl From<Broken> for Misfit {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(broken) => broken.fmt(f),
            Self::Field { found, expected: Some(expected) } => {
                write!(f, "stands in `{}`, but `{}` came", FIELDS[expected - 1], FIELDS[found - 1])
            }
            Self::Field { found, expected: None } => {
                write!(f, "has no typed contents, but `{}` came; send raw_input_contents", FIELDS[found - 1])
            }
            Self::Range { index, found } => write!(f, "cannot hold {found}, which is element {index}"),
            Self::Count { expected, found } => write!(f, "has {expected} elements, but {found} came"),
        }
    }
}

/// Whether an input has any.
pub fn are_there(mut input: Walk<'_>) -> Result<bool, Broken> {
    while let Some(field) = input.field()? {
        if field.number == CONTENTS {
            let mut contents = field.part()?;
            while let Some(field) = contents.field()? {
                if number_of(&field).is_some_and(|number| has_elements(&field, number)) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Appends the elements of an input, which must be `count`. What was appended before an error is the caller's to take back.
pub fn append(elements: &mut Elements, count: usize, mut input: Walk<'_>) -> Result<(), Misfit> {
    let start = elements.len();
    let expected = field_of(elements.datatype());
    while let Some(field) = input.field()? {
        if field.number != CONTENTS {
            continue;
        }
        // More than one is one after another, as messages are merged.
        let mut contents = field.part()?;
        while let Some(field) = contents.field()? {
            match number_of(&field) {
                found if found.is_some() && found == expected => {
                    values(elements, start, &field)?;
                    if elements.len() - start > count {
                        break;
                    }
                }
                Some(found) if has_elements(&field, found) => return Err(Misfit::Field { found, expected }),
                _ => {}
            }
        }
    }
    match elements.len() - start {
        found if found == count => Ok(()),
        found => Err(Misfit::Count { expected: count, found }),
    }
}

/// The number of a field that `InferTensorContents` has.
fn number_of(field: &Field<'_>) -> Option<usize> {
    usize::try_from(field.number).ok().filter(|number| (1..=FIELDS.len()).contains(number))
}

/// Whether a field adds elements: packed numbers may be none, a string is one however short.
fn has_elements(field: &Field<'_>, number: usize) -> bool {
    !matches!(field.value, Value::Bytes(packed) if packed.is_done()) || number == FIELDS.len()
}

/// Appends what one field holds; `start`: where the tensor's own elements begin.
fn values(elements: &mut Elements, start: usize, field: &Field<'_>) -> Result<(), Misfit> {
    macro_rules! narrow {
        ($vector:ident, $wide:ty) => {
            varints(field, |number| {
                let number = number as $wide;
                let index = $vector.len() - start;
                $vector.push(number.try_into().map_err(|_| Misfit::Range { index, found: number.into() })?);
                Ok(())
            })
        };
    }
    macro_rules! whole {
        ($vector:ident, $number:ty) => {
            varints(field, |number| {
                $vector.push(number as $number);
                Ok(())
            })
        };
    }
    match elements {
        Elements::Bool(vector) => varints(field, |number| {
            vector.push(number != 0);
            Ok(())
        }),
        Elements::Int8(vector) => narrow!(vector, i32),
        Elements::Int16(vector) => narrow!(vector, i32),
        Elements::Int32(vector) => whole!(vector, i32),
        Elements::Int64(vector) => whole!(vector, i64),
        Elements::Uint8(vector) => narrow!(vector, u32),
        Elements::Uint16(vector) => narrow!(vector, u32),
        Elements::Uint32(vector) => whole!(vector, u32),
        Elements::Uint64(vector) => whole!(vector, u64),
        Elements::Fp32(vector) => {
            match field.value {
                Value::Fixed32(bytes) => vector.push(f32::from_le_bytes(bytes)),
                _ => vector.extend(packed(field)?.iter().map(|bytes| f32::from_le_bytes(*bytes))),
            }
            Ok(())
        }
        Elements::Fp64(vector) => {
            match field.value {
                Value::Fixed64(bytes) => vector.push(f64::from_le_bytes(bytes)),
                _ => vector.extend(packed(field)?.iter().map(|bytes| f64::from_le_bytes(*bytes))),
            }
            Ok(())
        }
        Elements::Bytes(strings) => {
            strings.push(field.part()?.bytes());
            Ok(())
        }
        Elements::Fp16(_) => unreachable!("no field holds them"),
    }
}

/// The numbers of a field, packed or alone.
fn varints(field: &Field<'_>, mut each: impl FnMut(u64) -> Result<(), Misfit>) -> Result<(), Misfit> {
    match field.value {
        Value::Varint(number) => each(number),
        Value::Bytes(mut packed) => {
            while !packed.is_done() {
                each(packed.varint()?)?;
            }
            Ok(())
        }
        _ => Err(field.of_wrong_type().into()),
    }
}

/// The packed numbers of a width.
fn packed<'a, const WIDTH: usize>(field: &Field<'a>) -> Result<&'a [[u8; WIDTH]], Broken> {
    match field.part()?.bytes().as_chunks() {
        (numbers, []) => Ok(numbers),
        _ => Err(Broken { at: field.at, why: "are packed numbers, the last of which is cut off" }),
    }
}
