//! Avro's binary encoding, read where it lies: numbers, lengths, blocks, and values that nobody needs.
//!
//! Guarantee: no length or count is believed before the bytes are there, nothing is allocated by them, and what a body can
//! make us do is bounded by its own length.
//!
//! Source: <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>.

use std::fmt;

use super::schema::Node;

/// Values within values that are read over; records that hold themselves may be deeper than any stack.
const DEEPEST: usize = 64;

/// Why bytes are no value of the schema.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where in the body.
    pub at: usize,
    pub expected: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

/// Items that stand together.
pub struct Block {
    pub count: usize,
    /// How many bytes they say they have.
    size: Option<usize>,
}

impl<'a> Reader<'a> {
    /// At byte `at` of a body.
    pub fn new(body: &'a [u8], at: usize) -> Self {
        Self { body, at }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.body.len() - self.at
    }

    /// The error that stands here.
    pub fn broken(&self, expected: &'static str) -> Broken {
        Broken { at: self.at, expected }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, expected: &'static str) -> Result<&'a [u8], Broken> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.body.len());
        let end = end.ok_or(Broken { at: self.at, expected })?;
        let taken = &self.body[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A whole number of up to 64 bits.
    #[inline]
    pub fn long(&mut self) -> Result<i64, Broken> {
        const EXPECTED: &str = "a whole number";
        let start = self.at;
        let broken = Broken { at: start, expected: EXPECTED };
        let mut bits = 0_u64;
        let mut shift = 0;
        for &byte in &self.body[start..] {
            self.at += 1;
            let part = u64::from(byte & 0x7F);
            if shift == 63 && part > 1 {
                return Err(broken);
            }
            bits |= part << shift;
            if byte < 0x80 {
                return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
            shift += 7;
            if shift > 63 {
                return Err(broken);
            }
        }
        Err(broken)
    }

    /// A whole number of 32 bits.
    pub fn int(&mut self) -> Result<i32, Broken> {
        let broken = self.broken("a whole number of 32 bits");
        i32::try_from(self.long()?).map_err(|_| broken)
    }

    pub fn boolean(&mut self) -> Result<bool, Broken> {
        const EXPECTED: &str = "a boolean";
        let broken = self.broken(EXPECTED);
        match self.take(1, EXPECTED)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(broken),
        }
    }

    pub fn float(&mut self) -> Result<f32, Broken> {
        let bytes = self.take(4, "a float")?;
        Ok(f32::from_le_bytes(bytes.try_into().expect("four were taken")))
    }

    pub fn double(&mut self) -> Result<f64, Broken> {
        let bytes = self.take(8, "a double")?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("eight were taken")))
    }

    /// A length, and as many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let broken = self.broken("a text or bytes of no more than are left");
        let length = usize::try_from(self.long()?).map_err(|_| broken)?;
        self.take(length, "a text or bytes of no more than are left")
    }

    /// The index of one of `count` things.
    pub fn index(&mut self, count: usize, expected: &'static str) -> Result<usize, Broken> {
        let broken = self.broken(expected);
        usize::try_from(self.long()?).ok().filter(|&index| index < count).ok_or(broken)
    }

    /// What the next block of an array or map says of itself; `None` at the end of them.
    pub fn block(&mut self) -> Result<Option<Block>, Broken> {
        let broken = self.broken("the size of a block");
        match self.long()? {
            0 => Ok(None),
            count @ 1.. => {
                let count = usize::try_from(count).map_err(|_| broken)?;
                Ok(Some(Block { count, size: None }))
            }
            negative => {
                let broken = self.broken("the size of a block");
                let count = negative.checked_neg().and_then(|count| usize::try_from(count).ok());
                let size = usize::try_from(self.long()?).ok().filter(|&size| size <= self.left());
                match (count, size) {
                    (Some(count), size @ Some(_)) => Ok(Some(Block { count, size })),
                    _ => Err(broken),
                }
            }
        }
    }

    /// Reads over a value.
    pub fn skip(&mut self, nodes: &[Node], node: usize) -> Result<(), Broken> {
        self.skip_at(nodes, node, 0)
    }

    fn skip_at(&mut self, nodes: &[Node], node: usize, depth: usize) -> Result<(), Broken> {
        if depth > DEEPEST {
            return Err(self.broken("a value that is not so deep"));
        }
        match &nodes[node] {
            Node::Null => Ok(()),
            Node::Boolean => self.boolean().map(drop),
            Node::Int | Node::Long => self.long().map(drop),
            Node::Float => self.float().map(drop),
            Node::Double => self.double().map(drop),
            Node::Bytes | Node::Decimal { size: None, .. } => self.bytes().map(drop),
            Node::Fixed(size) | Node::Decimal { size: Some(size), .. } => {
                self.take(*size, "a value of fixed size").map(drop)
            }
            Node::Enum(symbols) => self.index(symbols.len(), "the index of a symbol").map(drop),
            Node::Union(branches) => {
                let branch = self.index(branches.len(), "the index of a branch of a union")?;
                self.skip_at(nodes, branches[branch], depth + 1)
            }
            Node::Record(fields) => fields.iter().try_for_each(|field| self.skip_at(nodes, field.node, depth + 1)),
            Node::Array(items) => self.skip_blocks(|reader| reader.skip_at(nodes, *items, depth + 1)),
            Node::Map(values) => self.skip_blocks(|reader| {
                reader.bytes()?;
                reader.skip_at(nodes, *values, depth + 1)
            }),
        }
    }

    fn skip_blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Broken>) -> Result<(), Broken> {
        while let Some(Block { count, size }) = self.block()? {
            if let Some(size) = size {
                self.take(size, "as many bytes as the block says")?;
                continue;
            }
            for _ in 0..count {
                let before = self.at;
                item(self)?;
                // What has no bytes has none however many there are.
                if self.at == before {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::avro::schema::Schema;

    fn long(bytes: &[u8]) -> Option<i64> {
        let mut reader = Reader::new(bytes, 0);
        reader.long().ok().filter(|_| reader.left() == 0)
    }

    #[test]
    fn numbers_zigzag_and_none_is_longer_than_64_bits() {
        for (bytes, number) in [(&[0][..], 0), (&[1], -1), (&[2], 1), (&[0x80, 1], 64), (&[0x7F], -64)] {
            assert_eq!(long(bytes), Some(number), "{bytes:?}");
        }
        let mut bytes = [0xFF; 10];
        bytes[9] = 1;
        assert_eq!(long(&bytes), Some(i64::MIN));
        bytes[9] = 2;
        assert_eq!(long(&bytes), None);
        assert_eq!(long(&[0x80; 11]), None);
        assert_eq!(long(&[0x80]), None);
    }

    #[test]
    fn lengths_are_not_believed() {
        // 2^62 bytes, -1 bytes, 3 bytes of which 2 are there.
        for bytes in [&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1][..], &[1], &[6, b'a', b'b']] {
            assert!(Reader::new(bytes, 0).bytes().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn items_without_bytes_cost_nothing_however_many_they_say_they_are() {
        let schema = Schema::parse(r#"{"type": "array", "items": "null"}"#, &[]).unwrap();
        let mut many = vec![0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        many.push(0);
        let mut reader = Reader::new(&many, 0);
        assert_eq!(reader.skip(&schema.nodes, schema.root), Ok(()));
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn what_holds_itself_is_read_over_only_so_deep() {
        let text = r#"{"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}"#;
        let schema = Schema::parse(text, &[]).unwrap();
        let skip = |bytes: &[u8]| Reader::new(bytes, 0).skip(&schema.nodes, schema.root);
        assert_eq!(skip(&[2, 2, 2, 0]), Ok(()));
        let mut deep = vec![2; 100_000];
        deep.push(0);
        assert_eq!(skip(&deep).unwrap_err().expected, "a value that is not so deep");
    }
}
