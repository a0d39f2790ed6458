//! Groups under construction: where decoders put the rows of a request.
//!
//! A decoder asks for [`Rows`] by signature ([`Groups::place`]), or tries the group that the previous request went to
//! ([`Groups::guess`]), fills every column and commits. Rows that are dropped before that leave no trace, so a request that
//! turns out to be bad half-way disturbs nobody.

use std::sync::Arc;

use crate::{
    request::{Group, Request, Route},
    tensor::{Column, Columns, DataType, Elements, Name, Tensor, element_count},
};

/// A tensor as a request announces it.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    pub name: &'a str,
    pub datatype: DataType,
    pub shape: &'a [usize],
    /// Whether the caller fixed the datatype by sending binary data, which is never cast.
    pub exact: bool,
}

/// The groups of a chunk that is being decoded.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Vec<Building>,
    /// The group that took the last request: most neighbours look alike.
    last: usize,
    /// How many requests there will be at most, and the bytes that they come in: room for them all in the first group, which
    /// mostly takes them.
    expected: Expected,
}

#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    requests: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Building {
    route: Arc<Route>,
    columns: Vec<Drafted>,
    requests: Vec<Request>,
    rows: usize,
    /// Holds one request whose tensors share no first axis; nobody may join it.
    single: bool,
    /// The line that named the columns of the last table that came as text.
    header: Option<Box<str>>,
}

/// A column under construction.
#[derive(Debug)]
pub struct Drafted {
    name: Name,
    tensor: Tensor,
    exact: bool,
}

/// Why a signature cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("the shape of `{name}` has more elements than any request can hold")]
pub struct Oversized {
    name: String,
}

impl Groups {
    /// Tensors without elements may claim any number of rows; more than this is taken for a mistake.
    const MAX_EMPTY_ROWS: usize = 1 << 20;

    /// Groups for at most so many requests, which come in so many bytes.
    pub fn expecting(requests: usize, bytes: usize) -> Self {
        Self { expected: Expected { requests, bytes }, ..Self::default() }
    }

