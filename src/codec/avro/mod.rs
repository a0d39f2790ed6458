//! Avro behind a schema registry: records in Confluent's wire format (a zero byte, the schema's id in four, Avro's binary
//! encoding). One record is one row, each of its fields a column.
//!
//! A schema is compiled once ([`program`]); a body is read where it lies ([`values`]), and what it holds goes straight into the
//! columns of its group. A message whose schema is not known yet waits for it beside the journey: see [`super::registry`].
//! Answers are records, too ([`answer`]), where the pipeline names a subject for their schema; else they are rows in JSON.
//!
//! Source: <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>.

use std::{convert::Infallible, sync::Arc};

use super::{Announced, Draft, Groups, Rows, json::Clip, registry::Found};
use crate::{
    error::{ErrorCode, RequestError},
    request::Form,
    request::Route,
    tensor::DataType,
};
pub(super) use answer::{Shape, Writer};
use program::{Kind, Program};
use read::Reader;
use values::Value;

mod answer;
mod program;
mod read;
mod schema;
#[cfg(test)]
pub(super) mod tests;
mod values;

/// The bytes before a record: zero, and the schema's id.
pub(super) const HEAD: usize = 5;

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
}

/// Decodes one body, or notes in the draft that its schema must be waited for.
///
/// # Errors
/// `INVALID_REQUEST`; what the registry says of the schema; what the pipeline says of a choice of model.
pub fn decode(body: &[u8], draft: &mut Draft<'_>) -> Result<(), RequestError> {
    let id = id(body)?;
    let Some(registry) = draft.registry else {
        return Err(invalid("this worker has no schema registry (schema_registry in its server file)".to_owned()));
    };
    let compiled = match registry.find(id) {
        Found::Ready(compiled) => compiled,
        Found::Refused(error) => return Err(error),
        Found::Unknown if draft.is_late() => return Err(registry.not_in_time(id)),
        Found::Unknown => {
            draft.awaits = Some(id);
            return Ok(());
        }
    };
    let route = draft.route(None, None, None)?;
    // Rows borrow the groups while the draft is asked for the request's id.
    let mut groups = std::mem::take(draft.groups);
    let outcome = place(&compiled, body, id, &route, &mut groups).map(|rows| {
        let request_id = draft.id(None);
        rows.commit(draft.request(request_id, Form::Avro, None));
    });
    *draft.groups = groups;
    outcome
}

/// The schema's id.
fn id(body: &[u8]) -> Result<u32, RequestError> {
    match body.split_first_chunk::<HEAD>() {
        Some(([0, id @ ..], _)) => Ok(u32::from_be_bytes(*id)),
        _ => Err(invalid(format!(
            "an Avro body begins with a zero byte and the id of its schema in four, as Confluent's serializers write it; \
             {} bytes came that begin with {:02x?}; send another format with its content-type",
            body.len(),
            &body[..body.len().min(HEAD)]
        ))),
    }
}

fn place<'g>(
    Compiled(program): &Compiled,
    body: &[u8],
    id: u32,
    route: &Arc<Route>,
    groups: &'g mut Groups,
) -> Result<Rows<'g>, RequestError> {
    let values = values::read(program, &mut Reader::new(body, HEAD))
        .map_err(|broken| invalid(format!("the body is no value of schema {id}: {broken}")))?;
    let kinds = program.ops.iter().filter_map(|op| match op {
        program::Op::Value(kind) => Some(*kind),
        _ => None,
    });
    let mut columns = Vec::with_capacity(values.len());
    for ((field, value), kind) in program.fields.iter().zip(&values).zip(kinds) {
        let Some(datatype) = datatype(&field.name, value, kind, field.nullable)? else { continue };
        let width = if let Value::List(list) = value { list.count } else { 1 };
        columns.push((&*field.name, value, datatype, [1, width]));
    }
    let announced: Vec<_> = columns
        .iter()
        .map(|(name, _, datatype, shape)| Announced { name, datatype: *datatype, shape, exact: false })
        .collect();
    let mut rows = groups.place(route, &announced).map_err(|oversized| invalid(oversized.to_string()))?;
    for (_, value, _, shape) in &columns {
        let Ok(()) = rows.fill(shape, |elements, _| {
            value.append(program, elements);
            Ok::<_, Infallible>(())
        });
    }
    Ok(rows)
}

fn datatype(name: &str, value: &Value<'_>, kind: Kind, nullable: bool) -> Result<Option<DataType>, RequestError> {
    if let Value::List(list) = value
        && list.is_mixed()
    {
        let name = Clip(name);
        let why = format!("field `{name}` has missing items beside whole numbers beyond 2^53: no datatype holds both");
        return Err(RequestError::new(ErrorCode::InvalidInput, why));
    }
    Ok(value.datatype(kind, nullable))
}

fn invalid(why: String) -> RequestError {
    RequestError::new(ErrorCode::InvalidRequest, why)
}
