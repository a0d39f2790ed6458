//! How steps find the columns that they work on, so that all of them speak of a wrong one in the same words, at check time
//! and with a group in hand.
//!
//! The rule of answers lives here: what a step makes of a column that stands in the answer stands in the answer too, and
//! a column changed in place stays what it was. [`KnownColumn::derive`] is the same rule before the first request.

use super::{
    Schema, StepError,
    schema::{KnownColumn, listing},
};
use crate::tensor::{Column, Columns, DataType, Name, Tensor};

/// The datatypes that a step can work on.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    wanted: &'static str,
    fits: fn(DataType) -> bool,
}

/// Text, which travels as `BYTES`.
pub(super) const TEXT: Kind = Kind { wanted: "BYTES", fits: |datatype| matches!(datatype, DataType::Bytes) };
/// Floating-point numbers.
pub(super) const FLOATS: Kind = Kind { wanted: "FP16, FP32 or FP64", fits: DataType::is_float };
/// Numbers of any kind.
pub(super) const NUMBERS: Kind = Kind { wanted: "numbers", fits: DataType::is_number };
/// Whatever it is.
pub(super) const ANYTHING: Kind = Kind { wanted: "any datatype", fits: |_| true };

impl Kind {
    /// Reads the column called `name` from what is known.
    ///
    /// # Errors
    /// If it cannot be there or is of another kind.
    pub(super) fn known(self, schema: &mut Schema, name: &str) -> Result<KnownColumn, StepError> {
        schema.read_kind(name, self.wanted, self.fits)
    }

    /// The column called `name`.
    ///
    /// # Errors
    /// If it is missing or of another kind.
    pub(super) fn find<'a>(self, columns: &'a Columns, name: &str) -> Result<&'a Column, StepError> {
        match columns.find(name) {
            Some(column) => self.accept(column).map(|()| column),
            None => Err(missing(columns, name)),
        }
    }

    /// The column called `name`, to be changed: what the step leaves there is the pipeline's and no longer, byte for byte,
    /// the caller's.
    ///
    /// # Errors
    /// If it is missing or of another kind.
    pub(super) fn change<'a>(self, columns: &'a mut Columns, name: &str) -> Result<&'a mut Column, StepError> {
        self.find(columns, name)?;
        let column = columns.find_mut(name).expect("it has just been found");
        column.exact = false;
        Ok(column)
    }

    fn accept(self, column: &Column) -> Result<(), StepError> {
        let datatype = column.tensor.datatype();
        if (self.fits)(datatype) {
            return Ok(());
        }
        Err(StepError(format!("column `{}` is {datatype}, but the step needs {}", column.name, self.wanted)))
    }
}

fn missing(columns: &Columns, name: &str) -> StepError {
    StepError(format!("column `{name}` is missing; there is {}", listing(columns.iter().map(|column| &*column.name))))
}

/// The column that a step reads, and the one that it writes; the same where the configuration names only one.
pub(super) struct Place {
    pub(super) column: Name,
    pub(super) into: Name,
}

impl Place {
    /// From the properties `column` and `into`.
    pub(super) fn new(column: &str, into: Option<&str>) -> Self {
        let column = Name::from(column);
        Self { into: into.map_or_else(|| column.clone(), Name::from), column }
    }

    /// Reads the column from what is known and gives it under the name that will be written.
    ///
    /// # Errors
    /// If it cannot be there or is of another kind.
    pub(super) fn known(&self, schema: &mut Schema, kind: Kind) -> Result<KnownColumn, StepError> {
        let column = kind.known(schema, &self.column)?;
        Ok(KnownColumn { name: self.into.clone(), ..column })
    }

    /// The column to change: the one that is read, or a copy of it (shared until it is written) under the other name.
    ///
    /// # Errors
    /// If it is missing or of another kind.
    pub(super) fn target<'a>(&self, columns: &'a mut Columns, kind: Kind) -> Result<&'a mut Column, StepError> {
        if self.into != self.column {
            let column = kind.find(columns, &self.column)?;
            let copy = Column { name: self.into.clone(), ..column.clone() };
            columns.put(copy);
        }
        kind.change(columns, &self.into)
    }
}

/// The columns named by the properties `column` and `columns`, of which exactly one is given.
pub(super) fn targets(column: Option<&String>, columns: &[String]) -> Vec<Name> {
    column.into_iter().chain(columns).map(|name| name.as_str().into()).collect()
}

/// What is wrong with the properties `column` and `columns` together.
pub(super) fn targets_problems(column: Option<&String>, columns: &[String]) -> Vec<String> {
    match (column, columns) {
        (None, []) => vec!["name the column to change as `column`, or several as `columns`".to_owned()],
        (Some(_), [_, ..]) => vec!["`column` and `columns` exclude each other".to_owned()],
        (Some(column), []) => name_problems("column", column),
        (None, columns) => list_problems("columns", columns),
    }
}

/// What is wrong with a column's name.
pub(super) fn name_problems(property: &str, name: &str) -> Vec<String> {
    if name.is_empty() { vec![format!("`{property}` is empty, but must name a column")] } else { Vec::new() }
}

/// What is wrong with a column's name that may be left out.
pub(super) fn place_problems(column: &str, into: Option<&String>) -> Vec<String> {
    let mut problems = name_problems("column", column);
    problems.extend(into.into_iter().flat_map(|into| name_problems("into", into)));
    problems
}

/// What is wrong with a list of columns.
pub(super) fn list_problems(property: &str, names: &[String]) -> Vec<String> {
    if names.is_empty() {
        return vec![format!("`{property}` is empty, but must name at least one column")];
    }
    let mut problems = Vec::new();
    for (index, name) in names.iter().enumerate() {
        problems.extend(name_problems(property, name));
        if names[..index].contains(name) {
            problems.push(format!("`{property}` names `{name}` twice"));
        }
    }
    problems
}

/// A new column that a step makes of `source`: an answer's child is an answer.
pub(super) fn derive(source: &Column, name: &Name, tensor: Tensor) -> Column {
    Column { answer: source.answer, ..Column::new(name.clone(), tensor) }
}
