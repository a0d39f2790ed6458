//! Open Inference Protocol v2 as protobuf: `inference.ModelInferRequest` in, `inference.ModelInferResponse` out.
//!
//! The data of inputs are raw (`raw_input_contents`, one entry for each input, as in [`super::binary`]), or typed
//! (`contents`), which are numbers like those in JSON. Answers always have theirs raw, which is all that tritonclient reads.
//! A body is walked where it lies: raw data are copied once, into their column, and nothing is built in between.
//!
//! Source: <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_grpc.proto>;
//! the field numbers are its.

use std::sync::Arc;

use super::{Draft, Groups, Rows, binary, json::Clip};
use crate::{
    error::RequestError,
    request::{Form, Options, Route},
    tensor::ShapeText,
};
use request::{Input, Request, invalid};
pub(super) use write::Writer;

mod contents;
mod parameters;
mod request;
pub(super) mod schema;
#[cfg(test)]
pub(super) mod tests;
mod wire;
mod write;

/// Decodes one body.
///
/// # Errors
/// `INVALID_REQUEST`, or what the pipeline says of a choice of model.
pub fn decode(body: &[u8], draft: &mut Draft<'_>) -> Result<(), RequestError> {
    // Rows borrow the groups while the draft is asked for the request's id.
    let mut groups = std::mem::take(draft.groups);
    let outcome = place(body, draft, &mut groups);
    *draft.groups = groups;
    outcome
}

/// The id of a body that cannot be decoded, as far as it can be found.
pub fn find_id(body: &[u8]) -> Option<&str> {
    request::find_id(body)
}

fn place(body: &[u8], draft: &mut Draft<'_>, groups: &mut Groups) -> Result<(), RequestError> {
    let request = Request::read(body)?;
    let route = route(body, &request, draft)?;
    let rows = fill(body, &request, &route, groups)?;
    let id = draft.id(Some(request.id));
    let Request { outputs, has_parameters, .. } = request;
    let options = (has_parameters || !outputs.is_empty()).then(|| Options {
        outputs: (!outputs.is_empty()).then_some(outputs),
        parameter_fields: has_parameters.then(|| request::parameter_fields(body).into()),
        ..Options::default()
    });
    rows.commit(draft.request(id, Form::Protobuf, options));
    Ok(())
}

fn route(body: &[u8], request: &Request<'_>, draft: &Draft<'_>) -> Result<Arc<Route>, RequestError> {
    fn said(text: &str) -> Option<&str> {
        (!text.is_empty()).then_some(text)
    }
    let parameters = (request.has_parameters && draft.reads_parameters())
        .then(|| parameters::json(wire::Walk::new(body)).map_err(|broken| invalid(broken.to_string())))
        .transpose()?;
    draft.route(said(request.model), said(request.version), parameters.as_deref())
}

/// Puts all inputs into the columns of their group. There may be none: some models have none.
fn fill<'g>(
    body: &[u8],
    request: &Request<'_>,
    route: &Arc<Route>,
    groups: &'g mut Groups,
) -> Result<Rows<'g>, RequestError> {
    let Request { inputs, raws, .. } = request;
    if *raws > 0 && *raws != inputs.len() {
        return Err(invalid(format!(
            "raw_input_contents has one entry for each input or is empty, but there are {} inputs and {raws} entries",
            inputs.len()
        )));
    }
    let mut rows = groups.place(route, &request.announced()).map_err(|oversized| invalid(oversized.to_string()))?;
    if *raws == 0 {
        for input in inputs {
            rows.fill(request.shape(input), |elements, count| contents::append(elements, count, input.message))
                .map_err(|misfit| typed_misfit(request, input, &misfit))?;
        }
        return Ok(rows);
    }
    for (input, bytes) in inputs.iter().zip(request::raws(body)) {
        if contents::are_there(input.message).map_err(|broken| invalid(broken.to_string()))? {
            let name = Clip(input.name);
            return Err(invalid(format!("input `{name}` has `contents` or raw_input_contents, but both came")));
        }
        rows.fill(request.shape(input), |elements, count| binary::append(elements, count, bytes))
            .map_err(|misfit| sentence(request, input, "as raw_input_contents", &misfit))?;
    }
    Ok(rows)
}

fn typed_misfit(request: &Request<'_>, input: &Input<'_>, misfit: &contents::Misfit) -> RequestError {
    match misfit {
        contents::Misfit::Broken(broken) => invalid(broken.to_string()),
        misfit => sentence(request, input, "as `contents`", misfit),
    }
}

fn sentence(request: &Request<'_>, input: &Input<'_>, how: &str, misfit: &dyn std::fmt::Display) -> RequestError {
    let (name, shape, datatype) = (Clip(input.name), ShapeText(request.shape(input)).to_string(), input.datatype);
    invalid(format!("input `{name}`: {datatype} {} {how} {misfit}", Clip(&shape)))
}
