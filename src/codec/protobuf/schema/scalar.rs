//! Values that are one element, as they stand on the wire: alone, or packed one behind the other.
//!
//! Guarantee: no length is believed before the bytes are there, and what was counted can be read.

use super::super::wire::{Broken, Field, Value as Wire, Walk};
use crate::{
    codec::framed::{self, Items},
    tensor::{DataType, Elements},
};

/// A type of values that are one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Boolean,
    Int32,
    Sint32,
    Sfixed32,
    Uint32,
    Fixed32,
    Int64,
    Sint64,
    Sfixed64,
    Uint64,
    Fixed64,
    Float,
    Double,
    String,
    Bytes,
    /// The enum in this place.
    Enum(usize),
}

/// The names of an enum's values.
#[derive(Clone, Debug)]
pub struct Enum {
    /// By number; of several names for a number the first.
    names: Vec<(i32, Box<str>)>,
}

impl Enum {
    pub fn of(values: impl Iterator<Item = (i32, Box<str>)>) -> Self {
        let mut names: Vec<_> = values.collect();
        names.sort_by_key(|(number, _)| *number);
        names.dedup_by_key(|(number, _)| *number);
        Self { names }
    }

    fn name(&self, number: i32) -> Option<&str> {
        // Mostly they are counted from zero on.
        let guess = usize::try_from(number).ok().and_then(|number| self.names.get(number));
        if let Some((_, name)) = guess.filter(|(its, _)| *its == number) {
            return Some(name);
        }
        let found = self.names.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.names[found].1)
    }
}

/// How a value stands on the wire.
enum Width {
    Varint,
    Four,
    Eight,
    Length,
}

impl Scalar {
    fn width(self) -> Width {
        match self {
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Width::Four,
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Width::Eight,
            Self::String | Self::Bytes => Width::Length,
            _ => Width::Varint,
        }
    }

    /// The datatype of many.
    pub fn datatype(self) -> DataType {
        match self {
            Self::Boolean => DataType::Bool,
            Self::Int32 | Self::Sint32 | Self::Sfixed32 => DataType::Int32,
            Self::Uint32 | Self::Fixed32 => DataType::Uint32,
            Self::Int64 | Self::Sint64 | Self::Sfixed64 => DataType::Int64,
            Self::Uint64 | Self::Fixed64 => DataType::Uint64,
            Self::Float => DataType::Fp32,
            Self::Double => DataType::Fp64,
            Self::String | Self::Bytes | Self::Enum(_) => DataType::Bytes,
        }
    }

    /// The datatype whose NaN stands for a missing one.
    pub fn missing(self) -> Option<DataType> {
        match self.datatype() {
            DataType::Bool | DataType::Bytes => None,
            DataType::Fp32 => Some(DataType::Fp32),
            _ => Some(DataType::Fp64),
        }
    }

