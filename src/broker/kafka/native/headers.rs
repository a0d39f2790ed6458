//! The headers of a record to produce, as librdkafka's own list.
//!
//! Why taken over and not copied: a header in a list is an allocation, made on one thread and freed on another, and headers
//! cost more than all else that is done for a small request. An answer carries on most headers of its request, and the client
//! has parsed them into such a list already: it goes over whole, what must stay behind is removed, and ours are added. With
//! four headers in and nine out, a flat loop that takes the list over costs 0.76 of one that adds all nine to a new list; one that
//! copies a prepared list of our five, or the request's four, and adds the others 0.93 and 0.95 (7 to 8 alternating rounds).

use std::{
    ffi::{CStr, c_void},
    ptr,
};

use rdkafka_sys as sys;

use super::OK;

/// A list of headers that belongs to nobody else.
pub struct HeaderList(*mut sys::rd_kafka_headers_t);

impl HeaderList {
    /// An empty list with room for so many.
    pub fn with_room(count: usize) -> Self {
        // SAFETY: the call only allocates.
        Self(unsafe { sys::rd_kafka_headers_new(count) })
    }

    /// Takes the headers of a message out of it; `None` if it has none.
    ///
    /// # Safety
    /// The message is live, and nothing that was read from its headers is in use.
    pub(super) unsafe fn detach(message: *mut sys::rd_kafka_message_t) -> Option<Self> {
        let mut list = ptr::null_mut();
        // SAFETY: as the caller says; the list is ours from here on.
        let error = unsafe { sys::rd_kafka_message_detach_headers(message, &mut list) };
        // Not `then_some`: a list that there is not must not be dropped.
        (error == OK).then(|| Self(list))
    }

    /// Adds a header; `None` is Kafka's null.
    pub fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        let (start, len) = value.map_or((ptr::null(), 0), |value| (value.as_ptr().cast::<c_void>(), value.len()));
        // SAFETY: the list is live, and both are copied into it.
        unsafe { sys::rd_kafka_header_add(self.0, name.as_ptr().cast(), name.len() as isize, start, len as isize) };
    }

    /// Removes the headers whose names are not to be kept. `scratch` is memory for a name.
    pub fn retain(&mut self, scratch: &mut Vec<u8>, keep: impl Fn(&[u8]) -> bool) {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        let mut nth = 0;
        // SAFETY: the list is live and ours; a name is a C string that lives until its header is removed.
        unsafe {
            while sys::rd_kafka_header_get_all(self.0, nth, &mut name, &mut value, &mut size) == OK {
                let name = CStr::from_ptr(name);
                if keep(name.to_bytes()) {
                    nth += 1;
                    continue;
                }
                // A copy, since the client goes on comparing with the name when it has freed the first header of it.
                scratch.clear();
                scratch.extend_from_slice(name.to_bytes_with_nul());
                sys::rd_kafka_header_remove(self.0, scratch.as_ptr().cast());
            }
        }
    }

    pub(super) fn raw(&self) -> *mut sys::rd_kafka_headers_t {
        self.0
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: the list is ours.
        unsafe { sys::rd_kafka_headers_destroy(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(list: &HeaderList) -> Vec<(String, Option<Vec<u8>>)> {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        let mut all = Vec::new();
        // SAFETY: the list is live while it is read.
        unsafe {
            while sys::rd_kafka_header_get_all(list.0, all.len(), &mut name, &mut value, &mut size) == OK {
                let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
                all.push((CStr::from_ptr(name).to_str().unwrap().to_owned(), value));
            }
        }
        all
    }

    #[test]
    fn what_is_not_kept_goes_wherever_it_stands_and_however_often() {
        let mut list = HeaderList::with_room(1);
        for (name, value) in [("drop", Some("1")), ("a", Some("2")), ("drop", None), ("drop", Some("")), ("b", None)] {
            list.push(name.as_bytes(), value.map(str::as_bytes));
        }
        list.retain(&mut Vec::new(), |name| name != b"drop");
        assert_eq!(all(&list), [("a".to_owned(), Some(b"2".to_vec())), ("b".to_owned(), None)]);
        list.retain(&mut Vec::new(), |_| false);
        assert!(all(&list).is_empty());
    }
}
