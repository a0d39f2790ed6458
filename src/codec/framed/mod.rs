//! Bodies whose schema is in a registry, in Confluent's wire format: a zero byte, the schema's id in four, and what the type of
//! the schema makes of the rest. One body is one row, each of its fields a column.
//!
//! What the type of a schema is, the registry says: a topic may hold them mixed ([`super::avro`], [`super::protobuf::schema`]). A
//! message whose schema is not known yet waits for it beside the journey: see [`super::registry`]. Answers are Avro where the
//! pipeline names a subject for their schema; else they are rows in JSON.
//!
//! Source: <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>.

use std::sync::Arc;

use super::{Draft, Groups, Rows, avro, protobuf::schema, registry::Found};
use crate::{
    error::{ErrorCode, RequestError},
    request::{Form, Route},
};
pub use values::{Field, Items, LARGEST_IN_DOUBLE, Value};

#[cfg(test)]
pub(super) mod tests;
mod values;

/// The bytes before what the schema describes: zero, and the schema's id.
pub const HEAD: usize = 5;

/// Whether a body begins as these do. Nothing else that is no text does: in protobuf it would be a field without a number.
pub fn is_framed(body: &[u8]) -> bool {
    body.first() == Some(&0)
}

/// A schema that another one refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referred {
    /// The name by which it is referred to: in protobuf what is imported.
    pub name: String,
    pub text: String,
}

/// A schema as bodies are read by it.
#[derive(Debug)]
pub enum Compiled {
    Avro(avro::Compiled),
    Protobuf(schema::Compiled),
}

impl Compiled {
    /// The schema in `text`, of the type that the registry calls `kind`; `references` are those that it refers to, each behind
    /// those that it refers to itself.
    ///
    /// # Errors
    /// A sentence on why it cannot be used.
    pub fn of(kind: Option<&str>, text: &str, references: &[Referred]) -> Result<Self, String> {
        match kind {
            None | Some("AVRO") => {
                let mut texts: Vec<String> = Vec::with_capacity(references.len());
                for reference in references {
                    // One that goes by two names defines its own once.
                    if !texts.contains(&reference.text) {
                        texts.push(reference.text.clone());
                    }
                }
                avro::Compiled::of(text, &texts).map(Self::Avro)
            }
            Some("PROTOBUF") => schema::Compiled::of(text, references).map(Self::Protobuf),
            Some(other) => {
                Err(format!("it is of type {}, and this worker reads AVRO and PROTOBUF", other.escape_debug()))
            }
        }
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
            "a body whose schema is in a registry begins with a zero byte and the id of its schema in four, as Confluent's \
             serializers write it; {} bytes came that begin with {:02x?}; send another format with its content-type",
            body.len(),
            &body[..body.len().min(HEAD)]
        ))),
    }
}

fn place<'g>(
    compiled: &Compiled,
    body: &[u8],
    id: u32,
    route: &Arc<Route>,
    groups: &'g mut Groups,
) -> Result<Rows<'g>, RequestError> {
    let misfit = |why: String| invalid(format!("the body is no value of schema {id}: {why}"));
    match compiled {
        Compiled::Avro(schema) => {
            let values = schema.read(body).map_err(misfit)?;
            values::place(schema.fields(), &values, route, groups)
        }
        Compiled::Protobuf(schema) => {
            let reading = schema.read(body).map_err(misfit)?;
            let values = reading.values().map_err(misfit)?;
            values::place(reading.fields(), &values, route, groups)
        }
    }
}

fn invalid(why: String) -> RequestError {
    RequestError::new(ErrorCode::InvalidRequest, why)
}