    /// What it is where it is not said.
    pub fn zero<L>(self, enums: &[Enum]) -> framed::Value<'_, L> {
        match self.datatype() {
            DataType::Bool => framed::Value::Boolean(false),
            DataType::Int32 => framed::Value::Int(0),
            DataType::Uint32 => framed::Value::Uint(0),
            DataType::Int64 => framed::Value::Long(0),
            DataType::Uint64 => framed::Value::Ulong(0),
            DataType::Fp32 => framed::Value::Float(0.0),
            DataType::Fp64 => framed::Value::Double(0.0),
            _ => match self {
                Self::Enum(place) => {
                    let name = enums[place].name(0).or_else(|| enums[place].names.first().map(|(_, name)| &**name));
                    framed::Value::Bytes(name.unwrap_or_default().as_bytes())
                }
                _ => framed::Value::Bytes(b""),
            },
        }
    }

    /// The value of one field.
    pub fn one<'a, L>(self, enums: &'a [Enum], field: &Field<'a>) -> Result<framed::Value<'a, L>, Broken> {
        self.value(enums, field.value, field.at)?.ok_or_else(|| field.of_wrong_type())
    }

    /// A value that stands at `at`; `None` if it stands there as another.
    fn value<'a, L>(
        self,
        enums: &'a [Enum],
        value: Wire<'a>,
        at: usize,
    ) -> Result<Option<framed::Value<'a, L>>, Broken> {
        Ok(Some(match (self, value) {
            (Self::Boolean, Wire::Varint(bits)) => framed::Value::Boolean(bits != 0),
            (Self::Int32, Wire::Varint(bits)) => framed::Value::Int(bits as i32),
            (Self::Sint32, Wire::Varint(bits)) => {
                let bits = bits as u32;
                framed::Value::Int((bits >> 1) as i32 ^ -((bits & 1) as i32))
            }
            (Self::Sfixed32, Wire::Fixed32(bytes)) => framed::Value::Int(i32::from_le_bytes(bytes)),
            (Self::Uint32, Wire::Varint(bits)) => framed::Value::Uint(bits as u32),
            (Self::Fixed32, Wire::Fixed32(bytes)) => framed::Value::Uint(u32::from_le_bytes(bytes)),
            (Self::Int64, Wire::Varint(bits)) => framed::Value::Long(bits as i64),
            (Self::Sint64, Wire::Varint(bits)) => framed::Value::Long((bits >> 1) as i64 ^ -((bits & 1) as i64)),
            (Self::Sfixed64, Wire::Fixed64(bytes)) => framed::Value::Long(i64::from_le_bytes(bytes)),
            (Self::Uint64, Wire::Varint(bits)) => framed::Value::Ulong(bits),
            (Self::Fixed64, Wire::Fixed64(bytes)) => framed::Value::Ulong(u64::from_le_bytes(bytes)),
            (Self::Float, Wire::Fixed32(bytes)) => framed::Value::Float(f32::from_le_bytes(bytes)),
            (Self::Double, Wire::Fixed64(bytes)) => framed::Value::Double(f64::from_le_bytes(bytes)),
            (Self::Bytes, Wire::Bytes(part)) => framed::Value::Bytes(part.bytes()),
            (Self::String, Wire::Bytes(part)) => {
                let text = simdutf8::basic::from_utf8(part.bytes());
                framed::Value::Bytes(text.map_err(|_| Broken { at, why: "is text that is no UTF-8" })?.as_bytes())
            }
            (Self::Enum(place), Wire::Varint(bits)) => {
                let name = enums[place].name(bits as i32);
                framed::Value::Bytes(name.ok_or(Broken { at, why: "is no value of its enum" })?.as_bytes())
            }
            _ => return Ok(None),
        }))
    }

    /// The next of packed ones, as it would stand alone.
    fn next<'a>(self, packed: &mut Walk<'a>) -> Result<Wire<'a>, Broken> {
        Ok(match self.width() {
            Width::Four => Wire::Fixed32(packed.fixed()?),
            Width::Eight => Wire::Fixed64(packed.fixed()?),
            Width::Varint | Width::Length => Wire::Varint(packed.varint()?),
        })
    }

    /// How many items a field adds to a list; all of them can be read.
    pub fn count(self, enums: &[Enum], field: &Field<'_>) -> Result<usize, Broken> {
        const CUT_OFF: &str = "are packed numbers, the last of which is cut off";
        let fixed = |packed: Walk<'_>, width: usize| match packed.bytes().len() {
            length if length.is_multiple_of(width) => Ok(length / width),
            _ => Err(Broken { at: field.at, why: CUT_OFF }),
        };
        match (self.width(), field.value) {
            (Width::Four, Wire::Bytes(packed)) => fixed(packed, 4),
            (Width::Eight, Wire::Bytes(packed)) => fixed(packed, 8),
            (Width::Varint, Wire::Bytes(mut packed)) => {
                let mut count = 0;
                while !packed.is_done() {
                    let at = packed.at();
                    let value = self.next(&mut packed)?;
                    self.value::<()>(enums, value, at)?;
                    count += 1;
                }
                Ok(count)
            }
            _ => self.one::<()>(enums, field).map(|_| 1),
        }
    }

    /// Appends the items of a field that was counted to a column of their datatype.
    ///
    /// # Panics
    /// If the column is of another, or the items cannot be read.
    pub fn append<L: Items>(self, enums: &[Enum], field: &Field<'_>, elements: &mut Elements) {
        const COUNTED: &str = "the items were counted before";
        match (self.width(), field.value, elements) {
            (Width::Four, Wire::Bytes(packed), Elements::Fp32(column)) => {
                let (floats, _) = packed.bytes().as_chunks::<4>();
                column.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            (Width::Eight, Wire::Bytes(packed), Elements::Fp64(column)) => {
                let (doubles, _) = packed.bytes().as_chunks::<8>();
                column.extend(doubles.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            (Width::Four | Width::Eight | Width::Varint, Wire::Bytes(mut packed), elements) => {
                while !packed.is_done() {
                    let value = self.next(&mut packed).expect(COUNTED);
                    let value = self.value::<L>(enums, value, field.at).expect(COUNTED);
                    value.expect("packed ones are as wide as their type says").push(elements);
                }
            }
            (_, _, elements) => self.one::<L>(enums, field).expect(COUNTED).push(elements),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(scalar: Scalar, body: &[u8]) -> Result<framed::Value<'_, ()>, Broken> {
        let field = Walk::new(body).field().unwrap().unwrap();
        scalar.one(&[], &field)
    }

    #[test]
    fn numbers_are_cut_to_their_width_and_unfolded_as_their_type_says() {
        // -1 as protobuf writes it for int32, in ten bytes.
        let minus_one = [8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        assert!(matches!(one(Scalar::Int32, &minus_one), Ok(framed::Value::Int(-1))));
        assert!(matches!(one(Scalar::Uint32, &minus_one), Ok(framed::Value::Uint(u32::MAX))));
        assert!(matches!(one(Scalar::Sint32, &[8, 3]), Ok(framed::Value::Int(-2))));
        assert!(matches!(one(Scalar::Sint64, &[8, 4]), Ok(framed::Value::Long(2))));
        assert!(matches!(one(Scalar::Boolean, &[8, 2]), Ok(framed::Value::Boolean(true))));
        assert!(one(Scalar::Float, &[8, 2]).unwrap_err().why.contains("another wire type"));
        assert!(one(Scalar::String, &[10, 1, 0xFF]).unwrap_err().why.contains("UTF-8"));
    }

    #[test]
    fn values_of_an_enum_go_by_the_first_of_their_names() {
        let list =
            Enum::of([(0, "NONE".into()), (5, "FIVE".into()), (5, "CINQ".into()), (-1, "MINUS".into())].into_iter());
        assert_eq!((list.name(0), list.name(5), list.name(-1)), (Some("NONE"), Some("FIVE"), Some("MINUS")));
        assert_eq!((list.name(1), list.name(3)), (None, None));
    }

    #[test]
    fn packed_numbers_that_are_cut_off_are_refused_before_anything_is_reserved() {
        let count = |scalar: Scalar, body: &[u8]| {
            let field = Walk::new(body).field().unwrap().unwrap();
            scalar.count(&[], &field)
        };
        assert_eq!(count(Scalar::Double, &[10, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(2));
        assert!(count(Scalar::Float, &[10, 5, 0, 0, 0, 0, 0]).unwrap_err().why.contains("cut off"));
        assert_eq!(count(Scalar::Int64, &[10, 3, 1, 0x80, 1]), Ok(2));
        assert!(count(Scalar::Int64, &[10, 2, 1, 0x80]).is_err());
        assert_eq!(count(Scalar::Int64, &[8, 7]), Ok(1));
        assert_eq!(count(Scalar::String, &[10, 0]), Ok(1));
    }
}
