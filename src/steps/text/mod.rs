//! Steps over columns of text (`BYTES` holding UTF-8).

use std::{borrow::Cow, sync::Arc};

use super::{Refusals, StepError};
use crate::tensor::{ByteStrings, Columns, Elements};

pub mod lowercase;

/// Replaces every text of `column` by what `change` makes of it. A row that is no UTF-8 is refused.
///
/// # Errors
/// If the column is missing or no text.
pub(super) fn rewrite(
    columns: &mut Columns,
    column: &str,
    refusals: &mut Refusals,
    change: impl for<'a> Fn(&'a str) -> Cow<'a, str>,
) -> Result<(), StepError> {
    let column = columns.find_mut(column).ok_or_else(|| StepError(format!("column `{column}` is missing")))?;
    let row_len = column.tensor.row_len().max(1);
    let Elements::Bytes(texts) = column.tensor.elements() else {
        return Err(StepError(format!("column `{}` is {}, not text", column.name, column.tensor.datatype())));
    };
    let mut changed = ByteStrings::default();
    for (index, text) in texts.iter().enumerate() {
        match std::str::from_utf8(text) {
            Ok(text) => changed.push(change(text).as_bytes()),
            Err(_) => {
                changed.push(b"");
                refusals.row(index / row_len, format!("column `{}` is no UTF-8 text", column.name));
            }
        }
    }
    *Arc::make_mut(&mut column.tensor).elements_mut() = Elements::Bytes(changed);
    Ok(())
}
