//! What became of a request, held against what it means by the oracle.
//!
//! Names nothing that is private to the crate: the fuzzer (`fuzz/`) compiles this file, too.

use std::fmt;

use half::f16;

use super::oracle::Expected;
use crate::{
    request::{Form, Group, Ids, Options, Request},
    tensor::{Elements, Tensor},
};

/// What became of a request, with its own rows of the columns.
#[derive(Debug)]
pub struct Found {
    id: String,
    form: Form,
    outputs: Option<Vec<(String, bool)>>,
    parameters: Option<String>,
    columns: Vec<(String, Tensor, bool)>,
}

impl Found {
    /// A request of a group.
    pub fn new(ids: &Ids, group: &Group, request: &Request) -> Self {
        let own = |tensor: &Tensor| if group.is_single() { tensor.clone() } else { tensor.slice(request.rows.clone()) };
        let nothing = Options::default();
        let options = request.options.as_deref().unwrap_or(&nothing);
        Self {
            id: ids.text(request.id).to_owned(),
            form: request.form,
            outputs: options.outputs.as_ref().map(|outputs| {
                outputs.iter().map(|output| (output.name.to_string(), options.is_binary(Some(output)))).collect()
            }),
            parameters: options.parameters.as_deref().map(str::to_owned),
            columns: group
                .columns
                .iter()
                .map(|column| ((*column.name).to_owned(), own(&column.tensor), column.exact))
                .collect(),
        }
    }

    /// Holds a request against what was expected, where a body without an id has the id `fallback`.
    ///
    /// # Errors
    /// What is different, for a developer.
    pub fn compare(&self, expected: &Expected, fallback: &str) -> Result<(), String> {
        fn same<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
            let different = || format!("{what}: found {found:?}, expected {expected:?}");
            if found == expected { Ok(()) } else { Err(different()) }
        }
        same("id", &*self.id, expected.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(fallback))?;
        same("form", self.form, expected.form)?;
        same("outputs", &self.outputs, &expected.outputs)?;
        same("parameters", &self.parameters, &expected.parameters)?;
        same("columns", self.columns.len(), expected.columns.len())?;
        for ((found, tensor, found_exact), (name, shape, elements, exact)) in self.columns.iter().zip(&expected.columns)
        {
            same("name", found, name)?;
            same("shape", tensor.shape(), shape)?;
            same("exact", found_exact, exact)?;
            same("elements", describe(tensor.elements()), describe(elements))?;
        }
        Ok(())
    }
}

/// Elements as text that tells all values apart; not-a-number is equal to itself.
fn describe(elements: &Elements) -> String {
    match elements {
        Elements::Fp16(halves) => format!("{:?}", halves.iter().map(|half: &f16| half.to_f32()).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}
