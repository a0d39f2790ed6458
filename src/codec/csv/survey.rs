//! What the values of one column have in common: its datatype, by the rules of row form, as far as a text without types can
//! follow them.
//!
//! | cells | datatype |
//! |---|---|
//! | one that is quoted, or none of the below | BYTES: all cells as they stand |
//! | `true`, `false`; also `True`, `TRUE` and so on | BOOL |
//! | numbers, and missing values | FP64, missing ones NaN |
//! | whole numbers alone, one of them beyond 2^24 (an identifier, a time) | INT64, or UINT64 if need be |
//!
//! A missing value is a cell that is empty, quoted or not, or one of the words that pandas, R and databases write for it.
//! Spaces around numbers and words do not matter; those of a text are its own.

use super::cells::{Cell, Fault};
use crate::{
    codec::{json, whole::Whole},
    tensor::{DataType, Elements},
};

/// What a cell may be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Bool(bool),
    Missing,
    Infinite {
        negative: bool,
    },
    /// A whole number, and its magnitude if 64 bits hold it.
    Whole {
        negative: bool,
        magnitude: Option<u64>,
    },
    Fraction,
}

/// What has been seen of a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    texts: bool,
    booleans: bool,
    fractions: bool,
    /// Whether there are whole numbers, and which.
    integers: bool,
    whole: Whole,
    /// The first missing value, and the first whole number that a double may not hold: lines and columns.
    missing: Option<(usize, usize)>,
    beyond_double: Option<(usize, usize)>,
}

impl Survey {
    /// Takes note of one cell.
    pub fn take(&mut self, cell: &Cell<'_>, line: usize, column: usize) {
        if self.texts {
            return;
        }
        match kind(cell) {
            Kind::Text => self.texts = true,
            Kind::Bool(_) => self.booleans = true,
            Kind::Missing => {
                self.missing.get_or_insert((line, column));
            }
            Kind::Infinite { .. } | Kind::Fraction => self.fractions = true,
            Kind::Whole { negative, magnitude } => {
                self.integers = true;
                if self.whole.take(negative, magnitude) {
                    self.beyond_double.get_or_insert((line, column));
                }
            }
        }
    }

    /// The datatype that holds all values.
    pub fn datatype(&self) -> Result<DataType, Fault> {
        let has_floats = self.fractions || self.missing.is_some();
        match self {
            Self { texts: true, .. } => Ok(DataType::Bytes),
            Self { booleans: true, .. } if self.fractions || self.integers => Ok(DataType::Bytes),
            Self { booleans: true, missing: Some(place), .. } => Err(fault(
                *place,
                "the cell is empty or missing, but the column's others are booleans, which cannot be missing",
            )),
            Self { booleans: true, .. } => Ok(DataType::Bool),
            _ => self.whole.datatype(has_floats).ok_or_else(|| self.too_large(has_floats)),
        }
    }

    fn too_large(&self, has_floats: bool) -> Fault {
        let why = if has_floats {
            "no FP64 holds this number exactly, and other values of the column are no whole numbers; quote what is no number"
        } else {
            "neither INT64 nor UINT64 holds all numbers of the column; quote what is no number"
        };
        fault(self.beyond_double.expect("what is too large was noted"), why)
    }
}

fn fault((line, column): (usize, usize), why: &str) -> Fault {
    Fault { line, column: Some(column), why: why.to_owned() }
}

const IMPOSSIBLE: &str = "the cell is not what it was surveyed as";

/// Appends a cell to its column, which has the datatype that its survey found.
pub(super) fn push(cell: &Cell<'_>, elements: &mut Elements, line: usize, column: usize) -> Result<(), Fault> {
    let impossible = || fault((line, column), IMPOSSIBLE);
    match elements {
        Elements::Bytes(strings) => strings.push(cell.text.as_bytes()),
        Elements::Bool(values) => match kind(cell) {
            Kind::Bool(value) => values.push(value),
            _ => return Err(impossible()),
        },
        Elements::Int64(values) => values.push(trimmed(cell).parse().map_err(|_| impossible())?),
        Elements::Uint64(values) => {
            let text = trimmed(cell);
            // Zero may have a sign.
            values.push(text.strip_prefix('-').unwrap_or(text).parse().map_err(|_| impossible())?);
        }
        Elements::Fp64(values) => values.push(plain(cell).map_or_else(|| double(cell, (line, column)), Ok)?),
        _ => unreachable!("a survey finds no other datatype"),
    }
    Ok(())
}

/// A cell of a column of numbers.
fn double(cell: &Cell<'_>, place: (usize, usize)) -> Result<f64, Fault> {
    let value = match kind(cell) {
        Kind::Missing => return Ok(f64::NAN),
        Kind::Infinite { negative } => return Ok(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => trimmed(cell).parse::<f64>().map_err(|_| fault(place, IMPOSSIBLE))?,
    };
    if value.is_infinite() { Err(fault(place, "the number is beyond the range of FP64")) } else { Ok(value) }
}

/// A cell that is a number as JSON writes it.
fn plain(cell: &Cell<'_>) -> Option<f64> {
    let (value, end) = json::float(cell.text.as_bytes(), 0)?;
    (end == cell.text.len() && !cell.quoted).then_some(value)
}

fn trimmed<'c>(cell: &'c Cell<'_>) -> &'c str {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = cell.text.as_bytes();
    if is_space(bytes.first()) || is_space(bytes.last()) { cell.text.trim_matches([' ', '\t']) } else { &cell.text }
}

fn kind(cell: &Cell<'_>) -> Kind {
    if cell.text.is_empty() {
        return Kind::Missing;
    }
    if cell.quoted {
        return Kind::Text;
    }
    let text = trimmed(cell);
    number(text).unwrap_or(match text {
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        "" | "NaN" | "nan" | "NAN" | "NA" | "<NA>" | "N/A" | "n/a" | "#N/A" | "null" | "NULL" | "None" => Kind::Missing,
        "inf" | "Inf" | "Infinity" | "+inf" | "+Inf" | "+Infinity" => Kind::Infinite { negative: false },
        "-inf" | "-Inf" | "-Infinity" => Kind::Infinite { negative: true },
        _ => Kind::Text,
    })
}

/// A decimal number as people write it: a sign, digits, a point before, among or behind them, an exponent.
fn number(text: &str) -> Option<Kind> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let before = digits(unsigned);
    if before == unsigned.len() && before > 0 {
        return Some(Kind::Whole { negative: text.starts_with('-'), magnitude: unsigned.parse().ok() });
    }
    let mut rest = &unsigned[before..];
    let mut after = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        after = digits(fraction);
        rest = &fraction[after..];
    }
    if before + after == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        if length == 0 || length != exponent.len() {
            return None;
        }
        rest = "";
    }
    rest.is_empty().then_some(Kind::Fraction)
}
