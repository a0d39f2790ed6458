//! Answers with headers: those of the request, then five of our own.
//!
//! librdkafka's batch call takes none, so that each answer costs a call, and each header an allocation. Cheapest is what is
//! there already: the list that the client made of the request's headers is taken from the request and given to the answer.

use std::{path::Path, ptr, slice};

use rdkafka_sys as sys;
use sha2::{Digest, Sha256};
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

use super::kafka::Record;

/// What every answer says beside the headers of its request.
pub struct Headers(Vec<(&'static str, String)>);

impl Headers {
    /// For the model in `folder`.
    pub fn new(folder: &Path, model: &str, version: &str) -> Self {
        let digest = Sha256::digest(std::fs::read(folder.join("model.onnx")).unwrap());
        let digest = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(vec![
            ("content-type", "application/json".to_owned()),
            ("status", "OK".to_owned()),
            ("model-name", model.to_owned()),
            ("model-version", version.to_owned()),
            ("model-digest", digest),
        ])
    }

    /// The headers of the answer to `request`, which loses its own.
    ///
    /// # Safety
    /// The request is live. The list is the caller's.
    pub unsafe fn take(&self, request: *mut Record) -> *mut sys::rd_kafka_headers_t {
        let mut list = ptr::null_mut();
        // SAFETY: the request is live; names and values are copied.
        unsafe {
            if sys::rd_kafka_message_detach_headers(request, &mut list) == OK {
                read(list);
            } else {
                list = sys::rd_kafka_headers_new(self.0.len());
            }
            for (name, value) in &self.0 {
                let (name, length) = (name.as_ptr().cast(), name.len() as isize);
                sys::rd_kafka_header_add(list, name, length, value.as_ptr().cast(), value.len() as isize);
            }
        }
        list
    }
}

/// Looks at each header, as whoever acts on some must.
unsafe fn read(list: *mut sys::rd_kafka_headers_t) {
    let (mut name, mut value, mut size, mut index) = (ptr::null(), ptr::null(), 0, 0);
    // SAFETY: names and values live as long as the list.
    unsafe {
        while sys::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size) == OK {
            let value = if value.is_null() { &[] } else { slice::from_raw_parts(value.cast::<u8>(), size) };
            std::hint::black_box((name, value));
            index += 1;
        }
    }
}
