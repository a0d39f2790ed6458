//! Records that were never in a broker: read from files, or made by a test.

use super::{Header, Message, Records};

/// One owned record.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecord {
    pub topic: usize,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Owned records, as a chunk's memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecords(pub Vec<MemoryRecord>);

impl MemoryRecords {
    /// Adds a bare record of topic 0.
    pub fn push(&mut self, partition: i32, offset: i64, payload: &[u8]) {
        self.0.push(MemoryRecord { partition, offset, payload: Some(payload.to_vec()), ..MemoryRecord::default() });
    }
}

impl MemoryRecord {
    /// The record as a message.
    pub fn message(&self) -> Message<'_> {
        Message {
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
        }
    }
}

impl Records for MemoryRecords {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn message(&self, index: usize) -> Message<'_> {
        self.0[index].message()
    }

    fn headers<'a>(&'a self, index: usize, each: &mut dyn FnMut(Header<'a>)) {
        for (name, value) in &self.0[index].headers {
            each(Header { name: name.as_bytes(), value: value.as_deref() });
        }
    }
}
