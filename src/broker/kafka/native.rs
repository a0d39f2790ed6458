//! The calls of librdkafka that its Rust wrapper does not offer: batches, and what a client may do. The only `unsafe` code
//! around Kafka.
//!
//! Why: a consumer's and a producer's cost per record decides the cost of a small request. Taking and giving records in
//! batches, with payloads read and written in place, costs 1.5 CPU-µs a record for consume + produce + commit where the
//! wrapper's calls, one by one, cost 2.3 to 3.7.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    ptr,
    sync::{Arc, Weak},
    time::Duration,
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::RDKafkaErrorCode,
};
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

use crate::broker::{Message, Source};
use records::Record;

pub use events::{EventQueue, events_waiting};
pub use headers::HeaderList;
pub use partitions::Partitions;
pub use produce::{Outgoing, OutputTopic, Place};
pub use records::NativeRecords;
#[cfg(test)]
pub use rights::Operations;
pub use rights::{Rights, Verdict, ask as ask_rights};

mod events;
mod headers;
mod partitions;
mod produce;
mod records;
mod rights;

/// Keeps a client alive for as long as memory of its own is in use.
type Keep = Arc<dyn Send + Sync>;

/// One queue that all partitions of a consumer deliver into, beside the queue of its events.
pub struct DataQueue {
    // Before `keep`: the queue goes before its client.
    queue: Arc<Queue>,
    topics: TopicIndex,
    keep: Keep,
}

/// The queue itself. Whoever holds it keeps its client alive, too, or holds it weakly.
struct Queue {
    queue: *mut sys::rd_kafka_queue_t,
    client: *mut sys::rd_kafka_t,
}

// SAFETY: librdkafka's queues and clients may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

/// Lets partitions deliver into a [`DataQueue`], for as long as that lives.
#[derive(Clone)]
pub struct Forwarding(Weak<Queue>);

impl Forwarding {
    /// Lets a partition deliver into the queue instead of the consumer's own. Idempotent. To be called before the partition
    /// is assigned, and again now and then: the client undoes it, on a thread of its own, when a partition is stopped.
    pub fn forward(&self, topic: &str, partition: i32) {
        let (Some(queue), Ok(topic)) = (self.0.upgrade(), CString::new(topic)) else { return };
        // SAFETY: client and queue are live; the partition's queue is ours to destroy after use.
        unsafe {
            let source = sys::rd_kafka_queue_get_partition(queue.client, topic.as_ptr(), partition);
            if !source.is_null() {
                sys::rd_kafka_queue_forward(source, queue.queue);
                sys::rd_kafka_queue_destroy(source);
            }
        }
    }
}

/// Asks the broker to commit; its word comes to `commit_callback` when the consumer is polled. The wrapper's own asynchronous
/// commit tells nobody what became of it: librdkafka reports that to a callback, and the wrapper listens to events.
///
/// # Errors
/// If the consumer has no group.
pub fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
) -> Result<(), RDKafkaErrorCode> {
    let client = consumer.client().native_ptr();
    // SAFETY: client and list are live; the list is copied, and the queue is ours to destroy after use.
    let error = unsafe {
        let events = sys::rd_kafka_queue_get_consumer(client);
        if events.is_null() {
            return Err(RDKafkaErrorCode::UnknownGroup);
        }
        let error = sys::rd_kafka_commit_queue(client, offsets.ptr(), events, None, ptr::null_mut());
        sys::rd_kafka_queue_destroy(events);
        error
    };
    if error == OK { Ok(()) } else { Err(error.into()) }
}

/// Topic handles as they stand in messages, and the worker's index for each.
struct TopicIndex {
    names: HashMap<String, usize>,
    seen: HashMap<usize, usize>,
    last: (usize, usize),
}

impl TopicIndex {
    /// The index of a message's topic; `None` for a topic that was never subscribed.
    ///
    /// # Safety
    /// `topic` is the handle of a live message.
    unsafe fn of(&mut self, topic: *mut sys::rd_kafka_topic_t) -> Option<usize> {
        let handle = topic as usize;
        if self.last.0 == handle {
            return Some(self.last.1);
        }
        let index = match self.seen.get(&handle) {
            Some(index) => *index,
            None => {
                // SAFETY: the handle is live, and its name is a C string that lives as long.
                let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic)) };
                let index = *self.names.get(name.to_str().ok()?)?;
                self.seen.insert(handle, index);
                index
            }
        };
        self.last = (handle, index);
        Some(index)
    }
}

/// What one call took from the queue.
#[derive(Default)]
pub struct Batch {
    /// Records, to be destroyed by whoever holds them.
    records: Vec<Record>,
    /// Errors that came in the place of records: code and text.
    pub errors: Vec<(RDKafkaErrorCode, String)>,
    /// Bytes of keys and values.
    pub bytes: usize,
}

