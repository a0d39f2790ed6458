//! What is known of the columns at each place of a pipeline before any request has come.
//!
//! Before the first `predict` the schema is open: a column that nobody has written is one that requests must bring. After
//! it, the schema is closed: what is not there is a wrong name, and the error lists what there is. `select` seals it before
//! that, and a name that a step took away is gone for good.

use std::sync::Arc;

use super::StepError;
use crate::tensor::{DataType, Elements, Name};

/// A column as far as it is known before the first request.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownColumn {
    /// Its name.
    pub name: Name,
    /// Its datatype; `None` as long as it is for the request to say.
    pub datatype: Option<DataType>,
    /// Its axes, where known; `None` inside is any length.
    pub shape: Option<Vec<Option<usize>>>,
    /// What the entries of its last axis stand for, where the model says it.
    pub classes: Option<Arc<Elements>>,
    /// Whether it will stand in the answer.
    pub answer: bool,
}

impl KnownColumn {
    /// What a step makes of this column and writes under another name or in another form: an answer's child is an answer.
    pub fn derive(&self, name: &Name, datatype: Option<DataType>, shape: Option<Vec<Option<usize>>>) -> Self {
        Self { name: name.clone(), datatype, shape, classes: None, answer: self.answer }
    }

    /// The length of the last axis that tells features or classes apart, where known: 1 for a vector, whose only axis
    /// counts instances.
    pub fn width(&self) -> Option<usize> {
        match self.shape.as_deref()? {
            [] | [_] => Some(1),
            [.., last] => last.or_else(|| self.classes.as_ref().map(|classes| classes.len())),
        }
    }
}

/// The columns at one place of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    columns: Vec<KnownColumn>,
    required: Vec<Name>,
    closed: bool,
    /// Whether a `select` lies behind: requests bring nothing more from here on.
    sealed: bool,
    /// Names that a step took away.
    gone: Vec<Name>,
    unused: Vec<Name>,
}

impl Schema {
    /// What stands before the first step: anything that requests bring.
    pub fn open() -> Self {
        Self::default()
    }

    /// Passes a `predict`: from here on, columns that nobody wrote are errors, and what [`Self::write`] writes belongs to
    /// the answer. What stood in the answer until here was for this model, not for the caller.
    pub fn close(&mut self) {
        self.closed = true;
        for column in &mut self.columns {
            column.answer = false;
        }
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
        if self.closed || self.sealed || self.gone.iter().any(|gone| &**gone == name) {
            return Err(StepError(format!("there is no column `{name}` here; there is {}", self.listing())));
        }
        let column = KnownColumn { name: name.into(), datatype: None, shape: None, classes: None, answer: false };
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

    /// Adds or replaces a column that a model gives.
    pub fn write(&mut self, name: &str, datatype: Option<DataType>, shape: Option<Vec<Option<usize>>>) {
        self.put(KnownColumn { name: name.into(), datatype, shape, classes: None, answer: self.closed });
    }

    /// Adds or replaces a column as it stands.
    pub fn put(&mut self, column: KnownColumn) {
        if !self.closed && !self.unused.contains(&column.name) {
            self.unused.push(column.name.clone());
        }
        match self.columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) => *known = column,
            None => self.columns.push(column),
        }
    }

    /// Takes a column away; its name means nothing from here on.
    pub fn remove(&mut self, name: &str) {
        self.columns.retain(|column| &*column.name != name);
        self.gone.push(name.into());
    }

    /// Leaves these columns and no others, in this order.
    pub fn keep_only(&mut self, columns: Vec<KnownColumn>) {
        self.columns.clear();
        self.sealed = true;
        for column in columns {
            self.put(column);
        }
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
        listing(self.columns.iter().map(|column| &*column.name))
    }
}

/// Names for a sentence; the first ones are enough to see a slip of the pen.
pub(super) fn listing<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<_> = names.take(SHOWN).map(|name| format!("`{name}`")).collect();
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
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

    #[test]
    fn a_column_that_was_taken_away_is_not_asked_of_the_request_again() {
        let mut schema = Schema::open();
        schema.read("text").unwrap();
        schema.remove("text");
        assert!(schema.read("text").is_err());
        assert!(schema.read("other").is_ok());
        let kept = schema.read("other").unwrap();
        schema.keep_only(vec![kept]);
        assert_eq!(schema.read("third").unwrap_err().0, "there is no column `third` here; there is `other`");
    }

    #[test]
    fn what_a_first_model_gives_is_no_answer_once_a_second_has_run() {
        let mut schema = Schema::open();
        schema.close();
        schema.write("embedding", Some(DataType::Fp32), None);
        schema.close();
        schema.write("scores", Some(DataType::Fp32), None);
        let answers: Vec<_> = schema.columns().iter().map(|column| (&*column.name, column.answer)).collect();
        assert_eq!(answers, [("embedding", false), ("scores", true)]);
    }

    #[test]
    fn a_long_listing_is_cut() {
        let names: Vec<_> = (0..25).map(|index| index.to_string()).collect();
        let listing = listing(names.iter().map(String::as_str));
        assert!(listing.starts_with("`0`, `1`, ") && listing.ends_with("`19` and 5 more"), "{listing}");
    }
}
