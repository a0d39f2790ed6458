//! The values of one body as the columns of its row, whatever the type of its schema.
//!
//! | value | column |
//! |---|---|
//! | a whole number of 32 or 64 bits, with a sign or without | INT32, INT64, UINT32, UINT64 |
//! | the same where it may be missing | FP64, a missing one NaN; INT64 or UINT64 if it is there and beyond 2^53 |
//! | a floating-point number of 32 or 64 bits | FP32, FP64; a missing one is NaN |
//! | a truth value | BOOL |
//! | text, bytes, the name of an enum's value | BYTES |
//! | a list of these | the same, of shape `[1, n]` |
//!
//! A missing text, truth value or list is a column that is not there.

use std::{convert::Infallible, sync::Arc};

use crate::{
    codec::{Announced, Groups, Rows, json::Clip},
    error::{ErrorCode, RequestError},
    request::Route,
    tensor::{DataType, Elements},
};

/// Whole numbers up to here are doubles.
pub const LARGEST_IN_DOUBLE: u64 = 1 << 53;

/// A column that a body may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, the names of what it is in before it.
    pub name: Box<str>,
    /// Whether its value may be missing.
    pub nullable: bool,
    /// The datatype whose NaN stands for a missing one; `None`: there is no column then.
    pub missing: Option<DataType>,
}

/// The value of one column.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a, L> {
    Missing,
    Boolean(bool),
    Int(i32),
    Uint(u32),
    Long(i64),
    Ulong(u64),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
    List(L),
}

/// Items that lie in a body.
pub trait Items {
    fn count(&self) -> usize;

    /// The datatype of them all.
    fn datatype(&self) -> DataType;

    /// Whether no datatype holds them all.
    fn is_mixed(&self) -> bool {
        false
    }

    /// Appends them to a column of their datatype.
    fn append(&self, elements: &mut Elements);
}

/// Puts the values of a body into the columns of their group.
///
/// # Errors
/// `INVALID_INPUT` for a list that no datatype holds, `INVALID_REQUEST` for one that is too large.
pub fn place<'g, L: Items>(
    fields: &[Field],
    values: &[Value<'_, L>],
    route: &Arc<Route>,
    groups: &'g mut Groups,
) -> Result<Rows<'g>, RequestError> {
    let mut columns = Vec::with_capacity(values.len());
    for (field, value) in fields.iter().zip(values) {
        let Some(datatype) = datatype(field, value)? else { continue };
        let width = if let Value::List(list) = value { list.count() } else { 1 };
        columns.push((&*field.name, value, datatype, [1, width]));
    }
    let announced: Vec<_> = columns
        .iter()
        .map(|(name, _, datatype, shape)| Announced { name, datatype: *datatype, shape, exact: false })
        .collect();
    let oversized = |error: &dyn std::fmt::Display| RequestError::new(ErrorCode::InvalidRequest, error.to_string());
    let mut rows = groups.place(route, &announced).map_err(|error| oversized(&error))?;
    for (_, value, _, shape) in &columns {
        let Ok(()) = rows.fill(shape, |elements, _| {
            value.append(elements);
            Ok::<_, Infallible>(())
        });
    }
    Ok(rows)
}

fn datatype<L: Items>(field: &Field, value: &Value<'_, L>) -> Result<Option<DataType>, RequestError> {
    if let Value::List(list) = value
        && list.is_mixed()
    {
        let name = Clip(&field.name);
        let why = format!("field `{name}` has missing items beside whole numbers beyond 2^53: no datatype holds both");
        return Err(RequestError::new(ErrorCode::InvalidInput, why));
    }
    Ok(value.datatype(field))
}

impl<L: Items> Value<'_, L> {
    /// The datatype of its column; `None` if there is none.
    fn datatype(&self, field: &Field) -> Option<DataType> {
        let is_double = |size: u64| field.nullable && size <= LARGEST_IN_DOUBLE;
        Some(match self {
            Self::Missing => return field.missing,
            Self::List(list) => list.datatype(),
            Self::Boolean(_) => DataType::Bool,
            Self::Int(_) | Self::Uint(_) if field.nullable => DataType::Fp64,
            Self::Int(_) => DataType::Int32,
            Self::Uint(_) => DataType::Uint32,
            Self::Long(long) if is_double(long.unsigned_abs()) => DataType::Fp64,
            Self::Long(_) => DataType::Int64,
            Self::Ulong(long) if is_double(*long) => DataType::Fp64,
            Self::Ulong(_) => DataType::Uint64,
            Self::Float(_) => DataType::Fp32,
            Self::Double(_) => DataType::Fp64,
            Self::Bytes(_) => DataType::Bytes,
        })
    }

    /// Appends it to a column of its datatype.
    ///
    /// # Panics
    /// If the column is of another.
    fn append(&self, elements: &mut Elements) {
        match self {
            Self::List(list) => list.append(elements),
            one => one.push(elements),
        }
    }

    /// Appends it as one element to a column of its datatype.
    ///
    /// # Panics
    /// If the column is of another, or it is a list.
    pub fn push(&self, elements: &mut Elements) {
        match (elements, self) {
            (Elements::Bool(column), Self::Boolean(value)) => column.push(*value),
            (Elements::Int32(column), Self::Int(value)) => column.push(*value),
            (Elements::Uint32(column), Self::Uint(value)) => column.push(*value),
            (Elements::Int64(column), Self::Long(value)) => column.push(*value),
            (Elements::Uint64(column), Self::Ulong(value)) => column.push(*value),
            (Elements::Fp32(column), Self::Float(value)) => column.push(*value),
            (Elements::Fp32(column), Self::Missing) => column.push(f32::NAN),
            (Elements::Fp64(column), Self::Double(value)) => column.push(*value),
            (Elements::Fp64(column), Self::Int(value)) => column.push(f64::from(*value)),
            (Elements::Fp64(column), Self::Uint(value)) => column.push(f64::from(*value)),
            (Elements::Fp64(column), Self::Long(value)) => column.push(*value as f64),
            (Elements::Fp64(column), Self::Ulong(value)) => column.push(*value as f64),
            (Elements::Fp64(column), Self::Missing) => column.push(f64::NAN),
            (Elements::Bytes(column), Self::Bytes(value)) => column.push(value),
            (column, _) => unreachable!("another value was announced as {}", column.datatype()),
        }
    }
}
