//! JSON: Open Inference Protocol v2 and row form.

use super::{Draft, Undecodable};

/// Decodes one body.
///
/// # Errors
/// `INVALID_REQUEST`, with the id if it could be found.
pub fn decode(_body: &[u8], _draft: &mut Draft<'_>) -> Result<(), Undecodable> {
    unimplemented!()
}
/// Stub until the codec branch lands.
pub struct AnswerHead<'a> {
    pub id: &'a str,
    pub model: &'a str,
    pub version: &'a str,
    pub parameters: Option<&'a str>,
}
pub fn write_result(
    _out: &mut Vec<u8>,
    _head: &AnswerHead<'_>,
    _columns: &[&crate::tensor::Column],
    _rows: Option<std::ops::Range<usize>>,
    _form: crate::request::Form,
) {
}
pub fn write_error(_out: &mut Vec<u8>, _id: &str, _error: &crate::error::RequestError) {}
