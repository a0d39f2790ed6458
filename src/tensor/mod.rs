//! Tensors and columns: the data that every stage of the journey shares.
//!
//! A [`Tensor`] is a shape and one flat, row-major vector of [`Elements`]. A column is a named tensor whose first axis
//! counts instances (rows), so that a batch for a model is a slice of it and a step is a function over all of it.

use std::{fmt, ops::Range, sync::Arc};

pub(crate) use cast::Element;
pub use cast::{CastError, cast};
pub use elements::{ByteStrings, DataType, Elements, UnknownDataType};

mod cast;
mod elements;

/// A shape and its elements; `product(shape) == elements.len()` always holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    elements: Elements,
}

/// A shape that does not fit its elements.
#[derive(Debug, thiserror::Error)]
#[error("shape {} has {expected} elements, but {found} came", ShapeText(.shape))]
pub struct ShapeMismatch {
    shape: Vec<usize>,
    expected: Count,
    found: usize,
}

#[derive(Debug)]
struct Count(Option<usize>);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => count.fmt(f),
            None => f.write_str("more than can be counted"),
        }
    }
}

/// A shape for reading: `[2, 784]`.
pub struct ShapeText<'a>(pub &'a [usize]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0).finish()
    }
}

/// The number of elements of a shape; `None` if it overflows.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    // A zero anywhere makes the tensor empty, even where the product of the others overflows.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis))
}

impl Tensor {
    /// A tensor of `shape`.
    ///
    /// # Errors
    /// If `elements` are not as many as the shape says, or the shape overflows.
    pub fn new(shape: Vec<usize>, elements: Elements) -> Result<Self, ShapeMismatch> {
        let expected = element_count(&shape);
        if expected == Some(elements.len()) {
            Ok(Self { shape, elements })
        } else {
            Err(ShapeMismatch { found: elements.len(), expected: Count(expected), shape })
        }
    }

    /// A vector of one axis.
    pub fn vector(elements: Elements) -> Self {
        Self { shape: vec![elements.len()], elements }
    }

    /// A matrix `[rows, width]`.
    ///
    /// # Panics
    /// If `elements` are not a multiple of `width`, which must not be 0.
    pub fn matrix(width: usize, elements: Elements) -> Self {
        assert!(elements.len().is_multiple_of(width), "{} elements in rows of {width}", elements.len());
        Self { shape: vec![elements.len() / width, width], elements }
    }

    /// All axes; the first one counts instances where the tensor is a column.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The axes after the first; empty for vectors and scalars.
    pub fn row_shape(&self) -> &[usize] {
        self.shape.get(1..).unwrap_or_default()
    }

    /// The length of the first axis; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements per row; 1 for vectors and scalars.
    pub fn row_len(&self) -> usize {
        // Only a tensor without rows can have a row shape that overflows.
        element_count(self.row_shape()).unwrap_or(0)
    }

    /// The datatype.
    pub const fn datatype(&self) -> DataType {
        self.elements.datatype()
    }

    /// The elements in row-major order.
    pub const fn elements(&self) -> &Elements {
        &self.elements
    }

    /// The elements, to be changed in place; their number must stay.
    pub const fn elements_mut(&mut self) -> &mut Elements {
        &mut self.elements
    }

    /// Adds axes of length 1 at the end, until there are `axes`.
    pub fn widen(&mut self, axes: usize) {
        self.shape.resize(self.shape.len().max(axes), 1);
    }

    /// Takes the tensor apart.
    pub fn into_parts(self) -> (Vec<usize>, Elements) {
        (self.shape, self.elements)
    }

    /// Which elements the rows `rows` own.
    pub fn range_of(&self, rows: &Range<usize>) -> Range<usize> {
        let width = self.row_len();
        rows.start * width..rows.end * width
    }

    /// A copy of the rows `rows`.
    ///
    /// # Panics
    /// For a scalar, which has no rows to choose from, and for rows that are not there.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        assert!(!self.shape.is_empty(), "a scalar has no rows");
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        let mut elements = Elements::empty(self.datatype());
        elements.extend_from(&self.elements, self.range_of(&rows));
        Self { shape, elements }
    }

    /// A copy of several ranges of rows, one after another.
    ///
    /// # Panics
    /// As [`Self::slice`].
    pub fn gather(&self, ranges: &[Range<usize>]) -> Self {
        let mut gathered = Self::without_rows(self.datatype(), self.row_shape());
        for rows in ranges {
            gathered.append(self, rows.clone());
        }
        gathered
    }

    /// Adds `rows` rows of zeros or empty strings.
    pub fn append_zeros(&mut self, rows: usize) {
        let zeros = Elements::zeros(self.datatype(), rows * self.row_len());
        self.elements.extend_from(&zeros, 0..zeros.len());
        self.shape[0] += rows;
    }

    /// Adds the rows `rows` of `other`, whose datatype and row shape are the same.
    ///
    /// # Panics
    /// If they are not, or if either is a scalar.
    pub fn append(&mut self, other: &Self, rows: Range<usize>) {
        assert_eq!(self.row_shape(), other.row_shape(), "rows of one shape only");
        assert!(!self.shape.is_empty() && !other.shape.is_empty(), "a scalar has no rows");
        self.shape[0] += rows.len();
        self.elements.extend_from(&other.elements, other.range_of(&rows));
    }

    /// Room for a column that grows: no rows yet, of the given row shape.
    pub fn without_rows(datatype: DataType, row_shape: &[usize]) -> Self {
        let mut shape = Vec::with_capacity(row_shape.len() + 1);
        shape.push(0);
        shape.extend_from_slice(row_shape);
        Self { shape, elements: Elements::empty(datatype) }
    }

    /// Adds `rows` rows whose elements `write` appends; on an error nothing is added.
    ///
    /// # Errors
    /// What `write` says.
    ///
    /// # Panics
    /// If `write` appends another number of elements than the rows have.
    pub fn push_rows<E>(&mut self, rows: usize, write: impl FnOnce(&mut Elements) -> Result<(), E>) -> Result<(), E> {
        let before = self.elements.len();
        let written = write(&mut self.elements);
        if written.is_err() {
            self.elements.truncate(before);
            return written;
        }
        assert_eq!(self.elements.len(), before + rows * self.row_len(), "whole rows only");
        self.shape[0] += rows;
        written
    }

    /// The row shape, and the elements for appending rows whose number shows only at the end: then either
    /// [`Self::settle_rows`] or [`Self::truncate_rows`] must follow.
    pub fn growing(&mut self) -> (&[usize], &mut Elements) {
        (self.shape.get(1..).unwrap_or_default(), &mut self.elements)
    }

    /// Counts the elements as `rows` rows; `false`, and no change, if they are not as many.
    pub fn settle_rows(&mut self, rows: usize) -> bool {
        let whole = self.row_len().checked_mul(rows) == Some(self.elements.len());
        if whole {
            self.shape[0] = rows;
        }
        whole
    }

    /// Forgets all rows from `rows` on.
    pub fn truncate_rows(&mut self, rows: usize) {
        let keep = rows * self.row_len();
        self.elements.truncate(keep);
        self.shape[0] = rows;
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.elements.size()
    }
}

