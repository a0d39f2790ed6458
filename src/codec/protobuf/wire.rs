//! Walks a protobuf message field by field over the bytes of a body; nothing is copied.
//!
//! Format: <https://protobuf.dev/programming-guides/encoding>. Guarantee: a walk never leaves the message that it is in,
//! whatever its lengths say, and every step moves on.

use std::fmt;

/// Groups nested deeper than this are refused; nobody writes them since 2008.
const DEEPEST: usize = 64;

/// What is wrong with the bytes, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Byte offset in the body.
    pub at: usize,
    /// What stands there.
    pub why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body is no inference.ModelInferRequest: at byte {} {}", self.at, self.why)
    }
}

/// The rest of a message.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub number: u32,
    /// Where its tag begins.
    pub at: usize,
    pub value: Value<'a>,
}

/// What a field holds, by its wire type.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    /// Bytes, text, a message, or packed numbers.
    Bytes(Walk<'a>),
    /// A group, which no message of ours has; it was stepped over.
    Group,
    Fixed32([u8; 4]),
}

impl<'a> Walk<'a> {
    /// A whole body.
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, end: body.len() }
    }

    /// A part of a body.
    pub fn within(body: &'a [u8], part: std::ops::Range<usize>) -> Self {
        Self { body, at: part.start, end: part.end }
    }

    /// Where in the body it stands.
    pub fn at(self) -> usize {
        self.at
    }

    /// What is left of the message.
    pub fn bytes(self) -> &'a [u8] {
        &self.body[self.at..self.end]
    }

    /// Whether nothing is left.
    pub fn is_done(self) -> bool {
        self.at == self.end
    }

    /// The bytes of the body from a field that was read to where the walk stands now: its tag, length and contents.
    pub fn since(self, field: &Field<'_>) -> &'a [u8] {
        &self.body[field.at..self.at]
    }

    /// The next field; `None` at the end of the message.
    pub fn field(&mut self) -> Result<Option<Field<'a>>, Broken> {
        if self.is_done() {
            return Ok(None);
        }
        let at = self.at;
        let (number, kind) = self.tag()?;
        let value = match kind {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed()?),
            2 => Value::Bytes(self.part()?),
            3 => self.step_over_group(number).map(|()| Value::Group)?,
            5 => Value::Fixed32(self.fixed()?),
            4 => return Err(Broken { at, why: "a group ends that did not begin" }),
            _ => return Err(Broken { at, why: "is a field of a wire type that does not exist" }),
        };
        Ok(Some(Field { number, at, value }))
    }

    /// The next number of packed ones, or of a tag.
    pub fn varint(&mut self) -> Result<u64, Broken> {
        let (start, mut number) = (self.at, 0);
        for (index, &byte) in self.body[start..self.end].iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    break;
                }
                self.at = start + index + 1;
                return Ok(number);
            }
        }
        let why =
            if self.end - start < 10 { "the message ends inside a number" } else { "is a number of over 64 bits" };
        Err(Broken { at: start, why })
    }

    /// The next bytes of a fixed number.
    pub fn fixed<const WIDTH: usize>(&mut self) -> Result<[u8; WIDTH], Broken> {
        let Some(bytes) = self.bytes().first_chunk() else {
            return Err(Broken { at: self.at, why: "the message ends inside a number" });
        };
        self.at += WIDTH;
        Ok(*bytes)
    }

    fn tag(&mut self) -> Result<(u32, u64), Broken> {
        let at = self.at;
        let tag = self.varint()?;
        match u32::try_from(tag >> 3) {
            Ok(number @ 1..=0x1FFF_FFFF) => Ok((number, tag & 7)),
            _ => Err(Broken { at, why: "is a field of a number that no field can have" }),
        }
    }

    fn part(&mut self) -> Result<Self, Broken> {
        let at = self.at;
        let length = self.varint()?;
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let Some(end) = end.filter(|end| *end <= self.end) else {
            return Err(Broken { at, why: "is a length that goes beyond the end of its message" });
        };
        let part = Self { body: self.body, at: self.at, end };
        self.at = end;
        Ok(part)
    }

    fn step_over_group(&mut self, number: u32) -> Result<(), Broken> {
        let (mut open, mut depth) = ([0; DEEPEST], 1);
        open[0] = number;
        while depth > 0 {
            let at = self.at;
            if self.is_done() {
                return Err(Broken { at, why: "the message ends inside a group" });
            }
            let (number, kind) = self.tag()?;
            match kind {
                0 => drop(self.varint()?),
                1 => drop(self.fixed::<8>()?),
                2 => drop(self.part()?),
                3 if depth == DEEPEST => return Err(Broken { at, why: "groups are nested too deep" }),
                3 => {
                    open[depth] = number;
                    depth += 1;
                }
                4 if open[depth - 1] == number => depth -= 1,
                4 => return Err(Broken { at, why: "another group ends than the one that began last" }),
                5 => drop(self.fixed::<4>()?),
                _ => return Err(Broken { at, why: "is a field of a wire type that does not exist" }),
            }
        }
        Ok(())
    }
}

