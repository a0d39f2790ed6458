//! Walks a protobuf file field by field without holding it in memory: weights are stepped over, not read.
//!
//! Format: <https://protobuf.dev/programming-guides/encoding>. A walk never reads past the message that it is in, so that a
//! file that was cut short or is something else is told as such.

use std::io::{self, BufRead, BufReader, Read, Seek};

/// No part of a model's description is longer; only weights and trees are, and those are stepped over.
const MAX_DESCRIPTION: u64 = 64 << 20;

/// Why a walk ended early.
#[derive(Debug)]
pub(super) enum WireError {
    /// The file cannot be read.
    Io(io::Error),
    /// A field says that it goes on to `needed`, but its message ends at `end`.
    CutShort { needed: u64, end: u64 },
    /// No protobuf has such bytes.
    Nonsense,
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One field: its number, and either a number or a range of bytes of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u64,
    /// Where the field begins, its tag included.
    pub(super) tag: u64,
    /// Where its content begins and ends.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The value of a number field.
    pub(super) value: u64,
}

/// A file that is read from front to back, with steps over what nobody needs.
pub(super) struct Wire<R> {
    reader: BufReader<R>,
    position: u64,
    /// The length of the file.
    pub(super) length: u64,
}

impl<R: Read + Seek> Wire<R> {
    pub(super) fn new(mut file: R) -> Result<Self, WireError> {
        let length = file.seek(io::SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self { reader: BufReader::new(file), position: 0, length })
    }

    /// The next field of the message that ends at `end`; `None` at its end. The walk stands at the field's content.
    pub(super) fn next(&mut self, end: u64) -> Result<Option<Field>, WireError> {
        if self.position >= end {
            return Ok(None);
        }
        let tag = self.position;
        let key = self.varint(end)?;
        let (mut value, mut start) = (0, self.position);
        let length = match key & 7 {
            0 => {
                value = self.varint(end)?;
                0
            }
            1 => 8,
            2 => {
                let length = self.varint(end)?;
                start = self.position;
                length
            }
            5 => 4,
            _ => return Err(WireError::Nonsense),
        };
        let field_end = self.position.checked_add(length).ok_or(WireError::Nonsense)?;
        match key >> 3 {
            0 => Err(WireError::Nonsense),
            _ if field_end > end => Err(WireError::CutShort { needed: field_end, end }),
            number => Ok(Some(Field { number, tag, start, end: field_end, value })),
        }
    }

    /// Goes to a place of the file.
    pub(super) fn go(&mut self, to: u64) -> Result<(), WireError> {
        let distance = i64::try_from(to).and_then(|to| i64::try_from(self.position).map(|from| to - from));
        self.reader.seek_relative(distance.map_err(|_| WireError::Nonsense)?)?;
        self.position = to;
        Ok(())
    }

    /// The content of a field.
    pub(super) fn bytes(&mut self, field: &Field) -> Result<Vec<u8>, WireError> {
        let length = field.end - field.start;
        if length > MAX_DESCRIPTION {
            return Err(WireError::Nonsense);
        }
        self.go(field.start)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| WireError::Nonsense)?];
        self.reader.read_exact(&mut bytes)?;
        self.position = field.end;
        Ok(bytes)
    }

    /// The first bytes of the file, before anything was read.
    pub(super) fn first_bytes(&mut self) -> Result<&[u8], WireError> {
        Ok(self.reader.fill_buf()?)
    }

    fn varint(&mut self, end: u64) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            if self.position >= end {
                return Err(WireError::CutShort { needed: self.position + 1, end });
            }
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            self.position += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Nonsense)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use prost::encoding::{encode_key, encode_varint};

    use super::*;

    fn wire(bytes: &[u8]) -> Wire<Cursor<&[u8]>> {
        Wire::new(Cursor::new(bytes)).unwrap()
    }

    proptest! {
        #[test]
        fn every_field_is_found_whatever_was_stepped_over(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let mut bytes = Vec::new();
            for (index, content) in contents.iter().enumerate() {
                encode_key(index as u32 + 1, prost::encoding::WireType::LengthDelimited, &mut bytes);
                encode_varint(content.len() as u64, &mut bytes);
                bytes.extend_from_slice(content);
            }
            let mut wire = wire(&bytes);
            let mut found = Vec::new();
            while let Some(field) = wire.next(bytes.len() as u64).unwrap() {
                prop_assert_eq!(field.number, found.len() as u64 + 1);
                if field.number % 2 == 0 {
                    wire.go(field.end).unwrap();
                    found.push(contents[found.len()].clone());
                } else {
                    found.push(wire.bytes(&field).unwrap());
                }
            }
            prop_assert_eq!(found, contents);
        }

        #[test]
        fn no_bytes_make_a_walk_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut wire = wire(&bytes);
            while let Ok(Some(field)) = wire.next(bytes.len() as u64) {
                if wire.bytes(&field).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_field_that_leaves_its_message_is_told_as_cut_short() {
        // Field 1, 16 bytes, of which 2 are there.
        let error = wire(&[0x0a, 0x10, 1, 2]).next(4).unwrap_err();
        assert!(matches!(error, WireError::CutShort { needed: 18, end: 4 }), "{error:?}");
    }
}
