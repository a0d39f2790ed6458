//! A pipeline's list of steps, cut at its `predict`s and bound to model versions.
//!
//! A [`Segment`] is one `predict` with the steps before it; the last one has the steps after it, too. Bound to a version of
//! its model ([`Segment::bind`]), its steps have read their files from that version, and every column name and datatype has
//! been followed through against the model's signature. A group takes one [`Bound`] for each segment when it starts and
//! keeps it to the end, so that tokenizer, weights and labels always belong together.

use super::{KnownColumn, Schema, Step, StepConfig, StepError, VersionFiles, predict};
use crate::{
    backend::Signature,
    request::{Group, UNNAMED},
    tensor::Name,
};

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
    /// Inputs that the graph has defaults for.
    pub optional: Vec<Name>,
    /// Columns of the answer, if this is the last segment.
    pub answer: Vec<Name>,
    /// Every column that the segment is known to leave behind.
    pub leaves: Vec<Name>,
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
        let leaves = schema.columns().iter().map(|column| column.name.clone()).collect();
        let is_free = |name: &Name| !required.contains(name);
        let optional = signature.inputs.iter().filter(|input| input.optional).map(|input| input.name.clone());
        Ok(Bound { before, after, optional: optional.filter(is_free).collect(), required, answer, leaves })
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

/// Holds a group against what all segments together need, and gives the unnamed column the one name that it can have.
///
/// # Errors
/// A sentence that names what is missing or too much, and what the pipeline takes.
pub fn admit(group: &mut Group, segments: &[std::sync::Arc<Bound>]) -> Result<(), String> {
    if segments.is_empty() {
        return Ok(());
    }
    let required = required(segments);
    if let Some(column) = group.columns.find_mut(UNNAMED) {
        match required.as_slice() {
            [only] => column.name = only.clone(),
            several => {
                return Err(format!(
                    "the values have no names, but the pipeline takes {}: send objects",
                    quoted(several)
                ));
            }
        }
    }
    if let Some(missing) = required.iter().find(|name| group.columns.find(name).is_none()) {
        return Err(format!("input `{missing}` is missing; the pipeline takes {}", quoted(&required)));
    }
    let known = |name: &Name| required.contains(name) || segments.iter().any(|bound| bound.optional.contains(name));
    match group.columns.iter().find(|column| !known(&column.name)) {
        Some(unknown) => Err(format!("there is no input `{}`; the pipeline takes {}", unknown.name, quoted(&required))),
        None => Ok(()),
    }
}

/// What a request must bring: what a segment needs and none before it leaves.
fn required(segments: &[std::sync::Arc<Bound>]) -> Vec<Name> {
    let mut required: Vec<Name> = Vec::new();
    let mut left: Vec<&Name> = Vec::new();
    for bound in segments {
        for name in &bound.required {
            if !left.contains(&name) && !required.contains(name) {
                required.push(name.clone());
            }
        }
        left.extend(&bound.leaves);
    }
    required
}

fn quoted(names: &[Name]) -> String {
    if names.is_empty() {
        return "no inputs".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
