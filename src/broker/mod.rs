//! The broker as the journey sees it: chunks of messages in, answers out, positions to acknowledge.
//!
//! A [`Chunk`] is what one poll handed over, read where the client library put it; [`Answers`] are written once into one
//! buffer. Nothing here knows Kafka's client: [`kafka`] does, and [`memory`] holds records that were never in a broker.

use std::any::Any;

use crate::error::RequestError;

mod answers;
pub mod budget;
pub mod journal;
pub mod kafka;
pub mod memory;
pub mod offsets;
pub mod replies;
pub mod suspects;

pub use answers::{Answer, AnswerHeaders, Answers, Copied, CopyRule, HeaderSet, OwnHeaders, Placement};

/// One record as it came. The references live as long as its chunk.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Index of its topic among the worker's request topics.
    pub topic: usize,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since the Unix epoch; negative if the record has none.
    pub timestamp: i64,
    /// The key; `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is Kafka's null, a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name as it was written: text, as far as it is one of ours.
    pub name: &'a [u8],
    /// Its value; `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
}

/// Records in the memory of whoever fetched them.
pub trait Records: Any + Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`.
    fn message(&self, index: usize) -> Message<'_>;

    /// Shows the headers of the record at `index`, in order. The client library parses them when they are first asked for.
    fn headers<'a>(&'a self, index: usize, each: &mut dyn FnMut(Header<'a>));
}

/// The messages that one poll handed over: the unit that travels.
pub struct Chunk {
    records: Box<dyn Records>,
    spans: Vec<Span>,
    bytes: usize,
    condemned: Option<RequestError>,
}

/// The consecutive records of one partition within a chunk, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where they come from.
    pub source: Source,
    /// Offset of the first one.
    pub first: i64,
    /// Offset after the last one: what a commit would say.
    pub next: i64,
}

/// A partition of a request topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// Index of the topic among the worker's request topics.
    pub topic: usize,
    /// The partition.
    pub partition: i32,
}

impl Chunk {
    /// What a record costs in memory beside its key and value: the client's bookkeeping on both sides and the answer's.
    const RECORD_OVERHEAD: usize = 512;

    /// A chunk of `records`.
    pub fn new(records: Box<dyn Records>) -> Self {
        let mut spans: Vec<Span> = Vec::new();
        let mut bytes = 0;
        let mut last = 0;
        for index in 0..records.len() {
            let message = records.message(index);
            bytes +=
                message.key.map_or(0, <[u8]>::len) + message.payload.map_or(0, <[u8]>::len) + Self::RECORD_OVERHEAD;
            let source = Source { topic: message.topic, partition: message.partition };
            // Neighbours mostly share their partition: look there first.
            if spans.get(last).is_none_or(|span| span.source != source) {
                last = spans.iter().position(|span| span.source == source).unwrap_or(spans.len());
            }
            match spans.get_mut(last) {
                Some(span) => span.next = message.offset + 1,
                None => spans.push(Span { source, first: message.offset, next: message.offset + 1 }),
            }
        }
        Self { records, spans, bytes, condemned: None }
    }

    /// The same, not to be run: its messages are answered with this and kept as dead letters.
    #[must_use]
    pub fn condemn(self, why: RequestError) -> Self {
        Self { condemned: Some(why), ..self }
    }

    /// Why it is not to be run.
    pub fn condemned(&self) -> Option<&RequestError> {
        self.condemned.as_ref()
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What the chunk counts against the bound of bytes in flight.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Which offsets of which partitions it holds.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The message at `index`.
    pub fn message(&self, index: usize) -> Message<'_> {
        self.records.message(index)
    }

    /// Shows the headers of the message at `index`, in order.
    pub fn headers<'a>(&'a self, index: usize, each: &mut dyn FnMut(Header<'a>)) {
        self.records.headers(index, each);
    }

    /// The records as what they are, for the client that fetched them.
    pub fn records<T: Records>(&self) -> Option<&T> {
        let records: &dyn Any = &*self.records;
        records.downcast_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::{memory::MemoryRecords, *};

    #[test]
    fn a_chunk_knows_its_offsets_by_partition() {
        let mut records = MemoryRecords::default();
        for (partition, offset) in [(0, 5), (0, 6), (1, 40), (0, 9)] {
            records.push(partition, offset, b"{}");
        }
        let chunk = Chunk::new(Box::new(records));
        let spans: Vec<_> = chunk.spans().iter().map(|span| (span.source.partition, span.first, span.next)).collect();
        assert_eq!(spans, [(0, 5, 10), (1, 40, 41)]);
    }
}
