//! Bodies that are data and nothing else: an image, a text, bytes. The body is the pipeline's one input, of `BYTES`.
//!
//! The id, the model and whatever else a request may say come from its headers and its key. Which name and shape the input
//! has, the pipeline knows; here it is one row of a vector without a name.

use std::{convert::Infallible, sync::Arc};

use super::{Announced, Draft};
use crate::{
    error::{ErrorCode, RequestError},
    request::{Form, UNNAMED},
    tensor::{DataType, Elements},
};

/// Decodes one body.
///
/// # Errors
/// What the pipeline says of a choice of model.
pub fn decode(body: &[u8], draft: &mut Draft<'_>) -> Result<(), RequestError> {
    const SHAPE: &[usize] = &[1];
    let route = draft.route(None, None, None)?;
    // Rows borrow the groups while the draft is asked for the request's id.
    let mut groups = std::mem::take(draft.groups);
    let announced = Announced { name: UNNAMED, datatype: DataType::Bytes, shape: SHAPE, exact: true };
    let outcome = groups.place(&Arc::clone(&route), &[announced]).map(|mut rows| {
        let Ok(()) = rows.fill(SHAPE, |elements, _| {
            let Elements::Bytes(strings) = elements else { unreachable!("the column was announced as BYTES") };
            strings.push(body);
            Ok::<_, Infallible>(())
        });
        let id = draft.id(None);
        rows.commit(draft.request(id, Form::Tensors, None));
    });
    *draft.groups = groups;
    outcome.map_err(|oversized| RequestError::new(ErrorCode::InvalidRequest, oversized.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::{
        broker::{
            Chunk,
            memory::{MemoryRecord, MemoryRecords},
        },
        codec::{self, Decoded, Format, Intake, Intakes, Routing},
        request::{Form, Route, UNNAMED},
        tensor::Elements,
    };

    fn decode(format: Format, records: Vec<MemoryRecord>) -> Decoded {
        let intake =
            Intake::new(0, format, Routing::Fixed(std::sync::Arc::new(Route { pipeline: 0, models: Vec::new() })));
        let intakes = Intakes { intakes: vec![intake], topics: vec![("pictures".into(), 0)] };
        codec::decode(&Chunk::new(Box::new(MemoryRecords(records))), &intakes)
    }

    fn record(key: Option<&[u8]>, content_type: Option<&str>, body: &[u8]) -> MemoryRecord {
        let header = |value: &str| ("Content-Type".to_owned(), Some(value.as_bytes().to_vec()));
        MemoryRecord {
            key: key.map(<[u8]>::to_vec),
            headers: content_type.map(header).into_iter().collect(),
            payload: Some(body.to_vec()),
            ..MemoryRecord::default()
        }
    }

    #[test]
    fn bodies_are_the_rows_of_one_input_byte_for_byte() {
        let picture = b"\x89PNG\r\n\x1a\n{\"id\": \"not mine\"}".as_slice();
        let records = vec![
            record(Some(b"cat"), Some("image/png"), picture),
            record(None, Some("text/plain; charset=utf-8"), b"{\"id\": \"not mine either\"}"),
            record(None, Some("application/octet-stream"), &[0, 255]),
        ];
        let decoded = decode(Format::Json, records);
        assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
        let [group] = decoded.groups.as_slice() else { panic!("one signature is one group") };
        let tensor = &group.columns.find(UNNAMED).unwrap().tensor;
        let bodies = [picture, b"{\"id\": \"not mine either\"}", &[0, 255]];
        assert_eq!((tensor.shape(), tensor.elements()), (&[3][..], &Elements::Bytes(bodies.iter().collect())));
        let ids: Vec<_> = group.requests.iter().map(|request| decoded.ids.text(request.id)).collect();
        assert_eq!(ids, ["cat", "pictures-0-0", "pictures-0-0"], "what a body holds is no id");
        assert!(group.requests.iter().all(|request| request.form == Form::Tensors));
    }

    #[test]
    fn a_pipeline_may_take_every_body_as_it_is() {
        let decoded =
            decode(Format::Raw, vec![record(None, None, b"{}"), record(None, Some("application/json"), b"{}")]);
        assert_eq!(decoded.groups[0].columns.find(UNNAMED).unwrap().tensor.rows(), 1);
        assert_eq!(decoded.refused.len(), 1, "a header goes before the pipeline");
    }

    #[test]
    fn nothing_is_no_body() {
        let decoded = decode(Format::Raw, vec![record(None, Some("text/plain"), b"")]);
        assert!(decoded.refused[0].error.message().contains("empty"), "{:?}", decoded.refused);
    }
}
