//! JSON: Open Inference Protocol v2 and row form, from the text straight into columns, and from columns to text.
//!
//! A body is tried on the fast path ([`fast`]), which reads it in one pass into the group that the request before it went
//! to, and gives up at anything unusual or wrong. Then the complete path ([`body`], [`tensors`], [`rows`]) reads it from
//! the start; it takes every legal body, and every error is its.
//!
//! Guarantee: whatever the fast path takes, the complete path would have taken with the same result. Both read numbers and
//! strings with the same functions ([`array`], [`number`], [`text`]); they differ in how they find them.

use std::sync::Arc;

use super::{Draft, Groups, Rows, binary::Behind};
use crate::{
    error::RequestError,
    request::{Form, Route, UNNAMED},
};
use body::Body;
pub(super) use body::twice;
pub(super) use event::{EventData, EventText, is_event, read_event};
pub(super) use fault::{Clip, shape_text};
use fault::{Fault, error, refused};
pub use golden::{GoldenSample, Tolerance, golden_samples};
pub use id::find as find_id;
pub(super) use number::float;
pub(super) use parameter::find as find_parameter;
pub use write::{AnswerHead, Writer, write_error, write_result};
pub(super) use write::{list_text, string};

mod array;
mod body;
mod element;
mod event;
mod explain;
mod fast;
mod fault;
mod golden;
mod id;
mod number;
mod parameter;
mod rows;
mod scan;
#[cfg(target_arch = "x86_64")]
mod simd;
mod tensors;
#[cfg(test)]
mod tests;
mod text;
mod write;

/// Decodes one body.
///
/// # Errors
/// `INVALID_REQUEST`, or what the pipeline says of a choice of model.
pub fn decode(body: &[u8], draft: &mut Draft<'_>) -> Result<(), RequestError> {
    decode_mixed(body, Behind::default(), draft)
}

/// Decodes one body that may have the data of inputs as bytes behind its JSON.
///
/// # Errors
/// As [`decode`], and for bytes that are not what the JSON says of them.
pub fn decode_mixed(json: &[u8], behind: Behind<'_>, draft: &mut Draft<'_>) -> Result<(), RequestError> {
    decode_by(json, draft, |text, draft, groups| match fast::decode(text, behind, draft, groups) {
        Some(()) => Ok(()),
        None => complete(text, behind, draft, groups),
    })
}

fn decode_by(
    body: &[u8],
    draft: &mut Draft<'_>,
    path: impl FnOnce(&str, &mut Draft<'_>, &mut Groups) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    // Rows borrow the groups while the draft is asked for the request's id.
    let mut groups = std::mem::take(draft.groups);
    let outcome = text_of(body).and_then(|text| path(text, draft, &mut groups));
    *draft.groups = groups;
    outcome
}

/// A body as text.
pub(super) fn text_of(body: &[u8]) -> Result<&str, RequestError> {
    simdutf8::basic::from_utf8(body).or_else(|_| {
        std::str::from_utf8(body)
            .map_err(|why| error(format!("the body is no UTF-8 from byte {} on", why.valid_up_to())))
    })
}

/// The complete path.
fn complete(text: &str, behind: Behind<'_>, draft: &mut Draft<'_>, groups: &mut Groups) -> Result<(), RequestError> {
    place(text, behind, draft, groups).map_err(|fault| fault.into_error(text))
}

fn place(text: &str, mut behind: Behind<'_>, draft: &mut Draft<'_>, groups: &mut Groups) -> Result<(), Fault> {
    let body = Body::read(text)?;
    let parameters = body.options.as_ref().and_then(|options| options.parameters.as_deref());
    let route = draft.route(body.model.as_deref(), body.version.as_deref(), parameters)?;
    let (rows, form) = data(text, &mut behind, &body, &route, groups)?;
    if behind.left() > 0 {
        let left = behind.left();
        return Err(refused(format!(
            "{left} bytes behind the JSON belong to no input: no `binary_data_size` counts them"
        )));
    }
    let id = draft.id(body.id.as_deref());
    rows.commit(draft.request(id, form, body.options));
    Ok(())
}

fn data<'g>(
    text: &str,
    behind: &mut Behind<'_>,
    body: &Body<'_>,
    route: &Arc<Route>,
    groups: &'g mut Groups,
) -> Result<(Rows<'g>, Form), Fault> {
    match (&body.inputs, body.instances) {
        (Some(inputs), None) => Ok((tensors::place(text, behind, inputs, route, groups)?, Form::Tensors)),
        (None, Some(instances)) => {
            let table = rows::Table::read(text, instances, UNNAMED)?;
            Ok((table.place(text, route, groups)?, Form::Rows))
        }
        (Some(_), Some(_)) => Err(refused("a request has `inputs` or `instances`, but both came".to_owned())),
        (None, None) => Err(refused("a request has `inputs` or `instances`, but neither came".to_owned())),
    }
}
