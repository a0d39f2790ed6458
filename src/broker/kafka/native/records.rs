//! Fetched records where librdkafka put them: read without a copy, destroyed with their chunk.

use std::{
    ffi::{CStr, c_void},
    ptr,
};

use rdkafka_sys as sys;

use super::{HeaderList, Keep};
use crate::broker::{Header, Message, Records};

/// A message that is live and ours to destroy, and the worker's index for its topic.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) raw: *mut sys::rd_kafka_message_t,
    pub(super) topic: usize,
}

impl Record {
    /// The message.
    ///
    /// # Safety
    /// It must be live for as long as what is returned.
    pub(super) unsafe fn message<'a>(self) -> Message<'a> {
        // SAFETY: the caller says that the message is live.
        unsafe {
            let message = &*self.raw;
            Message {
                topic: self.topic,
                partition: message.partition,
                offset: message.offset,
                timestamp: sys::rd_kafka_message_timestamp(self.raw, ptr::null_mut()),
                key: bytes(message.key, message.key_len),
                payload: bytes(message.payload, message.len),
            }
        }
    }
}

pub(super) fn destroy(records: &[Record]) {
    for record in records {
        // SAFETY: the records of a batch are live and owned by it alone.
        unsafe { sys::rd_kafka_message_destroy(record.raw) }
    }
}

/// Records where librdkafka put them.
pub struct NativeRecords {
    records: Vec<Record>,
    /// Dropped after the records.
    _keep: Keep,
}

// SAFETY: a fetched message is not changed by the client any more; its headers are parsed on first access and taken out for
// its answer, which the journey does on one thread at a time: a chunk is decoded by its task, and published after that by the
// same task, or by the publisher's thread while that task waits for it.
unsafe impl Send for NativeRecords {}
// SAFETY: as above; reading and taking headers are the calls that write to the message, and that is done by one thread at a
// time.
unsafe impl Sync for NativeRecords {}

impl NativeRecords {
    /// Takes over records that are live and owned by nobody else; `keep` keeps their client alive.
    pub(super) fn new(records: Vec<Record>, keep: Keep) -> Self {
        Self { records, _keep: keep }
    }

    /// Takes a record's headers out of it; `None` if it has none. Whoever asks again gets them again: the client then parses
    /// them anew from the bytes that it fetched.
    ///
    /// # Safety
    /// Nothing that [`Records::headers`] said of this record may be in use any more.
    pub unsafe fn take_headers(&self, index: usize) -> Option<HeaderList> {
        let raw = self.records[index].raw;
        if is_bare(raw) {
            return None;
        }
        // SAFETY: the message is live, and the caller says that nobody holds what the list owns.
        unsafe { HeaderList::detach(raw) }
    }
}

/// A C array as a slice; `None` where the pointer is null.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller says that `start` is null or points to `len` bytes that live for `'a`.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// Whether a fetched message certainly has no headers, told without asking the client, which allocates a parser to find that
/// out, each time. A bare iris request costs 0.93 of what it cost with that (12 alternating pairs; the commit also spared a list
/// for each group).
///
/// A record of format 2 (KIP-98) states the number of its headers right behind its value, and the client hands out values
/// where they lie in the batch that it fetched. Only batches of this format have a leader epoch; in older ones there may be
/// nothing behind a value.
fn is_bare(raw: *mut sys::rd_kafka_message_t) -> bool {
    // SAFETY: the message is live; where it has a value, the byte behind it is part of the same record.
    unsafe {
        let message = &*raw;
        let has_value = !message.payload.is_null() && message.len > 0;
        has_value && sys::rd_kafka_message_leader_epoch(raw) >= 0 && *message.payload.cast::<u8>().add(message.len) == 0
    }
}

impl Records for NativeRecords {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn message(&self, index: usize) -> Message<'_> {
        // SAFETY: the message is live as long as `self`.
        unsafe { self.records[index].message() }
    }

    fn headers<'a>(&'a self, index: usize, each: &mut dyn FnMut(Header<'a>)) {
        let raw = self.records[index].raw;
        if is_bare(raw) {
            return;
        }
        let mut list = ptr::null_mut();
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the message is live; its headers, their names and values live as long as it, or until they are taken,
        // when nobody holds them any more.
        unsafe {
            if sys::rd_kafka_message_headers(raw, &mut list) != super::OK {
                return;
            }
            for nth in 0.. {
                if sys::rd_kafka_header_get_all(list, nth, &mut name, &mut value, &mut size) != super::OK {
                    return;
                }
                each(Header { name: CStr::from_ptr(name).to_bytes(), value: bytes(value, size) });
            }
        }
    }
}

impl Drop for NativeRecords {
    fn drop(&mut self) {
        destroy(&self.records);
    }
}