/// A column's name; shared, since every chunk repeats it.
pub type Name = Arc<str>;

/// A named tensor; cheap to clone, copied when it is written while shared.
#[derive(Clone, Debug)]
pub struct Column {
    /// The input's, output's or step's name.
    pub name: Name,
    /// First axis: instances.
    pub tensor: Arc<Tensor>,
    /// What the entries of the last axis stand for (scikit-learn's class labels), where the model says it.
    pub classes: Option<Arc<Elements>>,
    /// Whether the column belongs into the answer: the last model's outputs, and what steps after it wrote.
    pub answer: bool,
    /// Whether the caller fixed the datatype by sending binary data, which is never cast for a model.
    pub exact: bool,
}

/// The columns of a group, in the order in which they came to be.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// The column called `name`.
    pub fn find(&self, name: &str) -> Option<&Column> {
        self.0.iter().find(|column| &*column.name == name)
    }

    /// The column called `name`, to be changed.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut Column> {
        self.0.iter_mut().find(|column| &*column.name == name)
    }

    /// Puts a column under its name: in the place of the one that has it, or last.
    pub fn put(&mut self, column: Column) {
        match self.find_mut(&column.name) {
            Some(old) => *old = column,
            None => self.0.push(column),
        }
    }

    /// Takes a column out.
    pub fn remove(&mut self, name: &str) -> Option<Column> {
        let index = self.0.iter().position(|column| &*column.name == name)?;
        Some(self.0.remove(index))
    }

    /// Every column in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Column> {
        self.0.iter()
    }

    /// Every column in order, to be changed.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Column> {
        self.0.iter_mut()
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Column> for Columns {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Self {
        Self(columns.into_iter().collect())
    }
}

impl Column {
    /// A column of a request, or of a step before `predict`.
    pub fn new(name: impl Into<Name>, tensor: impl Into<Arc<Tensor>>) -> Self {
        Self { name: name.into(), tensor: tensor.into(), classes: None, answer: false, exact: false }
    }

    /// Whether it is the bodies of requests that are data and nothing else, one a row: no form of values without names has
    /// fewer than two axes.
    pub fn is_body(&self) -> bool {
        self.exact && self.tensor.datatype() == DataType::Bytes && self.tensor.shape().len() == 1
    }

    /// The tensor, to be changed; copied first if somebody else still reads it.
    pub fn tensor_mut(&mut self) -> &mut Tensor {
        Arc::make_mut(&mut self.tensor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shape_that_overflows_is_refused() {
        let error = Tensor::new(vec![usize::MAX, 2], Elements::Fp32(vec![])).unwrap_err();
        assert!(error.to_string().contains("more than can be counted"), "{error}");
        assert_eq!(element_count(&[usize::MAX, 2, 0]), Some(0));
        assert_eq!(Tensor::new(vec![0, usize::MAX, 2], Elements::Fp32(vec![])).unwrap().row_len(), 0);
    }

    #[test]
    fn a_failed_push_leaves_no_trace() {
        let mut tensor = Tensor::without_rows(DataType::Bytes, &[2]);
        let result = tensor.push_rows(1, |elements| {
            let Elements::Bytes(strings) = elements else { unreachable!() };
            strings.push(b"half a row");
            Err("no more")
        });
        assert_eq!(result, Err("no more"));
        assert_eq!(tensor, Tensor::without_rows(DataType::Bytes, &[2]));
    }

    proptest! {
        #[test]
        fn strings_survive_slicing_and_appending(strings in prop::collection::vec(".{0,12}", 0..20), cut in 0_usize..21) {
            let all = Tensor::vector(Elements::Bytes(strings.iter().collect()));
            let cut = cut.min(strings.len());
            let mut joined = all.slice(0..cut);
            joined.append(&all, cut..strings.len());
            prop_assert_eq!(joined, all);
        }

        #[test]
        fn numbers_survive_slicing_and_appending(rows in 0_usize..9, width in 1_usize..5, cut in 0_usize..9) {
            let all = Tensor::new(vec![rows, width], Elements::Int64((0..(rows * width) as i64).collect())).unwrap();
            let cut = cut.min(rows);
            let mut joined = all.slice(0..cut);
            joined.append(&all, cut..rows);
            prop_assert_eq!(joined, all);
        }
    }
}
