//! `lowercase`: text in lower case, by Unicode's rules (`str::to_lowercase`), whatever the locale.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rewrite;
use crate::{
    steps::{Refusals, Schema, Step, StepError},
    tensor::{Columns, DataType, Name},
};

/// Properties of `lowercase`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change.
    pub column: String,
}

/// The step.
pub struct Lowercase {
    column: Name,
}

impl Lowercase {
    /// A step over one column.
    pub fn new(config: &Config) -> Self {
        Self { column: config.column.as_str().into() }
    }
}

impl Step for Lowercase {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = schema.read_kind(&self.column, "BYTES", |datatype| datatype == DataType::Bytes)?;
        schema.write(&self.column, Some(DataType::Bytes), column.shape);
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, refusals: &mut Refusals) -> Result<(), StepError> {
        rewrite(columns, &self.column, refusals, |text| text.to_lowercase().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Column, Elements, Tensor};

    #[test]
    fn text_becomes_lower_case_and_bytes_that_are_no_text_refuse_their_row() {
        let texts = [&b"H\xC3\x84user"[..], b"\xFF"].into_iter().collect();
        let mut columns: Columns = [Column::new("text", Tensor::vector(Elements::Bytes(texts)))].into_iter().collect();
        let mut refusals = Refusals::default();
        Lowercase { column: "text".into() }.apply(&mut columns, &mut refusals).unwrap();
        let Elements::Bytes(texts) = columns.find("text").unwrap().tensor.elements() else { unreachable!() };
        assert_eq!(texts.at(0), "häuser".as_bytes());
        assert_eq!(refusals.into_rows(), [(1, "column `text` is no UTF-8 text".to_owned())]);
    }
}
