//! JSON: Open Inference Protocol v2 and row form.

use super::{Draft, Undecodable};

/// Decodes one body.
///
/// # Errors
/// `INVALID_REQUEST`, with the id if it could be found.
pub fn decode(_body: &[u8], _draft: &mut Draft<'_>) -> Result<(), Undecodable> {
    unimplemented!()
}
