//! The fast path: a table of numbers under the same header line as the one before it, in one walk, straight into that one's
//! columns.
//!
//! Neighbours in a topic mostly have the same columns, and features are mostly numbers. `None` means nothing but "read it the
//! other way": the rows are gone again, and the complete path says what each column is, or what is wrong. Taken are cells that
//! are empty, or numbers as JSON writes them of at most 2^24: whatever a column has of these makes it FP64 ([`super::survey`]).

use memchr::memchr2;

use crate::{
    codec::{Draft, Drafted, Groups, json},
    tensor::Elements,
};

/// A column of whole numbers of which one is beyond it is INT64.
const LARGEST: f64 = (1_u32 << 24) as f64;

/// The header line of a text. A text that begins with empty lines is left to the other path, and so is in effect one whose
/// header goes on behind the end of its line: the quote that closes it is no number.
pub(super) fn header(text: &str) -> Option<&str> {
    let end = memchr2(b'\n', b'\r', text.as_bytes()).filter(|end| *end > 0)?;
    Some(&text[..end])
}

/// Decodes a table that looks like the one before it.
pub(super) fn decode(text: &str, draft: &mut Draft<'_>, groups: &mut Groups) -> Option<()> {
    let route = draft.route(None, None, None).ok()?;
    let mut rows = groups.guess(&route)?;
    let table = text.strip_prefix(rows.header()?).filter(|table| table.starts_with(['\n', '\r']))?;
    rows.fill_together(|columns| fill(table.as_bytes(), columns))?;
    super::commit(rows, draft);
    Some(())
}

/// Appends the rows of a table, which begins with the end of its header line; how many they are.
fn fill(table: &[u8], columns: &mut [Drafted]) -> Option<usize> {
    if let [all] = columns {
        let width = all.growing().0.first().copied()?;
        return walk(table, width, &mut [numbers(all)?]);
    }
    let mut columns = columns.iter_mut().map(numbers).collect::<Option<Vec<_>>>()?;
    walk(table, columns.len(), &mut columns)
}

fn numbers(column: &mut Drafted) -> Option<&mut Vec<f64>> {
    match column.growing().1 {
        Elements::Fp64(numbers) => Some(numbers),
        _ => None,
    }
}

/// Appends rows of `width` cells, each to its column, or all to the one that there is.
fn walk(table: &[u8], width: usize, columns: &mut [&mut Vec<f64>]) -> Option<usize> {
    let (mut at, mut rows) = (0, 0);
    loop {
        while let Some(b'\n' | b'\r') = table.get(at) {
            at += 1;
        }
        if at == table.len() {
            return (rows > 0).then_some(rows);
        }
        if let [all] = columns {
            for index in 0..width {
                at = cell(table, at, index + 1 == width, all)?;
            }
        } else {
            for (index, column) in columns.iter_mut().enumerate() {
                at = cell(table, at, index + 1 == width, column)?;
            }
        }
        rows += 1;
    }
}

/// Appends one cell; where the next begins, or the line ends if this one `is_last`.
#[inline(always)]
fn cell(table: &[u8], at: usize, is_last: bool, column: &mut Vec<f64>) -> Option<usize> {
    let (number, end) = match table.get(at) {
        None | Some(b',' | b'\n' | b'\r') => (f64::NAN, at),
        Some(_) => json::float(table, at).filter(|(number, _): &(f64, usize)| number.abs() <= LARGEST)?,
    };
    column.push(number);
    match table.get(end) {
        Some(b',') if !is_last => Some(end + 1),
        None | Some(b'\n' | b'\r') if is_last => Some(end),
        _ => None,
    }
}
