//! Open Inference Protocol v2 with the data of tensors as bytes behind the JSON: Triton's binary tensor data extension.
//!
//! A body is a JSON header, as long as the record's header `inference-header-content-length` says, and behind it the data of
//! every input whose parameters state a `binary_data_size`, in the order of the inputs. Numbers are little-endian, `BOOL` is
//! one byte, 0 or 1, and an element of `BYTES` is its length in four bytes, little-endian, and as many bytes. An answer is
//! written alike. The JSON is read and written by [`super::json`]; here are the bytes.
//!
//! Source: <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/binary_data_extension.md>

use super::{Draft, envelope::HEADER_LENGTH, json};
use crate::error::{ErrorCode, RequestError};

pub(super) use behind::Behind;
pub(super) use read::{Misfit, append};
pub(super) use write::{Writer, put, size};

mod behind;
mod read;
#[cfg(test)]
mod tests;
mod write;

/// Decodes one body that begins with `header` bytes of JSON.
///
/// # Errors
/// `INVALID_REQUEST`, also where the sizes that are stated and the bytes that are there do not agree; or what the pipeline
/// says of a choice of model.
pub fn decode(body: &[u8], header: usize, draft: &mut Draft<'_>) -> Result<(), RequestError> {
    let Some((json, behind)) = body.split_at_checked(header) else {
        let why = format!("the header `{HEADER_LENGTH}` says {header}, but the body has {} bytes", body.len());
        return Err(RequestError::new(ErrorCode::InvalidRequest, why));
    };
    json::decode_mixed(json, Behind::new(behind), draft)
}
