//! Why an array is not what its shape and datatype say: only bad requests are walked a second time for it.

use std::fmt;

use half::f16;

use super::{
    element::Element,
    fault::{Clip, Fault, refused, shape_text, unexpected},
    number::{self, NotWhole},
    scan::{Bare, Scanner},
    text,
};
use crate::tensor::{DataType, element_count};

/// The fault of the array at byte `at` of `body`, which was announced with `datatype` and `shape`. `subject` is what the
/// sentence begins with: whose data they are.
pub(super) fn explain(body: &str, at: usize, subject: &dyn fmt::Display, datatype: DataType, shape: &[usize]) -> Fault {
    let mut walk = Walk { subject, datatype, shape, path: Vec::new() };
    match walk.data(&mut Scanner::starting(body, at)) {
        Err(fault) => fault,
        Ok(()) => refused(format!("{subject}: the value at byte {at} does not fit {datatype} {}", shape_text(shape))),
    }
}

struct Walk<'a> {
    subject: &'a dyn fmt::Display,
    datatype: DataType,
    shape: &'a [usize],
    /// The index at each level of nesting.
    path: Vec<usize>,
}

impl Walk<'_> {
    fn data(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        if scanner.peek() != Some(b'[') {
            if self.shape.is_empty() {
                return self.leaf(scanner);
            }
            return Err(unexpected(scanner, format_args!("{self}"), "an array"));
        }
        let mut inside = Scanner::starting(scanner.text(), scanner.at() + 1);
        if inside.peek() == Some(b'[') { self.nested(scanner, 0) } else { self.flat(scanner) }
    }

    fn flat(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let found = self.entries(scanner, Self::leaf)?;
        let expected = element_count(self.shape).unwrap_or(usize::MAX);
        if found == expected {
            return Ok(());
        }
        Err(refused(format!("{self} has {found} elements, but shape {} has {expected}", shape_text(self.shape))))
    }

    fn nested(&mut self, scanner: &mut Scanner<'_>, axis: usize) -> Result<(), Fault> {
        let Some(&expected) = self.shape.get(axis) else { return self.leaf(scanner) };
        if scanner.peek() != Some(b'[') {
            let what = format!("an array of {expected}, as shape {} says", shape_text(self.shape));
            return Err(unexpected(scanner, format_args!("{self}"), &what));
        }
        let found = self.entries(scanner, |walk, scanner| walk.nested(scanner, axis + 1))?;
        if found == expected {
            return Ok(());
        }
        let shape = shape_text(self.shape);
        Err(refused(format!("{self} has {found} entries, but shape[{axis}] of {shape} says {expected}")))
    }

    fn entries(
        &mut self,
        scanner: &mut Scanner<'_>,
        mut each: impl FnMut(&mut Self, &mut Scanner<'_>) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        scanner.entries(|scanner, index| {
            self.path.push(index);
            each(self, scanner)?;
            self.path.pop();
            Ok(())
        })
    }

    fn leaf(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        if scanner.peek() == Some(b'[') && !self.shape.is_empty() && self.path.len() >= self.shape.len() {
            let (depth, shape) = (self.path.len() + 1, shape_text(self.shape));
            return Err(refused(format!(
                "{self} is an array: the data are nested {depth} deep, but shape {shape} is not"
            )));
        }
        match end_of(self.datatype, scanner.bytes(), scanner.at()) {
            Some(end) => scanner.go(end),
            None => return Err(self.misfit(scanner)),
        }
        Ok(())
    }

    /// Why the value here is none of the datatype's.
    fn misfit(&self, scanner: &mut Scanner<'_>) -> Fault {
        let (at, datatype) = (scanner.at(), self.datatype);
        let value = match scanner.clone().skip(Bare::Allowed) {
            Ok(value) => value,
            Err(broken) => return broken.into(),
        };
        let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && value != "-Infinity";
        let why = match datatype {
            DataType::Bool => "but BOOL wants true or false".to_owned(),
            DataType::Bytes if value.starts_with('"') => "a string with half a surrogate pair".to_owned(),
            DataType::Bytes => "but BYTES wants a string".to_owned(),
            _ if !is_number => format!("but {datatype} wants a number"),
            _ if datatype.is_float() => format!("which is beyond the range of {datatype}"),
            _ if number::whole(value) == Err(NotWhole::Fraction) => format!("but {datatype} wants a whole number"),
            _ => format!("which is out of range for {datatype} ({})", range(datatype)),
        };
        refused(format!("{self} is `{}` (byte {at}), {why}", Clip(value)))
    }
}

impl fmt::Display for Walk<'_> {
    /// `input `x`: data[3][1]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject.fmt(f)?;
        self.path.iter().try_for_each(|index| write!(f, "[{index}]"))
    }
}

/// Where the element of `datatype` at `at` ends; `None` if there is none.
fn end_of(datatype: DataType, bytes: &[u8], at: usize) -> Option<usize> {
    fn end<T: Element>(bytes: &[u8], at: usize) -> Option<usize> {
        T::read(bytes, at).map(|(_, end)| end)
    }
    match datatype {
        DataType::Bool => end::<bool>(bytes, at),
        DataType::Uint8 => end::<u8>(bytes, at),
        DataType::Uint16 => end::<u16>(bytes, at),
        DataType::Uint32 => end::<u32>(bytes, at),
        DataType::Uint64 => end::<u64>(bytes, at),
        DataType::Int8 => end::<i8>(bytes, at),
        DataType::Int16 => end::<i16>(bytes, at),
        DataType::Int32 => end::<i32>(bytes, at),
        DataType::Int64 => end::<i64>(bytes, at),
        DataType::Fp16 => end::<f16>(bytes, at),
        DataType::Fp32 => end::<f32>(bytes, at),
        DataType::Fp64 => end::<f64>(bytes, at),
        DataType::Bytes if bytes.get(at) == Some(&b'"') => text::unescape(bytes, at + 1, &mut Vec::new()).ok(),
        DataType::Bytes => None,
    }
}

fn range(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Uint8 => "0 to 255",
        DataType::Uint16 => "0 to 65535",
        DataType::Uint32 => "0 to 4294967295",
        DataType::Uint64 => "0 to 18446744073709551615",
        DataType::Int8 => "-128 to 127",
        DataType::Int16 => "-32768 to 32767",
        DataType::Int32 => "-2147483648 to 2147483647",
        DataType::Int64 => "-9223372036854775808 to 9223372036854775807",
        _ => "numbers of its kind",
    }
}
