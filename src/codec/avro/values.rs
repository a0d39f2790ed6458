//! One body as the values of its columns: where they lie; which datatype they have, [`crate::codec::framed`] says.
//!
//! | Avro | column |
//! |---|---|
//! | `int`; `long`, dates and times | INT32; INT64, in the unit of the schema |
//! | the same where they may be null | FP64, a missing one NaN; INT64 if it is there and beyond 2^53 |
//! | `float`; `double`, `decimal` | FP32; FP64; a missing one is NaN |
//! | `boolean` | BOOL |
//! | `string`, `bytes`, `fixed`, an `enum`'s symbol | BYTES |
//! | an `array` of these | the same, of shape `[1, n]` |
//!
//! A missing text, truth value or list is a column that is not there.

use super::{
    program::{Kind, Op, Program, Scalar},
    read::{Broken, Reader},
    schema::Node,
};
use crate::{
    codec::framed::{self, Items, LARGEST_IN_DOUBLE},
    tensor::{ByteStrings, DataType, Elements},
};

/// The value of one column.
pub type Value<'a> = framed::Value<'a, List<'a>>;

/// Items that lie in a body.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    program: &'a Program,
    /// On the first of their blocks.
    start: Reader<'a>,
    count: usize,
    scalar: Scalar,
    null: Option<i64>,
    /// Whether one of them is a whole number that no double holds.
    is_wide: bool,
    /// Whether one of them is missing.
    has_missing: bool,
}

/// Reads a body, from the reader's place to its end.
///
/// # Errors
/// Where it is no value of the schema.
pub fn read<'a>(program: &'a Program, reader: &mut Reader<'a>) -> Result<Vec<Value<'a>>, Broken> {
    let mut values = Vec::with_capacity(program.fields.len());
    let mut at = 0;
    while let Some(op) = program.ops.get(at) {
        at += 1;
        match *op {
            Op::Skip(node) => reader.skip(&program.nodes, node)?,
            Op::Only => drop(reader.index(1, BRANCH)?),
            Op::Null { branch, op, column } => {
                if reader.index(2, BRANCH)? as i64 == branch {
                    at = op;
                    values.resize(column, Value::Missing);
                }
            }
            Op::Value(Kind::One(scalar)) => values.push(one(program, reader, scalar)?),
            Op::Value(Kind::List(scalar, null)) => values.push(Value::List(list(program, reader, scalar, null)?)),
        }
    }
    match reader.left() {
        0 => Ok(values),
        _ => Err(reader.broken("the end")),
    }
}

const BRANCH: &str = "the index of a branch of a union";

fn one<'a>(program: &'a Program, reader: &mut Reader<'a>, scalar: Scalar) -> Result<Value<'a>, Broken> {
    Ok(match scalar {
        Scalar::Boolean => Value::Boolean(reader.boolean()?),
        Scalar::Int => Value::Int(reader.int()?),
        Scalar::Long => Value::Long(reader.long()?),
        Scalar::Float => Value::Float(reader.float()?),
        Scalar::Double => Value::Double(reader.double()?),
        Scalar::Bytes => Value::Bytes(reader.bytes()?),
        Scalar::Fixed(size) => Value::Bytes(reader.take(size, "a value of fixed size")?),
        Scalar::Enum(node) => {
            let Node::Enum(symbols) = &program.nodes[node] else { unreachable!("the program says so") };
            Value::Bytes(symbols[reader.index(symbols.len(), "the index of a symbol")?].as_bytes())
        }
        Scalar::Decimal { scale, size } => {
            let broken = reader.broken("a decimal of no more than 16 bytes");
            let bytes = match size {
                Some(size) => reader.take(size, "a decimal")?,
                None => reader.bytes()?,
            };
            Value::Double(decimal(bytes, scale).ok_or(broken)?)
        }
    })
}

