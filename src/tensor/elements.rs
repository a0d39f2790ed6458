//! Datatypes and the flat vectors of elements that tensors are made of.
//!
//! One enum variant a datatype of the Open Inference Protocol v2; strings stand one after another in one buffer, so that
//! no column allocates per row.

use std::{fmt, ops::Range, str::FromStr};

use half::f16;

/// The element type of a tensor, as the Open Inference Protocol v2 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

impl DataType {
    /// Every datatype, in the order of the protocol.
    pub const ALL: [Self; 13] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, e.g. `FP32`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Whether elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Fp32 | Self::Fp64)
    }

    /// Whether elements are numbers of any kind (`BOOL` and `BYTES` are not).
    pub const fn is_number(self) -> bool {
        !matches!(self, Self::Bool | Self::Bytes)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DataType {
    type Err = UnknownDataType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|datatype| datatype.as_str() == name).ok_or_else(|| UnknownDataType(name.to_owned()))
    }
}

/// A name that is no datatype of the protocol.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no datatype; datatypes are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64 and BYTES")]
pub struct UnknownDataType(String);

/// Strings of bytes, one after another in one buffer: no allocation per string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteStrings {
    bytes: Vec<u8>,
    /// `len + 1` offsets into `bytes`, the first of which is 0.
    offsets: Vec<usize>,
}

impl Default for ByteStrings {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0] }
    }
}

impl ByteStrings {
    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one string.
    pub fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.offsets.push(self.bytes.len());
    }

    /// Adds one string that `write` appends to the buffer, without an intermediate copy. What `write` does to the bytes
    /// that were there before it is lost: it may only append.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        match written {
            Ok(()) => self.offsets.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(start),
        }
        written
    }

    /// The string at `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn at(&self, index: usize) -> &[u8] {
        &self.bytes[self.offsets[index]..self.offsets[index + 1]]
    }

    /// Every string in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.offsets.windows(2).map(|pair| &self.bytes[pair[0]..pair[1]])
    }

    /// Adds the strings of `range` of another column.
    pub fn extend_from(&mut self, other: &Self, range: Range<usize>) {
        let start = other.offsets[range.start];
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes[start..other.offsets[range.end]]);
        self.offsets.extend(other.offsets[range.start + 1..=range.end].iter().map(|offset| base + offset - start));
    }

    /// Forgets all strings from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(*self.offsets.last().expect("there is always a first offset"));
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.offsets.len() * size_of::<usize>()
    }
}

impl<S: AsRef<[u8]>> FromIterator<S> for ByteStrings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let mut all = Self::default();
        for string in strings {
            all.push(string.as_ref());
        }
        all
    }
}

