//! Which wire format a record's body is in: what its headers say, else what its pipeline says.
//!
//! | content-type | header length | format |
//! |---|---|---|
//! | none | none | the pipeline's `codec:` |
//! | `application/json` | none | [`Format::Json`] |
//! | none, `application/json`, `application/octet-stream` | there | [`Format::Binary`] |
//! | `image/*`, `text/plain`, `application/octet-stream` | none, or 0 | [`Format::Raw`] |
//! | `application/x-protobuf`, `application/protobuf`, `application/vnd.confluent.protobuf` | none | [`Format::Protobuf`] |
//! | `text/csv` | none | [`Format::Csv`] |
//! | `application/avro`, `avro/binary`, `application/vnd.confluent.avro` | none | [`Format::Avro`] |
//! | `application/cloudevents+json` | any | [`Format::Event`], and then that of its data |
//!
//! A new format is a variant here, a file or folder beside this one with a `decode(body, draft)`, and its rows of the
//! table. If its answers look like none before, [`crate::request::Form`] gets a variant, too, and `results` its writer.

use super::{Draft, Envelope, binary, cloudevents, csv, envelope::HEADER_LENGTH, framed, json, protobuf, raw};
use crate::error::{ErrorCode, RequestError};

/// The content-type of answers in protobuf.
pub const PROTOBUF: &str = "application/x-protobuf";

/// The content-type of answers in Avro.
pub const AVRO: &str = "application/avro";

/// The wire formats of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Open Inference Protocol v2 or row form, as JSON.
    Json,
    /// The same with the data of inputs as bytes behind the JSON.
    Binary {
        /// How many bytes of JSON there are.
        header: usize,
    },
    /// The body is the pipeline's one input.
    Raw,
    /// Open Inference Protocol v2 as protobuf; or, behind a zero byte, a message whose schema is in a registry.
    Protobuf,
    /// A table with a header line; its answer is that of row form.
    Csv,
    /// An Avro record whose schema is in a registry; or what else the type of that schema makes of the body.
    Avro,
    /// A CloudEvent in structured mode, whose data are in another format.
    Event,
}

impl Format {
    /// The format of a record with these headers; `default` is its pipeline's, for one whose headers say nothing of it. The
    /// case and the parameters (`; charset=`) of a content-type do not matter.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for a content-type that is not known, or that contradicts another header.
    pub fn of(envelope: &Envelope<'_>, default: Self) -> Result<Self, RequestError> {
        let Some(content_type) = envelope.content_type else {
            return Ok(envelope.header_length.map_or(default, |header| Self::Binary { header }));
        };
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        let is_octets = is("application/octet-stream");
        match envelope.header_length {
            _ if is(cloudevents::STRUCTURED) => Ok(Self::Event),
            None if is("application/json") => Ok(Self::Json),
            None if is(PROTOBUF) || is("application/protobuf") || is("application/vnd.confluent.protobuf") => {
                Ok(Self::Protobuf)
            }
            None if is("text/csv") => Ok(Self::Csv),
            None if is(AVRO) || is("avro/binary") || is("application/vnd.confluent.avro") => Ok(Self::Avro),
            // No JSON at all is Triton's raw binary request.
            None | Some(0) if is_octets || is("text/plain") || is_image(essence) => Ok(Self::Raw),
            Some(header) if is("application/json") || is_octets => Ok(Self::Binary { header }),
            Some(_) => Err(invalid(format!(
                "the header `{HEADER_LENGTH}` goes with content-type application/octet-stream, but `{content_type}` came"
            ))),
            None => Err(invalid(format!("content-type `{content_type}` is not supported; send {KNOWN}"))),
        }
    }

    /// Decodes one body that is not empty.
    ///
    /// # Errors
    /// What the decoder says.
    pub fn decode(self, body: &[u8], draft: &mut Draft<'_>) -> Result<(), RequestError> {
        match self {
            Self::Json => json::decode(body, draft),
            Self::Binary { header } => binary::decode(body, header, draft),
            Self::Raw => raw::decode(body, draft),
            Self::Protobuf if framed::is_framed(body) => framed::decode(body, draft),
            Self::Protobuf => protobuf::decode(body, draft),
            Self::Csv => csv::decode(body, draft),
            Self::Avro => framed::decode(body, draft),
            Self::Event => cloudevents::decode(body, draft),
        }
    }

    /// The id of a body that cannot be decoded, as far as it can be found.
    pub fn find_id(self, body: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            // Both begin with JSON, and whatever is wrong with where it ends does not matter.
            Self::Json | Self::Binary { .. } => json::find_id(body),
            Self::Raw | Self::Csv | Self::Avro => None,
            Self::Protobuf => protobuf::find_id(body).map(Into::into),
            // Whose it is depends on its data: see `cloudevents::find_id`.
            Self::Event => None,
        }
    }
}

/// The content-types that are known, for a sentence.
const KNOWN: &str = "application/json, application/octet-stream, application/x-protobuf, application/avro, application/cloudevents+json, text/csv, image/… or text/plain";

fn is_image(essence: &str) -> bool {
    essence.split_once('/').is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("image"))
}

fn invalid(why: String) -> RequestError {
    RequestError::new(ErrorCode::InvalidRequest, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(content_type: Option<&str>, header_length: Option<usize>) -> Result<Format, String> {
        let envelope = Envelope { content_type, header_length, ..Envelope::default() };
        Format::of(&envelope, Format::Json).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn headers_choose_the_format_and_without_them_the_pipeline_does() {
        for (content_type, header_length, expected) in [
            (None, None, Format::Json),
            (Some("application/json"), None, Format::Json),
            (Some("Application/JSON; charset=utf-8"), None, Format::Json),
            (None, Some(10), Format::Binary { header: 10 }),
            (Some("application/octet-stream"), Some(10), Format::Binary { header: 10 }),
            (Some("application/json"), Some(10), Format::Binary { header: 10 }),
            (Some("application/octet-stream"), None, Format::Raw),
            (Some("application/octet-stream"), Some(0), Format::Raw),
            (Some("Image/JPEG"), None, Format::Raw),
            (Some("text/plain;charset=utf-8"), None, Format::Raw),
            (Some("application/cloudevents+json; charset=utf-8"), Some(10), Format::Event),
            (Some("Text/CSV; header=present"), None, Format::Csv),
            (Some("application/x-protobuf"), None, Format::Protobuf),
            (Some("Application/Avro"), None, Format::Avro),
            (Some("avro/binary"), None, Format::Avro),
            (Some("application/vnd.confluent.protobuf"), None, Format::Protobuf),
            (Some("application/protobuf; proto=inference.ModelInferRequest"), None, Format::Protobuf),
        ] {
            assert_eq!(format(content_type, header_length), Ok(expected), "{content_type:?} {header_length:?}");
        }
    }

    #[test]
    fn a_content_type_that_is_not_known_or_contradicts_is_refused_by_its_name() {
        assert!(format(Some("application/xml"), None).unwrap_err().contains("`application/xml` is not supported"));
        let contradiction = format(Some("image/png"), Some(10)).unwrap_err();
        assert!(contradiction.contains(HEADER_LENGTH) && contradiction.contains("`image/png`"), "{contradiction}");
    }
}
