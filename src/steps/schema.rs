//! What is known of the columns at each place of a pipeline before any request has come.
//!
//! Before the first `predict` the schema is open: a column that nobody has written is one that requests must bring. After
//! it, the schema is closed: what is not there is a wrong name, and the error lists what there is.

use super::StepError;
use crate::tensor::{DataType, Name};

/// A column as far as it is known before the first request.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownColumn {
    /// Its name.
    pub name: Name,
    /// Its datatype; `None` as long as it is for the request to say.
    pub datatype: Option<DataType>,
    /// Its axes, where known; `None` inside is any length.
    pub shape: Option<Vec<Option<usize>>>,
    /// Whether it will stand in the answer.
    pub answer: bool,
}

/// The columns at one place of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    columns: Vec<KnownColumn>,
    required: Vec<Name>,
    closed: bool,
    unused: Vec<Name>,
}

impl Schema {
    /// What stands before the first step: anything that requests bring.
    pub fn open() -> Self {
        Self::default()
    }

    /// From here on, columns that nobody wrote are errors. Columns that are written from here on belong to the answer.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the first `predict` lies behind.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Uses a column.
    ///
    /// # Errors
    /// If it cannot be there.
    pub fn read(&mut self, name: &str) -> Result<KnownColumn, StepError> {
        self.unused.retain(|unused| &**unused != name);
        if let Some(column) = self.find(name) {
            return Ok(column.clone());
        }
        if self.closed {
            return Err(StepError(format!("there is no column `{name}` here; there is {}", self.listing())));
        }
        let column = KnownColumn { name: name.into(), datatype: None, shape: None, answer: false };
        self.required.push(column.name.clone());
        self.columns.push(column.clone());
        Ok(column)
    }

    /// Uses a column whose datatype, where it is known, must pass `fits`; `wanted` names those that do.
    ///
    /// # Errors
    /// If it cannot be there or is of another kind.
    pub fn read_kind(
        &mut self,
        name: &str,
        wanted: &str,
        fits: impl Fn(DataType) -> bool,
    ) -> Result<KnownColumn, StepError> {
        let column = self.read(name)?;
        match column.datatype {
            Some(datatype) if !fits(datatype) => {
                Err(StepError(format!("column `{name}` is {datatype}, but the step needs {wanted}")))
            }
            _ => Ok(column),
        }
    }

    /// Adds or replaces a column.
    pub fn write(&mut self, name: &str, datatype: Option<DataType>, shape: Option<Vec<Option<usize>>>) {
        let column = KnownColumn { name: name.into(), datatype, shape, answer: self.closed };
        if !self.closed && !self.unused.contains(&column.name) {
            self.unused.push(column.name.clone());
        }
        match self.columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) => *known = column,
            None => self.columns.push(column),
        }
    }

    /// Takes a column away.
    pub fn remove(&mut self, name: &str) {
        self.columns.retain(|column| &*column.name != name);
    }

    /// The column called `name`, if it is known.
    pub fn find(&self, name: &str) -> Option<&KnownColumn> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// Every known column.
    pub fn columns(&self) -> &[KnownColumn] {
        &self.columns
    }

    /// What requests must bring, in the order in which it is used.
    pub fn required(&self) -> &[Name] {
        &self.required
    }

    /// Columns that a step before `predict` wrote and nothing has read since: most likely a wrong name.
    pub fn unused(&self) -> &[Name] {
        &self.unused
    }

    /// The names that there are, for a sentence.
    pub fn listing(&self) -> String {
        if self.columns.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<_> = self.columns.iter().map(|column| format!("`{}`", column.name)).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_predict_an_unknown_column_is_asked_of_the_request() {
        let mut schema = Schema::open();
        schema.read("text").unwrap();
        schema.read("text").unwrap();
        assert_eq!(schema.required(), ["text".into()]);
    }

    #[test]
    fn after_predict_an_unknown_column_is_an_error_that_lists_the_known_ones() {
        let mut schema = Schema::open();
        schema.close();
        schema.write("logits", Some(DataType::Fp32), None);
        let error = schema.read("logit").unwrap_err();
        assert_eq!(error.0, "there is no column `logit` here; there is `logits`");
    }

    #[test]
    fn what_nothing_reads_is_remembered() {
        let mut schema = Schema::open();
        schema.write("tezt", None, None);
        schema.write("text", None, None);
        schema.read("text").unwrap();
        assert_eq!(schema.unused(), ["tezt".into()]);
    }
}