/// The elements of a tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    Bool(Vec<bool>),
    Uint8(Vec<u8>),
    Uint16(Vec<u16>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Fp16(Vec<f16>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Bytes(ByteStrings),
}

/// Runs one expression for whichever numeric or boolean vector is inside, and another for strings.
#[macro_export]
macro_rules! each_elements {
    ($elements:expr, $vector:ident => $plain:expr, $strings:ident => $bytes:expr) => {
        match $elements {
            $crate::tensor::Elements::Bool($vector) => $plain,
            $crate::tensor::Elements::Uint8($vector) => $plain,
            $crate::tensor::Elements::Uint16($vector) => $plain,
            $crate::tensor::Elements::Uint32($vector) => $plain,
            $crate::tensor::Elements::Uint64($vector) => $plain,
            $crate::tensor::Elements::Int8($vector) => $plain,
            $crate::tensor::Elements::Int16($vector) => $plain,
            $crate::tensor::Elements::Int32($vector) => $plain,
            $crate::tensor::Elements::Int64($vector) => $plain,
            $crate::tensor::Elements::Fp16($vector) => $plain,
            $crate::tensor::Elements::Fp32($vector) => $plain,
            $crate::tensor::Elements::Fp64($vector) => $plain,
            $crate::tensor::Elements::Bytes($strings) => $bytes,
        }
    };
}

impl Elements {
    /// No elements of `datatype`.
    pub fn empty(datatype: DataType) -> Self {
        match datatype {
            DataType::Bool => Self::Bool(Vec::new()),
            DataType::Uint8 => Self::Uint8(Vec::new()),
            DataType::Uint16 => Self::Uint16(Vec::new()),
            DataType::Uint32 => Self::Uint32(Vec::new()),
            DataType::Uint64 => Self::Uint64(Vec::new()),
            DataType::Int8 => Self::Int8(Vec::new()),
            DataType::Int16 => Self::Int16(Vec::new()),
            DataType::Int32 => Self::Int32(Vec::new()),
            DataType::Int64 => Self::Int64(Vec::new()),
            DataType::Fp16 => Self::Fp16(Vec::new()),
            DataType::Fp32 => Self::Fp32(Vec::new()),
            DataType::Fp64 => Self::Fp64(Vec::new()),
            DataType::Bytes => Self::Bytes(ByteStrings::default()),
        }
    }

    /// `count` zeros, `false`s or empty strings.
    pub fn zeros(datatype: DataType, count: usize) -> Self {
        let mut elements = Self::empty(datatype);
        each_elements!(&mut elements,
            vector => vector.resize(count, Default::default()),
            strings => (0..count).for_each(|_| strings.push(b"")));
        elements
    }

    /// The datatype.
    pub const fn datatype(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::Uint8(_) => DataType::Uint8,
            Self::Uint16(_) => DataType::Uint16,
            Self::Uint32(_) => DataType::Uint32,
            Self::Uint64(_) => DataType::Uint64,
            Self::Int8(_) => DataType::Int8,
            Self::Int16(_) => DataType::Int16,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::Fp16(_) => DataType::Fp16,
            Self::Fp32(_) => DataType::Fp32,
            Self::Fp64(_) => DataType::Fp64,
            Self::Bytes(_) => DataType::Bytes,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        each_elements!(self, vector => vector.len(), strings => strings.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all elements from `len` on.
    pub fn truncate(&mut self, len: usize) {
        each_elements!(self, vector => vector.truncate(len), strings => strings.truncate(len));
    }

    /// Makes room for `more` elements.
    pub fn reserve(&mut self, more: usize) {
        each_elements!(self, vector => vector.reserve(more), strings => strings.offsets.reserve(more));
    }

    /// Makes room for `more` elements as far as `bytes` go; of strings nobody knows how long they will be.
    pub fn reserve_within(&mut self, more: usize, bytes: usize) {
        fn reserve<T>(vector: &mut Vec<T>, more: usize, bytes: usize) {
            vector.reserve(more.min(bytes / size_of::<T>()));
        }
        each_elements!(self, vector => reserve(vector, more, bytes), strings => {
            reserve(&mut strings.offsets, more, bytes);
            strings.bytes.reserve(bytes);
        });
    }

    /// Adds `range` of another vector of the same datatype.
    ///
    /// # Panics
    /// If the datatypes differ: callers concatenate within one signature only.
    pub fn extend_from(&mut self, other: &Self, range: Range<usize>) {
        macro_rules! same {
            ($($kind:ident),*) => {
                match (self, other) {
                    $((Self::$kind(mine), Self::$kind(theirs)) => mine.extend_from_slice(&theirs[range]),)*
                    (Self::Bytes(mine), Self::Bytes(theirs)) => mine.extend_from(theirs, range),
                    (mine, theirs) => panic!("cannot append {} to {}", theirs.datatype(), mine.datatype()),
                }
            };
        }
        same!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Fp32, Fp64);
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        each_elements!(self, vector => size_of_val(vector.as_slice()), strings => strings.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datatype_names_round_trip() {
        for datatype in DataType::ALL {
            assert_eq!(datatype.as_str().parse::<DataType>().unwrap(), datatype);
            assert_eq!(Elements::empty(datatype).datatype(), datatype);
        }
        assert!("fp32".parse::<DataType>().is_err());
    }
}
