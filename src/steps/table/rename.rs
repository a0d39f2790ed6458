//! `rename`: other names for columns, all at once, so that two may swap theirs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    steps::{
        KnownColumn, Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{ANYTHING, name_problems},
    },
    tensor::{Columns, Name},
};

/// Properties of `rename`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The new name of each column, under its old one.
    pub columns: BTreeMap<String, String>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.columns.is_empty() {
            problems.push("`columns` is empty, but must rename at least one column".to_owned());
        }
        let mut taken = Vec::new();
        for (old, new) in &self.columns {
            problems.extend(name_problems("columns", old));
            problems.extend(name_problems("columns", new));
            if taken.contains(&new) {
                problems.push(format!("`columns` gives the name `{new}` to two columns"));
            }
            taken.push(new);
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        let names = self.columns.iter().map(|(old, new)| (old.as_str().into(), new.as_str().into())).collect();
        Ok(Box::new(Rename { names }))
    }
}

struct Rename {
    /// Old and new.
    names: Vec<(Name, Name)>,
}

impl Rename {
    fn new_name(&self, old: &str) -> Option<&Name> {
        self.names.iter().find(|names| &*names.0 == old).map(|names| &names.1)
    }

    /// # Errors
    /// If a new name belongs to a column that keeps its own.
    fn refuse_taken<'a>(&self, mut there: impl Iterator<Item = &'a Name>) -> Result<(), StepError> {
        let taken = there.find(|name| self.new_name(name).is_none() && self.names.iter().any(|(_, new)| new == *name));
        match taken {
            Some(name) => Err(StepError(format!("there is already a column `{name}`"))),
            None => Ok(()),
        }
    }
}

impl Step for Rename {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let mut renamed = Vec::with_capacity(self.names.len());
        for (old, new) in &self.names {
            renamed.push(KnownColumn { name: new.clone(), ..schema.read(old)? });
        }
        self.refuse_taken(schema.columns().iter().map(|column| &column.name))?;
        for (old, _) in &self.names {
            schema.remove(old);
        }
        for column in renamed {
            schema.put(column);
        }
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        for (old, _) in &self.names {
            ANYTHING.find(columns, old)?;
        }
        self.refuse_taken(columns.iter().map(|column| &column.name))?;
        for column in columns.iter_mut() {
            if let Some(new) = self.new_name(&column.name) {
                column.name = new.clone();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        steps::testing::{apply, check, columns, floats, json, known, output, problems, vector},
        tensor::DataType,
    };

    #[test]
    fn columns_may_swap_their_names() {
        let mut columns = columns([("a", vector(&[1.0])), ("b", vector(&[2.0])), ("c", vector(&[3.0]))]);
        apply(json!({"rename": {"columns": {"a": "b", "b": "a"}}}), &mut columns).unwrap();
        assert_eq!((floats(&columns, "a"), floats(&columns, "b")), (&[2.0][..], &[1.0][..]));
        assert_eq!(columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), ["b", "a", "c"]);
    }

    #[test]
    fn a_name_that_another_column_has_is_refused() {
        let mut columns = columns([("a", vector(&[1.0])), ("b", vector(&[2.0]))]);
        let error = apply(json!({"rename": {"columns": {"a": "b"}}}), &mut columns).unwrap_err();
        assert_eq!(error.0, "there is already a column `b`");
    }

    #[test]
    fn an_output_keeps_its_type_and_its_place_in_the_answer_and_its_old_name_is_gone() {
        let mut schema = output("output_1", DataType::Fp32, &[None, Some(3)]);
        check(json!({"rename": {"columns": {"output_1": "scores"}}}), &[], &mut schema).unwrap();
        let scores = known(&schema, "scores");
        assert_eq!((scores.datatype, scores.answer), (Some(DataType::Fp32), true));
        assert!(schema.read("output_1").is_err());
    }

    #[test]
    fn a_request_must_bring_the_old_name_and_not_the_new_one() {
        let mut schema = Schema::open();
        check(json!({"rename": {"columns": {"Fare (GBP)": "fare"}}}), &[], &mut schema).unwrap();
        schema.read("fare").unwrap();
        assert_eq!(schema.required(), ["Fare (GBP)".into()]);
        assert!(schema.read("Fare (GBP)").is_err());
    }

    #[test]
    fn one_name_for_two_columns_is_a_problem() {
        let problems = problems(json!({"rename": {"columns": {"a": "c", "b": "c"}}}));
        assert_eq!(problems, ["`columns` gives the name `c` to two columns"]);
    }
}