/// A whole number, the highest byte first, over a power of ten: the double nearest to it.
fn decimal(bytes: &[u8], scale: u32) -> Option<f64> {
    if bytes.len() > 16 {
        return None;
    }
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let mut wide = [if negative { 0xFF } else { 0 }; 16];
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    let whole = i128::from_be_bytes(wide);
    // Both sides of the division are exact.
    if whole.unsigned_abs() <= u128::from(LARGEST_IN_DOUBLE) && scale <= 22 {
        return Some(whole as f64 / 10_f64.powi(scale as i32));
    }
    format!("{whole}e-{scale}").parse().ok()
}

fn list<'a>(
    program: &'a Program,
    reader: &mut Reader<'a>,
    scalar: Scalar,
    null: Option<i64>,
) -> Result<List<'a>, Broken> {
    let mut list = List { program, start: *reader, count: 0, scalar, null, is_wide: false, has_missing: false };
    while let Some(block) = reader.block()? {
        let fixed = match (scalar, null) {
            (Scalar::Float, None) => Some(4),
            (Scalar::Double, None) => Some(8),
            (Scalar::Fixed(size), None) => Some(size),
            _ => None,
        };
        if let Some(size) = fixed {
            let broken = reader.broken("as many items as the block says");
            let bytes = block.count.checked_mul(size).ok_or(broken)?;
            reader.take(bytes, "as many items as the block says")?;
        } else {
            for _ in 0..block.count {
                match item(program, reader, scalar, null)? {
                    Value::Missing => list.has_missing = true,
                    Value::Long(long) => list.is_wide |= long.unsigned_abs() > LARGEST_IN_DOUBLE,
                    _ => {}
                }
            }
        }
        // No more than there are bytes: each item has at least one.
        list.count += block.count;
    }
    Ok(list)
}

fn item<'a>(
    program: &'a Program,
    reader: &mut Reader<'a>,
    scalar: Scalar,
    null: Option<i64>,
) -> Result<Value<'a>, Broken> {
    match null {
        Some(null) if reader.index(2, BRANCH)? as i64 == null => Ok(Value::Missing),
        _ => one(program, reader, scalar),
    }
}

impl Items for List<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn datatype(&self) -> DataType {
        match self.scalar {
            Scalar::Boolean => DataType::Bool,
            // A list that may hold missing numbers and holds none of them is no other list.
            Scalar::Int if self.null.is_none() => DataType::Int32,
            Scalar::Long if self.null.is_none() || self.is_wide => DataType::Int64,
            Scalar::Int | Scalar::Long | Scalar::Double | Scalar::Decimal { .. } => DataType::Fp64,
            Scalar::Float => DataType::Fp32,
            Scalar::Bytes | Scalar::Fixed(_) | Scalar::Enum(_) => DataType::Bytes,
        }
    }

    fn is_mixed(&self) -> bool {
        self.is_wide && self.has_missing
    }

    fn append(&self, elements: &mut Elements) {
        const CHECKED: &str = "the items were read before";
        let mut reader = self.start;
        while let Some(block) = reader.block().expect(CHECKED) {
            match (&mut *elements, self.null) {
                (Elements::Fp32(column), None) => {
                    let (floats, _) = reader.take(4 * block.count, "").expect(CHECKED).as_chunks::<4>();
                    column.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
                }
                (Elements::Fp64(column), None) if self.scalar == Scalar::Double => {
                    let (doubles, _) = reader.take(8 * block.count, "").expect(CHECKED).as_chunks::<8>();
                    column.extend(doubles.iter().map(|bytes| f64::from_le_bytes(*bytes)));
                }
                (Elements::Bytes(column), _) => self.texts(&mut reader, block.count, column),
                (elements, _) => {
                    for _ in 0..block.count {
                        item(self.program, &mut reader, self.scalar, self.null).expect(CHECKED).push(elements);
                    }
                }
            }
        }
    }
}

impl<'a> List<'a> {
    fn texts(&self, reader: &mut Reader<'a>, count: usize, column: &mut ByteStrings) {
        for _ in 0..count {
            let Ok(Value::Bytes(text)) = one(self.program, reader, self.scalar) else {
                unreachable!("the items were read before")
            };
            column.push(text);
        }
    }
}
