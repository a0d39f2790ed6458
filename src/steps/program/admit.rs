//! Whether a group brings what a pipeline takes, and under which name its unnamed column goes.

use std::sync::Arc;

use super::{Bound, Fed};
use crate::{
    error::{ErrorCode, RequestError},
    request::{Form, Group, UNNAMED},
    tensor::{Column, DataType, Name},
};

/// Holds a group against what all segments together need, and gives the unnamed column the one name that it can have.
///
/// # Errors
/// A sentence that names what is missing or too much, and what the pipeline takes.
pub fn admit(group: &mut Group, segments: &[Arc<Bound>]) -> Result<(), String> {
    if segments.is_empty() {
        return Ok(());
    }
    let required = required(segments);
    if let Some(column) = group.columns.find_mut(UNNAMED) {
        let is_body = column.is_body();
        match required.as_slice() {
            [only] => column.name = only.clone(),
            several if is_body => {
                let several = quoted(several);
                return Err(format!("the body is one input of BYTES, but the pipeline takes {several}: {INSTEAD}"));
            }
            several => {
                return Err(format!(
                    "the values have no names, but the pipeline takes {}: send objects, or in CSV a header of these names",
                    quoted(several)
                ));
            }
        }
        if is_body
            && let Some(fed) = segments.iter().flat_map(|bound| &bound.fed).find(|fed| fed.input.name == column.name)
        {
            suit(column, fed)?;
        }
    }
    if let Some(missing) = required.iter().find(|name| group.columns.find(name).is_none()) {
        return Err(format!("input `{missing}` is missing; the pipeline takes {}", quoted(&required)));
    }
    let known = |name: &Name| required.contains(name) || segments.iter().any(|bound| bound.optional.contains(name));
    let Some(unknown) = group.columns.iter().find(|column| !known(&column.name)) else { return Ok(()) };
    let why = format!("there is no input `{}`; the pipeline takes {}", unknown.name, quoted(&required));
    if group.requests.iter().all(|request| request.form != Form::Avro) {
        return Err(why);
    }
    // Records are made for many readers, of whom the pipeline is one: it takes what it needs.
    for request in group.requests.iter_mut().filter(|request| request.form != Form::Avro) {
        request.failure.get_or_insert_with(|| RequestError::new(ErrorCode::InvalidInput, why.as_str()));
    }
    group.columns = group.columns.iter().filter(|column| known(&column.name)).cloned().collect();
    Ok(())
}

/// What to do who cannot send a body that is data and nothing else.
const INSTEAD: &str = "send application/json with `inputs`, or binary tensors behind JSON";

/// Gives bodies, which came as a vector of `BYTES`, as many axes as the model takes.
///
/// # Errors
/// If it takes no `BYTES`.
fn suit(column: &mut Column, Fed { input, as_it_came }: &Fed) -> Result<(), String> {
    if *as_it_came && input.datatype != DataType::Bytes {
        let name = &input.name;
        return Err(format!("the body is one input of BYTES, but the pipeline's `{name}` is {input}: {INSTEAD}"));
    }
    column.tensor_mut().widen(input.shape.len());
    Ok(())
}

/// What a request must bring: what a segment needs and none before it leaves.
fn required(segments: &[Arc<Bound>]) -> Vec<Name> {
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