impl<'a> Field<'a> {
    /// Its bytes, a message, or packed numbers.
    pub fn part(self) -> Result<Walk<'a>, Broken> {
        match self.value {
            Value::Bytes(part) => Ok(part),
            _ => Err(self.of_wrong_type()),
        }
    }

    /// Its text.
    pub fn text(self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.part()?.bytes()).map_err(|_| Broken { at: self.at, why: "is text that is no UTF-8" })
    }

    /// What is wrong with a field that a message of ours has with another wire type.
    pub fn of_wrong_type(self) -> Broken {
        Broken { at: self.at, why: "is a known field of another wire type than it must have" }
    }
}

/// Appends a number.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes [`put_varint`] appends.
pub fn varint_size(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends the tag of a field that has a length, and the length.
pub fn put_head(out: &mut Vec<u8>, field: u32, length: usize) {
    put_varint(out, u64::from(field << 3 | 2));
    put_varint(out, length as u64);
}

/// Appends a field of bytes or text.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_that_lie_are_refused_where_they_stand() {
        let refused = |body: &[u8]| Walk::new(body).field().unwrap_err();
        assert_eq!(refused(&[0x0A, 0x05, b'a']).at, 1);
        assert!(
            refused(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]).why.contains("beyond the end")
        );
        assert!(refused(&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02]).why.contains("64 bits"));
        assert!(refused(&[0x08, 0x80]).why.contains("ends inside a number"));
        assert!(refused(&[0x0D, 1, 2, 3]).why.contains("ends inside a number"));
        assert!(refused(&[0x00]).why.contains("no field can have"));
        assert!(refused(&[0x0E]).why.contains("does not exist"));
    }

    #[test]
    fn groups_are_stepped_over_to_a_bounded_depth() {
        let mut body = vec![0x0B, 0x13, 0x08, 0x05, 0x14, 0x0C, 0x10, 0x07];
        let mut walk = Walk::new(&body);
        assert!(matches!(walk.field().unwrap().unwrap().value, Value::Group));
        assert!(matches!(walk.field().unwrap().unwrap().value, Value::Varint(7)));
        body[4] = 0x0C;
        assert!(Walk::new(&body).field().unwrap_err().why.contains("another group"));
        assert!(Walk::new(&[0x0B; 1_000_000]).field().unwrap_err().why.contains("too deep"));
        assert!(Walk::new(&[0x0B]).field().unwrap_err().why.contains("inside a group"));
        assert!(Walk::new(&[0x0C]).field().unwrap_err().why.contains("did not begin"));
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(number: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            let mut walk = Walk::new(&out);
            prop_assert_eq!((walk.varint(), walk.is_done(), out.len()), (Ok(number), true, varint_size(number)));
            prop_assert_eq!(out.len(), prost::encoding::encoded_len_varint(number));
        }
    }
}
