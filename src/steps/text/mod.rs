//! Steps over columns of text (`BYTES` holding UTF-8).
//!
//! A text that is no UTF-8 refuses its row. New texts are appended to one buffer: no allocation per row.

use std::{convert::Infallible, sync::Arc};

use super::{
    Refusals, Schema, Step, StepError,
    place::{Place, TEXT},
};
use crate::tensor::{ByteStrings, Columns, Elements, Tensor};

pub mod collapse_whitespace;
pub mod lowercase;
pub mod remove_punctuation;
pub mod remove_urls;
pub mod replace;

/// A step that rewrites every text of a column: `change` appends to the buffer what it makes of one.
struct Rewrite<F> {
    place: Place,
    change: F,
}

impl<F: Fn(&str, &mut Vec<u8>) + Send + Sync + 'static> Rewrite<F> {
    fn boxed(column: &str, into: Option<&str>, change: F) -> Box<dyn Step> {
        Box::new(Self { place: Place::new(column, into), change })
    }
}

impl<F: Fn(&str, &mut Vec<u8>) + Send + Sync> Step for Rewrite<F> {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = self.place.known(schema, TEXT)?;
        schema.put(column);
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, refusals: &mut Refusals) -> Result<(), StepError> {
        let column = self.place.target(columns, TEXT)?;
        let Elements::Bytes(texts) = column.tensor.elements() else { unreachable!("only BYTES are found as text") };
        let row_len = column.tensor.row_len().max(1);
        let mut changed = ByteStrings::default();
        for (index, text) in texts.iter().enumerate() {
            let Ok(text) = simdutf8::basic::from_utf8(text) else {
                changed.push(b"");
                refusals.row(index / row_len, format!("column `{}` is no UTF-8 text", self.place.column));
                continue;
            };
            let Ok(()) = changed.push_with(|buffer| {
                (self.change)(text, buffer);
                Ok::<(), Infallible>(())
            });
        }
        let tensor = Tensor::new(column.tensor.shape().to_vec(), Elements::Bytes(changed));
        column.tensor = Arc::new(tensor.expect("one text for each that was there"));
        Ok(())
    }
}