// SAFETY: a batch owns its records, and librdkafka's messages may be read and destroyed on any thread.
unsafe impl Send for Batch {}

impl DataQueue {
    /// A queue beside `consumer`'s own; `topics` are its request topics in order.
    pub fn new<C: ConsumerContext + 'static>(consumer: &Arc<BaseConsumer<C>>, topics: &[String]) -> Self {
        let client = consumer.client().native_ptr();
        let names = topics.iter().cloned().enumerate().map(|(index, name)| (name, index)).collect();
        // SAFETY: the client is live, and `keep` keeps it so.
        let queue = unsafe { sys::rd_kafka_queue_new(client) };
        Self {
            queue: Arc::new(Queue { queue, client }),
            topics: TopicIndex { names, seen: HashMap::new(), last: (0, 0) },
            keep: Arc::clone(consumer) as Keep,
        }
    }

    /// What lets partitions deliver into this queue.
    pub fn forwarding(&self) -> Forwarding {
        Forwarding(Arc::downgrade(&self.queue))
    }

    /// Adds up to `most` records to `batch`, waiting up to `wait` for the first one if there is none.
    pub fn take(&mut self, batch: &mut Batch, most: usize, wait: Duration) -> usize {
        let mut raw: Vec<*mut sys::rd_kafka_message_t> = Vec::with_capacity(most);
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the call writes at most `most` message pointers, which are then ours to destroy.
        unsafe {
            let taken = sys::rd_kafka_consume_batch_queue(self.queue.queue, wait, raw.as_mut_ptr(), most);
            raw.set_len(usize::try_from(taken).unwrap_or(0));
        }
        let count = raw.len();
        batch.records.reserve(count);
        for raw in raw {
            // SAFETY: each pointer is a live message of which we are the only owner.
            unsafe { self.sort(raw, batch) };
        }
        count
    }

    unsafe fn sort(&mut self, raw: *mut sys::rd_kafka_message_t, batch: &mut Batch) {
        // SAFETY: the caller says that `raw` is live and ours.
        unsafe {
            let message = &*raw;
            if message.err != OK {
                let text = CStr::from_ptr(sys::rd_kafka_message_errstr(raw)).to_string_lossy().into_owned();
                batch.errors.push((message.err.into(), text));
                sys::rd_kafka_message_destroy(raw);
                return;
            }
            match self.topics.of(message.rkt) {
                Some(topic) => {
                    batch.bytes += message.len + message.key_len;
                    batch.records.push(Record { raw, topic });
                }
                None => sys::rd_kafka_message_destroy(raw),
            }
        }
    }

    /// The high watermark that the client last heard of; no request is sent.
    pub fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        let topic = CString::new(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is live, and the call writes two integers.
        let error = unsafe {
            sys::rd_kafka_get_watermark_offsets(self.queue.client, topic.as_ptr(), partition, &mut low, &mut high)
        };
        (error == OK && high >= 0).then_some(high)
    }

    /// The batch as records that keep their client alive.
    pub fn records(&self, batch: &mut Batch) -> NativeRecords {
        batch.bytes = 0;
        NativeRecords::new(std::mem::take(&mut batch.records), Arc::clone(&self.keep))
    }

    /// The first `count` records of the batch, which keeps the others.
    pub fn first_records(&self, batch: &mut Batch, count: usize) -> NativeRecords {
        let rest = batch.records.split_off(count);
        let first = NativeRecords::new(std::mem::replace(&mut batch.records, rest), Arc::clone(&self.keep));
        batch.bytes = batch.messages().map(|message| bytes_of(&message)).sum();
        first
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours and nobody else has it; the client is still live.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) }
    }
}

impl Batch {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Batch {
    /// What it holds.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: the records are live as long as the batch.
        self.records.iter().map(|record| unsafe { record.message() })
    }

    /// Keeps the records that `keep` says yes to, by their partitions.
    pub fn retain(&mut self, mut keep: impl FnMut(Source) -> bool) {
        let (kept, gone) = std::mem::take(&mut self.records).into_iter().partition(|record| {
            // SAFETY: the record is live, and nothing of the message is kept.
            let message = unsafe { record.message() };
            keep(Source { topic: message.topic, partition: message.partition })
        });
        self.records = kept;
        let gone: Vec<Record> = gone;
        records::destroy(&gone);
        self.bytes = self.messages().map(|message| bytes_of(&message)).sum();
    }
}

fn bytes_of(message: &Message<'_>) -> usize {
    message.key.map_or(0, <[u8]>::len) + message.payload.map_or(0, <[u8]>::len)
}

impl Drop for Batch {
    fn drop(&mut self) {
        records::destroy(&self.records);
    }
}
