//! What the values of one feature have in common: the datatype and row shape of its column.
//!
//! | values | datatype |
//! |---|---|
//! | strings | BYTES |
//! | `true`, `false` | BOOL |
//! | numbers; `null`, bare `NaN` and, among numbers, the strings for `NaN` and the infinities | FP64 |
//! | whole numbers alone, one of them beyond 2^24 (an identifier, a time) | INT64, or UINT64 if need be |
//!
//! Why: see [`Whole`].

use std::fmt;

use super::super::{
    fault::{Clip, Fault, refused, unexpected},
    number::whole,
    scan::{Bare, Scanner},
};
use crate::{codec::whole::Whole, tensor::DataType};

/// What has been seen of a feature.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The length of each axis of a value; inner ones are known first. A scalar is one of length 1.
    axes: Vec<Option<usize>>,
    /// Whether anything but empty arrays came, so that there is no deeper axis.
    is_deep: bool,
    texts: bool,
    /// Strings that are floats among numbers: `"NaN"`.
    specials: bool,
    booleans: bool,
    /// `null` and bare `NaN`, `Infinity`, `-Infinity`.
    missing: bool,
    fractions: bool,
    /// Whether there are whole numbers, and which.
    integers: bool,
    whole: Whole,
    /// The first whole number that a double may not hold, and where it came.
    beyond_double: Option<String>,
}

impl Survey {
    /// Takes note of one value, on which the cursor stands. `subject` is whose it is.
    pub fn value(&mut self, scanner: &mut Scanner<'_>, subject: &impl fmt::Display) -> Result<(), Fault> {
        if scanner.peek() == Some(b'[') {
            return self.array(scanner, subject, 0);
        }
        let at = scanner.at();
        self.open(0, at, subject)?;
        self.leaf(scanner, subject, 1)?;
        self.close(0, 1, at, subject)
    }

    /// As deep as the brackets, whose number was bounded when the body was read.
    fn array(&mut self, scanner: &mut Scanner<'_>, subject: &impl fmt::Display, depth: usize) -> Result<(), Fault> {
        let at = scanner.at();
        self.open(depth, at, subject)?;
        let count = scanner.entries(|scanner, _| match scanner.peek() {
            Some(b'[') => self.array(scanner, subject, depth + 1),
            _ => self.leaf(scanner, subject, depth + 1),
        })?;
        self.close(depth, count, at, subject)
    }

    fn open(&mut self, depth: usize, at: usize, subject: &impl fmt::Display) -> Result<(), Fault> {
        if depth < self.axes.len() {
            return Ok(());
        }
        if self.is_deep {
            return Err(ragged(subject, at, format_args!("an array came where single values came before")));
        }
        self.axes.push(None);
        Ok(())
    }

    fn close(&mut self, depth: usize, count: usize, at: usize, subject: &impl fmt::Display) -> Result<(), Fault> {
        match *self.axes[depth].get_or_insert(count) {
            expected if expected == count => Ok(()),
            expected => Err(ragged(
                subject,
                at,
                format_args!("an array of {count} came where arrays of {expected} came before"),
            )),
        }
    }

    fn leaf(&mut self, scanner: &mut Scanner<'_>, subject: &impl fmt::Display, depth: usize) -> Result<(), Fault> {
        let at = scanner.at();
        if depth < self.axes.len() {
            return Err(ragged(subject, at, format_args!("a single value came where arrays came before")));
        }
        self.is_deep = true;
        let before = self.kinds();
        let kind = match scanner.peek() {
            Some(b'"') => self.string(scanner)?,
            Some(b't' | b'f') => {
                scanner.skip(Bare::Refused)?;
                self.booleans = true;
                "a boolean"
            }
            Some(b'{') => return Err(unexpected(scanner, subject, "a number, string, boolean or an array of them")),
            _ => self.number(scanner, subject)?,
        };
        if !self.is_of_one_kind() {
            let value = &scanner.text()[at..scanner.at()];
            return Err(refused(format!(
                "{subject} is `{}` (byte {at}), {kind}, but {before} came before: the values of a feature are of one kind",
                Clip(value)
            )));
        }
        Ok(())
    }

    fn string(&mut self, scanner: &mut Scanner<'_>) -> Result<&'static str, Fault> {
        let string = scanner.string()?;
        if matches!(&*string, "NaN" | "Infinity" | "-Infinity") {
            self.specials = true;
        } else {
            self.texts = true;
        }
        Ok("a string")
    }

    fn number(&mut self, scanner: &mut Scanner<'_>, subject: &impl fmt::Display) -> Result<&'static str, Fault> {
        let value = scanner.skip(Bare::Allowed)?;
        if !value.ends_with(|last: char| last.is_ascii_digit()) {
            self.missing = true;
            return Ok(if value == "null" { "null" } else { "a number" });
        }
        if value.contains(['.', 'e', 'E']) {
            self.fractions = true;
            return Ok("a number");
        }
        self.integers = true;
        let (is_negative, magnitude) = match whole(value) {
            Ok((is_negative, magnitude)) => (is_negative, Some(magnitude)),
            Err(_) => (value.starts_with('-'), None),
        };
        if self.whole.take(is_negative, magnitude) && self.beyond_double.is_none() {
            self.beyond_double = Some(format!("{subject} is `{}`", Clip(value)));
        }
        Ok("a number")
    }

    fn has_floats(&self) -> bool {
        self.missing || self.fractions
    }

    fn is_of_one_kind(&self) -> bool {
        let numbers = self.has_floats() || self.integers;
        let strings = self.texts || self.specials;
        !(self.texts && numbers) && !(self.booleans && (numbers || strings))
    }

    /// What came so far, for a sentence.
    fn kinds(&self) -> &'static str {
        match self {
            Self { booleans: true, .. } => "booleans",
            Self { texts: true, .. } => "strings",
            Self { integers: true, .. } | Self { fractions: true, .. } => "numbers",
            Self { missing: true, .. } => "missing values",
            _ => "strings",
        }
    }

    /// The datatype that holds all values.
    pub fn datatype(&self) -> Result<DataType, Fault> {
        let has_floats = self.has_floats() || (self.specials && self.integers);
        match self {
            Self { booleans: true, .. } => Ok(DataType::Bool),
            Self { texts: true, .. } => Ok(DataType::Bytes),
            Self { specials: true, integers: false, .. } if !has_floats => Ok(DataType::Bytes),
            _ => self.whole.datatype(has_floats).ok_or_else(|| self.too_large(has_floats)),
        }
    }

    fn too_large(&self, has_floats: bool) -> Fault {
        let first = self.beyond_double.as_deref().unwrap_or_default();
        let why = if has_floats {
            "which no FP64 holds exactly, and other values of the feature are no whole numbers"
        } else {
            "and neither INT64 nor UINT64 holds all values of the feature"
        };
        refused(format!("{first}, {why}"))
    }

    /// The shape of the column: as many rows, then the axes of a value.
    pub fn shape(&self, rows: usize) -> Vec<usize> {
        std::iter::once(rows).chain(self.axes.iter().map(|axis| axis.unwrap_or(0))).collect()
    }
}

fn ragged(subject: &impl fmt::Display, at: usize, what: fmt::Arguments<'_>) -> Fault {
    refused(format!("{subject} is ragged at byte {at}: {what}"))
}
