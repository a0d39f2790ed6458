//! CSV: a header line that names the columns, and a row a line. Each column is a feature, as in row form, and the answer is
//! that of row form.
//!
//! A table of numbers with the columns of its neighbour is read in one walk ([`fast`]). What that does not take is walked twice
//! ([`cells`]): once to survey what the values of each column have in common ([`survey`]), and once to read them straight into
//! the columns of the group. Nothing is kept of a cell in between.
//!
//! Columns called `0`, `1`, `2`, … in this order are how a table without names is written (by pandas, of an array): they are
//! one vector a row, whose name the pipeline knows. Columns with names are never put together by their order, as a file
//! whose order is another one would be answered with nonsense: that takes a step, `stack`.

use std::{collections::HashSet, sync::Arc};

use super::{Announced, Draft, Groups, Rows, json};
use crate::{
    error::{ErrorCode, RequestError},
    request::{Form, Route, UNNAMED},
    tensor::{DataType, Elements},
};
use cells::{Cells, Fault};
use survey::{Survey, push};

mod cells;
mod fast;
mod survey;
#[cfg(test)]
pub(super) mod tests;

/// More columns than any table has; each takes a little memory of its own, whatever it holds.
const MOST_COLUMNS: usize = 1 << 16;

/// Decodes one body.
///
/// # Errors
/// `INVALID_REQUEST` with line and column, or what the pipeline says of a choice of model.
pub fn decode(body: &[u8], draft: &mut Draft<'_>) -> Result<(), RequestError> {
    let text = json::text_of(body)?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    // Rows borrow the groups while the draft is asked for the request's id.
    let mut groups = std::mem::take(draft.groups);
    let outcome = match fast::decode(text, draft, &mut groups) {
        Some(()) => Ok(()),
        None => complete(text, draft, &mut groups),
    };
    *draft.groups = groups;
    outcome
}

/// The complete path.
fn complete(text: &str, draft: &mut Draft<'_>, groups: &mut Groups) -> Result<(), RequestError> {
    let table = Table::read(text)?;
    let rows = table.place(&draft.route(None, None, None)?, groups)?;
    commit(rows, draft);
    Ok(())
}

fn commit(rows: Rows<'_>, draft: &mut Draft<'_>) {
    let id = draft.id(None);
    rows.commit(draft.request(id, Form::Rows, None));
}

/// What a body says of its columns.
struct Table<'a> {
    text: &'a str,
    names: Vec<String>,
    /// One for each column; of columns without names, one for all.
    types: Vec<DataType>,
    rows: usize,
}

impl<'a> Table<'a> {
    fn read(text: &'a str) -> Result<Self, RequestError> {
        let mut cells = Cells::of(text);
        let names = names(&mut cells)?;
        let mut surveys = vec![Survey::default(); if is_numbered(&names) { 1 } else { names.len() }];
        let count = surveys.len();
        let mut rows = 0;
        let outcome = loop {
            let row = cells.row(|index, cell, line| {
                // What is too much is counted, and refused with its row.
                if index < names.len() {
                    surveys[place_of(index, count)].take(&cell, line, index);
                }
                Ok(())
            });
            match row {
                Ok(None) => break Ok(()),
                Ok(Some(count)) if count == names.len() => rows += 1,
                Ok(Some(count)) => break Err(ragged(&cells, count, names.len())),
                Err(fault) => break Err(fault),
            }
        };
        outcome.map_err(|fault| fault.into_error(&names))?;
        if rows == 0 {
            return Err(invalid("the table has a header and no rows; a request has at least one row"));
        }
        let types = surveys.iter().map(Survey::datatype).collect::<Result<_, _>>();
        let types = types.map_err(|fault| fault.into_error(&names))?;
        Ok(Self { text, names, types, rows })
    }

    /// Puts the rows into their group.
    fn place<'g>(&self, route: &Arc<Route>, groups: &'g mut Groups) -> Result<Rows<'g>, RequestError> {
        let is_numbered = self.is_numbered();
        let shape = [self.rows, if is_numbered { self.names.len() } else { 1 }];
        let name = |index: usize| if is_numbered { UNNAMED } else { &*self.names[index] };
        let announce = |(index, &datatype)| Announced { name: name(index), datatype, shape: &shape, exact: false };
        let announced: Vec<_> = self.types.iter().enumerate().map(announce).collect();
        let mut rows = groups.place(route, &announced).map_err(|oversized| invalid(&oversized.to_string()))?;
        let mut fault = None;
        rows.fill_together(|columns| {
            let mut columns: Vec<_> = columns.iter_mut().map(|column| column.growing().1).collect();
            match self.fill(&mut columns) {
                Ok(()) => Some(self.rows),
                Err(found) => {
                    fault = Some(found);
                    None
                }
            }
        })
        .ok_or_else(|| match fault {
            Some(fault) => fault.into_error(&self.names),
            None => RequestError::new(ErrorCode::Internal, "a table's columns differ in length"),
        })?;
        if let Some(header) = fast::header(self.text) {
            rows.came_under(header);
        }
        Ok(rows)
    }

    fn fill(&self, columns: &mut [&mut Elements]) -> Result<(), Fault> {
        let mut cells = Cells::of(self.text);
        cells.row(|_, _, _| Ok(()))?;
        let count = columns.len();
        while cells.row(|index, cell, line| push(&cell, columns[place_of(index, count)], line, index))?.is_some() {}
        Ok(())
    }

    fn is_numbered(&self) -> bool {
        is_numbered(&self.names)
    }
}

/// Which of `count` surveys or columns a cell belongs to: the one that there is, or its own.
fn place_of(index: usize, count: usize) -> usize {
    if count == 1 { 0 } else { index }
}

/// The header's names.
fn names(cells: &mut Cells<'_>) -> Result<Vec<String>, RequestError> {
    let mut names = Vec::new();
    let row = cells.row(|index, cell, line| {
        let fault = |why: String| Err(Fault { line, column: Some(index), why });
        if index >= MOST_COLUMNS {
            return fault(format!("a table has at most {MOST_COLUMNS} columns"));
        }
        if cell.text.is_empty() {
            let why = "the header must name every column (pandas writes its index without a name: leave it out with `index=False`)";
            return fault(why.to_owned());
        }
        names.push(cell.text.into_owned());
        Ok(())
    });
    match row {
        Ok(Some(_)) => {}
        Ok(None) => return Err(invalid("the table has no header: its first line must name the columns")),
        Err(fault) => return Err(fault.into_error(&[])),
    }
    let mut seen = HashSet::new();
    match names.iter().position(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(invalid(&format!("the header has the column `{}` twice", json::Clip(&names[twice])))),
        None => Ok(names),
    }
}

/// Whether the columns have numbers from 0 on and no names.
fn is_numbered(names: &[String]) -> bool {
    names.iter().enumerate().all(|(index, name)| *name == index.to_string())
}

fn ragged(cells: &Cells<'_>, count: usize, expected: usize) -> Fault {
    let cells_of = |count: usize| if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") };
    let columns = if expected == 1 { "1 column".to_owned() } else { format!("{expected} columns") };
    Fault {
        line: cells.line_of_row(),
        column: None,
        why: format!("the row has {}, but the header has {columns}", cells_of(count)),
    }
}

fn invalid(why: &str) -> RequestError {
    RequestError::new(ErrorCode::InvalidRequest, why)
}
