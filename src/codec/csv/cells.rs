//! The cells of a table, one after another, as RFC 4180 writes them, and as spreadsheets do.
//!
//! Lines end with `\n`, `\r\n` or `\r`; empty ones are skipped. A cell may be quoted: then commas and line ends are its own,
//! and a quote in it is written twice. A quote elsewhere is a character like any other.
//!
//! Why not the `csv` crate, which reads the same (the tests hold it so): whether a cell was quoted decides its datatype
//! here, and a quote that nobody closes is an error here; its parser tells neither.

use std::{borrow::Cow, fmt::Write};

use memchr::{memchr, memchr_iter, memchr3};

use crate::{
    codec::json::Clip,
    error::{ErrorCode, RequestError},
};

/// One cell.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    /// Its text, without the quotes.
    pub text: Cow<'a, str>,
    pub quoted: bool,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    /// The line on which the row begins, from 1 on.
    pub line: usize,
    /// Index of the column.
    pub column: Option<usize>,
    pub why: String,
}

impl Fault {
    /// The error for the caller; columns that `names` lacks are called by their numbers.
    pub fn into_error(self, names: &[String]) -> RequestError {
        let mut why = format!("line {}", self.line);
        let written = match self.column.map(|column| (column, names.get(column))) {
            Some((_, Some(name))) => write!(why, ", column `{}`", Clip(name)),
            Some((column, None)) => write!(why, ", column {}", column + 1),
            None => Ok(()),
        };
        written.expect("a string takes everything");
        why.push_str(": ");
        why.push_str(&self.why);
        RequestError::new(ErrorCode::InvalidRequest, why)
    }
}

/// A walk over the cells of a text.
pub(super) struct Cells<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_of_row: usize,
}

impl<'a> Cells<'a> {
    /// Begins at the beginning.
    pub fn of(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, line_of_row: 1 }
    }

    /// Takes the cells of the next row, each with its line and index; how many they are. `None` at the end of the text.
    pub fn row(
        &mut self,
        mut take: impl FnMut(usize, Cell<'a>, usize) -> Result<(), Fault>,
    ) -> Result<Option<usize>, Fault> {
        while self.end_line() {}
        if self.at == self.text.len() {
            return Ok(None);
        }
        self.line_of_row = self.line;
        let mut index = 0;
        loop {
            let cell = self.cell(index)?;
            take(index, cell, self.line_of_row)?;
            index += 1;
            if self.byte(self.at) == Some(b',') {
                self.at += 1;
            } else {
                self.end_line();
                return Ok(Some(index));
            }
        }
    }

    /// The line on which the row began that was taken last.
    pub fn line_of_row(&self) -> usize {
        self.line_of_row
    }

    /// The cell that begins here; then comes a comma, the end of the line or that of the text.
    fn cell(&mut self, index: usize) -> Result<Cell<'a>, Fault> {
        if self.byte(self.at) == Some(b'"') {
            return self.quoted(index);
        }
        let rest = &self.text.as_bytes()[self.at..];
        let end = memchr3(b',', b'\n', b'\r', rest).map_or(self.text.len(), |length| self.at + length);
        let text = Cow::Borrowed(&self.text[self.at..end]);
        self.at = end;
        Ok(Cell { text, quoted: false })
    }

    fn quoted(&mut self, index: usize) -> Result<Cell<'a>, Fault> {
        let fault = |why: &str| Fault { line: self.line_of_row, column: Some(index), why: why.to_owned() };
        let mut text = Cow::Borrowed("");
        let mut at = self.at + 1;
        loop {
            let rest = &self.text.as_bytes()[at..];
            let Some(length) = memchr(b'"', rest) else {
                return Err(fault("the quote that begins the cell is never closed"));
            };
            text += &self.text[at..at + length];
            self.line += memchr_iter(b'\n', &rest[..length]).count();
            at += length + 1;
            match self.byte(at) {
                Some(b'"') => text.to_mut().push('"'),
                None | Some(b',' | b'\n' | b'\r') => {
                    self.at = at;
                    return Ok(Cell { text, quoted: true });
                }
                Some(_) => {
                    let why = "a comma or the end of the line must follow the quote that closes the cell; a quote inside is \
                               written twice";
                    return Err(fault(why));
                }
            }
            at += 1;
        }
    }

    /// Goes on to the next line, if this one ends here.
    fn end_line(&mut self) -> bool {
        match self.byte(self.at) {
            Some(b'\r') if self.byte(self.at + 1) == Some(b'\n') => self.at += 2,
            Some(b'\r' | b'\n') => self.at += 1,
            _ => return false,
        }
        self.line += 1;
        true
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }
}
