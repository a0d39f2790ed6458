//! A pipeline's list of steps, cut at its `predict`s and bound to model versions.
//!
//! A [`Segment`] is one `predict` with the steps before it; the last one has the steps after it, too. Bound to a version of
//! its model ([`Segment::bind`]), its steps have read their files from that version, and every column name and datatype has
//! been followed through against the model's signature. A group takes one [`Bound`] for each segment when it starts and
//! keeps it to the end, so that tokenizer, weights and labels always belong together.

use super::{KnownColumn, Schema, Step, StepConfig, StepError, VersionFiles, predict};
use crate::{
    backend::{Signature, TensorSpec},
    tensor::{DataType, Name},
};
pub use admit::admit;

mod admit;

/// One `predict` and the steps around it.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Steps before `predict`.
    pub before: Vec<StepConfig>,
    /// Which model.
    pub predict: predict::Config,
    /// Steps after it; only the last segment has any.
    pub after: Vec<StepConfig>,
}

/// Cuts a list of steps into segments; empty if there is no `predict`.
pub fn segments(steps: &[StepConfig]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut before = Vec::new();
    for step in steps {
        match step {
            StepConfig::Predict(predict) => {
                let before = std::mem::take(&mut before);
                segments.push(Segment { before, predict: predict.clone(), after: Vec::new() });
            }
            other => before.push(other.clone()),
        }
    }
    if let Some(last) = segments.last_mut() {
        last.after = before;
    }
    segments
}

/// A segment's steps, ready to run beside one model version.
pub struct Bound {
    /// Steps before `predict`.
    pub before: Vec<BoundStep>,
    /// Steps after it.
    pub after: Vec<BoundStep>,
    /// Columns that must be there when the segment starts.
    pub required: Vec<Name>,
    /// Those of the model's inputs that a column of the same name in [`Self::required`] becomes.
    pub fed: Vec<Fed>,
    /// Inputs that the graph has defaults for.
    pub optional: Vec<Name>,
    /// Columns of the answer, if this is the last segment.
    pub answer: Vec<Name>,
    /// Name, datatype and axes behind the row's of each of these, as far as they are known for all of them.
    pub outputs: Option<Vec<(Name, DataType, usize)>>,
    /// Every column that the segment is known to leave behind.
    pub leaves: Vec<Name>,
}

/// An input of the model, which the request brings.
pub struct Fed {
    /// What the model takes.
    pub input: TensorSpec,
    /// Whether no step works on it before.
    pub as_it_came: bool,
}

/// A step and its name in the configuration.
pub struct BoundStep {
    /// For error messages.
    pub name: &'static str,
    /// The function.
    pub step: Box<dyn Step>,
}

impl Segment {
    /// The steps with what they need from the version in `files`, checked against its signature.
    ///
    /// # Errors
    /// The first thing that does not fit, with the step's name.
    pub fn bind(&self, files: &VersionFiles, signature: &Signature) -> Result<Bound, StepError> {
        let mut schema = Schema::open();
        let before = build(&self.before, files, &mut schema)?;
        let touched: Vec<Name> = schema.columns().iter().map(|column| column.name.clone()).collect();
        feed(signature, &mut schema)?;
        schema.close();
        for output in &signature.outputs {
            schema.put(KnownColumn {
                name: output.name.clone(),
                datatype: Some(output.datatype),
                shape: (!output.unranked).then(|| output.shape.clone()),
                classes: output.classes.clone(),
                answer: true,
            });
        }
        let required = schema.required().to_vec();
        let after = build(&self.after, files, &mut schema)?;
        let answer = schema.columns().iter().filter(|column| column.answer).map(|column| column.name.clone()).collect();
        let outputs = schema.columns().iter().filter(|column| column.answer).map(announced).collect();
        let leaves = schema.columns().iter().map(|column| column.name.clone()).collect();
        let fed = signature.inputs.iter().filter(|input| required.contains(&input.name));
        let fed = fed.map(|input| Fed { input: input.clone(), as_it_came: !touched.contains(&input.name) }).collect();
        let is_free = |name: &Name| !required.contains(name);
        let optional = signature.inputs.iter().filter(|input| input.optional).map(|input| input.name.clone());
        Ok(Bound {
            before,
            after,
            fed,
            optional: optional.filter(is_free).collect(),
            required,
            answer,
            outputs,
            leaves,
        })
    }
}

/// What is known of a column whose first axis counts rows.
fn announced(column: &KnownColumn) -> Option<(Name, DataType, usize)> {
    match column.shape.as_deref()? {
        [None, behind @ ..] => Some((column.name.clone(), column.datatype?, behind.len())),
        _ => None,
    }
}

fn build(steps: &[StepConfig], files: &VersionFiles, schema: &mut Schema) -> Result<Vec<BoundStep>, StepError> {
    let mut built = Vec::with_capacity(steps.len());
    for config in steps {
        let name = config.name();
        let in_step = |error: StepError| StepError(format!("step `{name}`: {}", error.0));
        if let Some(step) = config.build(files).map_err(in_step)? {
            step.check(schema).map_err(in_step)?;
            built.push(BoundStep { name, step });
        }
    }
    Ok(built)
}

/// Follows the columns into the model.
fn feed(signature: &Signature, schema: &mut Schema) -> Result<(), StepError> {
    for input in &signature.inputs {
        if input.optional && schema.find(&input.name).is_none() {
            continue;
        }
        let fits = |datatype: crate::tensor::DataType| {
            datatype == input.datatype || (datatype.is_number() && input.datatype.is_number())
        };
        let column = schema.read(&input.name)?;
        if let Some(datatype) = column.datatype.filter(|datatype| !fits(*datatype)) {
            return Err(StepError(format!(
                "the model's input `{}` is {input}, but the steps before it make {datatype} of it",
                input.name
            )));
        }
    }
    if let Some(unused) = schema.unused().first() {
        let inputs: Vec<_> = signature.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
        return Err(StepError(format!(
            "the steps before `predict` make a column `{unused}` that nothing uses; the model takes {}",
            inputs.join(", ")
        )));
    }
    Ok(())
}