    /// Rows for a request of this signature, in the group that has it.
    ///
    /// # Errors
    /// If a shape cannot be counted.
    pub fn place(&mut self, route: &Arc<Route>, signature: &[Announced<'_>]) -> Result<Rows<'_>, Oversized> {
        for input in signature {
            let count = element_count(input.shape);
            let rows = input.shape.first().copied().unwrap_or(1);
            if count.is_none() || (count == Some(0) && rows > Self::MAX_EMPTY_ROWS) {
                return Err(Oversized { name: input.name.to_owned() });
            }
        }
        let rows = common_rows(signature);
        let found = rows.and_then(|_| {
            let fits = |group: &Building| group.takes(route, signature);
            if self.groups.get(self.last).is_some_and(fits) {
                Some(self.last)
            } else {
                let is_same = |group: &Building| Arc::ptr_eq(&group.route, route) && fits(group);
                self.groups.iter().position(is_same).or_else(|| self.groups.iter().position(fits))
            }
        });
        self.last = found.unwrap_or_else(|| {
            let mut group = Building::new(Arc::clone(route), signature, rows.is_none());
            group.make_room(signature, std::mem::take(&mut self.expected));
            self.groups.push(group);
            self.groups.len() - 1
        });
        Ok(Rows { count: rows, filled: 0, group: &mut self.groups[self.last] })
    }

    /// Rows in the group that took the last request, if that goes the same way, else in the youngest that does; the caller
    /// states the signature input by input with [`Rows::expect`].
    pub fn guess(&mut self, route: &Arc<Route>) -> Option<Rows<'_>> {
        let is_same = |group: &Building| !group.single && Arc::ptr_eq(&group.route, route);
        if !self.groups.get(self.last).is_some_and(is_same) {
            // Routes that are equal are mostly the same one; to compare the names of many models is dear.
            let is_equal = |group: &Building| !group.single && group.route == *route;
            let found = self.groups.iter().rposition(is_same);
            self.last = found.or_else(|| self.groups.iter().rposition(is_equal))?;
        }
        Some(Rows { count: None, filled: 0, group: &mut self.groups[self.last] })
    }

    /// The finished groups, in the order of their first requests. Groups that nobody committed to are gone.
    pub fn finish(self) -> Vec<Group> {
        self.groups.into_iter().filter(|group| !group.requests.is_empty()).map(Building::finish).collect()
    }
}

/// The first axis that all inputs share; `None` if they do not, which makes the request a group of its own.
fn common_rows(signature: &[Announced<'_>]) -> Option<usize> {
    let rows = *signature.first()?.shape.first()?;
    signature.iter().all(|input| input.shape.first() == Some(&rows)).then_some(rows)
}

impl Building {
    fn new(route: Arc<Route>, signature: &[Announced<'_>], single: bool) -> Self {
        let draft = |input: &Announced<'_>| Drafted {
            name: input.name.into(),
            exact: input.exact,
            tensor: if single {
                Tensor::new(input.shape.to_vec(), Elements::zeros(input.datatype, 0))
                    .unwrap_or_else(|_| Tensor::without_rows(input.datatype, input.shape.get(1..).unwrap_or_default()))
            } else {
                Tensor::without_rows(input.datatype, &input.shape[1..])
            },
        };
        Self {
            route,
            columns: signature.iter().map(draft).collect(),
            requests: Vec::new(),
            rows: 0,
            single,
            header: None,
        }
    }

    /// Makes room for requests like the first, whose signature this is; all columns together take no more memory than the
    /// bytes that the requests come in.
    fn make_room(&mut self, signature: &[Announced<'_>], Expected { requests, bytes }: Expected) {
        self.requests.reserve(requests);
        if self.single {
            return;
        }
        let share = bytes / self.columns.len().max(1);
        for (column, input) in self.columns.iter_mut().zip(signature) {
            let count = element_count(input.shape).unwrap_or(0);
            column.tensor.growing().1.reserve_within(requests.saturating_mul(count), share);
        }
    }

    fn takes(&self, route: &Arc<Route>, signature: &[Announced<'_>]) -> bool {
        !self.single
            && self.columns.len() == signature.len()
            && self.columns.iter().zip(signature).all(|(column, input)| column.takes(input))
            && (Arc::ptr_eq(&self.route, route) || self.route == *route)
    }

    fn finish(self) -> Group {
        let column = |Drafted { name, tensor, exact }| Column { exact, ..Column::new(name, tensor) };
        let columns: Columns = self.columns.into_iter().map(column).collect();
        Group { route: self.route, columns, requests: self.requests }
    }
}

impl Drafted {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its row shape, and its elements for appending.
    pub fn growing(&mut self) -> (&[usize], &mut Elements) {
        self.tensor.growing()
    }

    fn takes(&self, input: &Announced<'_>) -> bool {
        *self.name == *input.name
            && self.tensor.datatype() == input.datatype
            && self.exact == input.exact
            && Some(self.tensor.row_shape()) == input.shape.get(1..)
    }
}

/// The rows of one request in a group under construction; gone again unless they are committed.
pub struct Rows<'a> {
    group: &'a mut Building,
    /// How many rows; `None` for a group of one request of any shape, and before the first [`Self::expect`].
    count: Option<usize>,
    /// How many columns have them.
    filled: usize,
}

impl Rows<'_> {
    /// Whether the next column is this one; the first call fixes the number of rows.
    pub fn expect(&mut self, input: &Announced<'_>) -> bool {
        let Some(&rows) = input.shape.first() else { return false };
        let fits = self.group.columns.get(self.filled).is_some_and(|column| column.takes(input));
        fits && *self.count.get_or_insert(rows) == rows && rows <= Groups::MAX_EMPTY_ROWS
    }

    /// Fills the next column in the order of the signature. `shape` is the one that was announced; `write` appends exactly
    /// as many elements as it says and is told that number.
    ///
    /// # Errors
    /// What `write` says; the rows are then of no use any more.
    pub fn fill<E>(
        &mut self,
        shape: &[usize],
        write: impl FnOnce(&mut Elements, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let count = element_count(shape).expect("`place` and `expect` refuse shapes that overflow");
        let column = &mut self.group.columns[self.filled].tensor;
        if let Some(rows) = self.count {
            column.push_rows(rows, |elements| write(elements, count))?;
        } else {
            let mut elements = Elements::empty(column.datatype());
            write(&mut elements, count)?;
            *column = Tensor::new(shape.to_vec(), elements).expect("`write` appends what the shape says");
        }
        self.filled += 1;
        Ok(())
    }

    /// Fills all columns together, for forms that state one instance after another: `write` appends whole rows to every
    /// column and says how many. `None` if it does, or if the columns did not get as many rows; nothing is added then, and
    /// the rows are of no use any more.
    pub fn fill_together(&mut self, write: impl FnOnce(&mut [Drafted]) -> Option<usize>) -> Option<()> {
        let before = self.group.rows;
        let columns = &mut self.group.columns[..];
        let added =
            write(columns).filter(|&added| columns.iter_mut().all(|column| column.tensor.settle_rows(before + added)));
        if added.is_none() {
            columns.iter_mut().for_each(|column| column.tensor.truncate_rows(before));
        }
        self.count = Some(added?);
        self.filled = columns.len();
        Some(())
    }

    /// The header line that named the group's columns, if one did.
    pub fn header(&self) -> Option<&str> {
        self.group.header.as_deref()
    }

    /// Notes the header line that named the columns.
    pub fn came_under(&mut self, header: &str) {
        if self.header() != Some(header) {
            self.group.header = Some(header.into());
        }
    }

    /// Whether every column has its rows.
    pub fn is_complete(&self) -> bool {
        self.filled == self.group.columns.len()
    }

    /// Makes the rows a request of the group. `request.rows` is set here.
    ///
    /// # Panics
    /// If a column is missing.
    pub fn commit(mut self, mut request: Request) {
        assert!(self.is_complete(), "every column has the request's rows");
        let rows = self.count.unwrap_or_else(|| self.group.columns.first().map_or(0, |column| column.tensor.rows()));
        request.rows = self.group.rows..self.group.rows + rows;
        self.group.rows += rows;
        self.group.requests.push(request);
        self.filled = 0;
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        if self.count.is_some() {
            let rows = self.group.rows;
            for column in &mut self.group.columns[..self.filled] {
                column.tensor.truncate_rows(rows);
            }
        }
    }
}

#[cfg(test)]
mod tests;
