//! Avro behind a schema registry: records in Avro's binary encoding behind the id of their schema ([`super::framed`]).
//!
//! A schema is compiled once ([`program`]); a body is read where it lies ([`values`]), and what it holds goes straight into the
//! columns of its group. Answers are records, too ([`answer`]), where the pipeline names a subject for their schema.

use super::framed::{Field, HEAD};
pub(super) use answer::{Shape, Writer};
use program::Program;
use read::Reader;
pub use values::Value;

mod answer;
mod program;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod values;

/// A schema as bodies are read by it.
#[derive(Clone, Debug)]
pub struct Compiled(Program);

impl Compiled {
    /// The schema in `text`; `references` are the texts of those whose names it uses, each behind those that it uses itself.
    ///
    /// # Errors
    /// A sentence on why it cannot be used.
    pub fn of(text: &str, references: &[String]) -> Result<Self, String> {
        Program::of(schema::Schema::parse(text, references)?).map(Self)
    }

    /// The columns that a body may have.
    pub fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    /// The values of a body, one a column.
    ///
    /// # Errors
    /// A sentence on what is expected, and where.
    pub fn read<'a>(&'a self, body: &'a [u8]) -> Result<Vec<Value<'a>>, String> {
        values::read(&self.0, &mut Reader::new(body, HEAD)).map_err(|broken| broken.to_string())
    }
}
