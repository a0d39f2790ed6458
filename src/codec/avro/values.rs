//! One body as the values of its columns: where they lie, and which datatype they have together with what may be missing.
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
use crate::tensor::{ByteStrings, DataType, Elements};

/// The value of one column.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Missing,
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
    List(List<'a>),
}

/// Items that lie in a body.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// On the first of their blocks.
    start: Reader<'a>,
    pub count: usize,
    scalar: Scalar,
    null: Option<i64>,
    /// Whether one of them is a whole number that no double holds.
    is_wide: bool,
    /// Whether one of them is missing.
    has_missing: bool,
}

/// Whole numbers up to here are doubles.
const LARGEST_IN_DOUBLE: u64 = 1 << 53;

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
    let mut list = List { start: *reader, count: 0, scalar, null, is_wide: false, has_missing: false };
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

impl Value<'_> {
    /// The datatype of its column; `None` if there is none.
    ///
    /// `kind` is what it would be if it were there, `nullable` whether it need not be.
    pub fn datatype(&self, kind: Kind, nullable: bool) -> Option<DataType> {
        Some(match (self, kind) {
            (Self::List(list), _) => list.datatype(),
            (Self::Missing, Kind::List(..)) => return None,
            (Self::Missing, Kind::One(scalar)) => match scalar {
                Scalar::Float => DataType::Fp32,
                Scalar::Int | Scalar::Long | Scalar::Double | Scalar::Decimal { .. } => DataType::Fp64,
                Scalar::Boolean | Scalar::Bytes | Scalar::Fixed(_) | Scalar::Enum(_) => return None,
            },
            (Self::Boolean(_), _) => DataType::Bool,
            (Self::Int(_), _) => {
                if nullable {
                    DataType::Fp64
                } else {
                    DataType::Int32
                }
            }
            (Self::Long(long), _) if nullable && long.unsigned_abs() <= LARGEST_IN_DOUBLE => DataType::Fp64,
            (Self::Long(_), _) => DataType::Int64,
            (Self::Float(_), _) => DataType::Fp32,
            (Self::Double(_), _) => DataType::Fp64,
            (Self::Bytes(_), _) => DataType::Bytes,
        })
    }

    /// Appends it to a column of its datatype.
    ///
    /// # Panics
    /// If the column is of another.
    pub fn append(&self, program: &Program, elements: &mut Elements) {
        match (self, elements) {
            (Self::List(list), elements) => list.append(program, elements),
            (one, elements) => one.push(elements),
        }
    }

    fn push(&self, elements: &mut Elements) {
        match (elements, self) {
            (Elements::Bool(column), Self::Boolean(value)) => column.push(*value),
            (Elements::Int32(column), Self::Int(value)) => column.push(*value),
            (Elements::Int64(column), Self::Long(value)) => column.push(*value),
            (Elements::Fp32(column), Self::Float(value)) => column.push(*value),
            (Elements::Fp32(column), Self::Missing) => column.push(f32::NAN),
            (Elements::Fp64(column), Self::Double(value)) => column.push(*value),
            (Elements::Fp64(column), Self::Int(value)) => column.push(f64::from(*value)),
            (Elements::Fp64(column), Self::Long(value)) => column.push(*value as f64),
            (Elements::Fp64(column), Self::Missing) => column.push(f64::NAN),
            (Elements::Bytes(column), Self::Bytes(value)) => column.push(value),
            (column, value) => unreachable!("{value:?} was announced as {}", column.datatype()),
        }
    }
}

impl List<'_> {
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

    /// Whether no datatype holds all items.
    pub fn is_mixed(&self) -> bool {
        self.is_wide && self.has_missing
    }

    fn append(&self, program: &Program, elements: &mut Elements) {
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
                (Elements::Bytes(column), _) => self.texts(program, &mut reader, block.count, column),
                (elements, _) => {
                    for _ in 0..block.count {
                        item(program, &mut reader, self.scalar, self.null).expect(CHECKED).push(elements);
                    }
                }
            }
        }
    }

    fn texts<'a>(&self, program: &'a Program, reader: &mut Reader<'a>, count: usize, column: &mut ByteStrings) {
        for _ in 0..count {
            let Ok(Value::Bytes(text)) = one(program, reader, self.scalar) else {
                unreachable!("the items were read before")
            };
            column.push(text);
        }
    }
}
