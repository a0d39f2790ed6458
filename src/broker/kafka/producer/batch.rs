//! Records on their way: who owns their bytes until the broker's word on the last of them, and who is told.

use std::{
    collections::HashMap,
    ffi::c_void,
    ops::Range,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{DeliveryResult, ProducerContext},
    util::IntoOpaque,
};
use tokio::sync::oneshot;

use crate::broker::{
    Answers, Chunk, Placement,
    kafka::{
        context::{ClientLog, log_through},
        native::{Outgoing, Partitions, Place},
    },
};

/// Why a record was not delivered, by its index.
pub(super) type Refused = (usize, RDKafkaErrorCode);

/// Records on their way to the broker. Every record's delivery report carries a pointer to its slot; together the reports own
/// one reference, which the last one gives back.
pub(super) struct Batch {
    pub answers: Arc<Answers>,
    /// One for each of the answers.
    slots: Box<[Slot]>,
    remaining: AtomicUsize,
    pub refused: Mutex<Vec<Refused>>,
    /// Whether some of them go to reply topics.
    pub has_replies: AtomicBool,
    settled: Mutex<Option<oneshot::Sender<()>>>,
    reports: Mutex<Option<Arc<Batch>>>,
}

/// What a delivery report points to: where it stands among the others says which record the report is about.
struct Slot(*const Batch);

// SAFETY: the pointer is only followed by delivery reports, and a batch may be shared between threads.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Batch {
    /// For `count` of the answers.
    pub fn new(answers: &Arc<Answers>, count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let batch = Arc::new_cyclic(|this: &Weak<Self>| Self {
            slots: answers.entries.iter().map(|_| Slot(this.as_ptr())).collect(),
            remaining: AtomicUsize::new(count),
            refused: Mutex::default(),
            has_replies: AtomicBool::new(false),
            settled: Mutex::new(Some(sender)),
            reports: Mutex::default(),
            answers: Arc::clone(answers),
        });
        *batch.reports.lock() = Some(Arc::clone(&batch));
        (batch, receiver)
    }

    /// The record at `index`, which answers a message of `chunk`.
    pub fn outgoing(&self, chunk: &Chunk, index: usize) -> Outgoing<'_> {
        let answer = &self.answers.entries[index];
        let (key, value) = self.bytes_of(index);
        let place = match answer.placement {
            Placement::Key => Place::Key,
            Placement::RequestKey => chunk.message(answer.message).key.map_or(Place::Key, Place::like),
            Placement::RequestPartition => Place::Modulo(chunk.message(answer.message).partition.unsigned_abs()),
            Placement::Exactly(partition) => Place::Exactly(partition.unsigned_abs()),
        };
        Outgoing { key, value, place, opaque: (&raw const self.slots[index]).cast_mut().cast() }
    }

    /// The key and value of the record at `index`.
    fn bytes_of(&self, index: usize) -> (Option<&[u8]>, Option<&[u8]>) {
        let answer = &self.answers.entries[index];
        let bytes = |range: &Option<Range<usize>>| Some(self.answers.bytes(range.as_ref()?));
        (bytes(&answer.key), bytes(&answer.value))
    }

    /// One record has its verdict; the last one tells whoever waits, and gives the reports' reference to the caller, who
    /// drops it when nothing borrows the batch any more.
    pub fn settle(&self, refused: Option<Refused>) -> Option<Arc<Self>> {
        if let Some(refused) = refused {
            self.refused.lock().push(refused);
        }
        if self.remaining.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        let reports = self.reports.lock().take();
        if let Some(waiting) = self.settled.lock().take() {
            // Nobody waits any more if the worker is stopping: then the chunk is simply not committed.
            let _gone = waiting.send(());
        }
        reports
    }
}

/// A delivery report's pointer to the slot of its record.
pub(super) struct Token(*const Slot);

// SAFETY: a batch may be shared between threads, and lives with its slots until its last report.
unsafe impl Send for Token {}
// SAFETY: as above.
unsafe impl Sync for Token {}

impl Token {
    /// The batch, and the index of the record among its answers.
    ///
    /// # Safety
    /// The batch has not had its last report.
    unsafe fn record(&self) -> (&Batch, usize) {
        // SAFETY: the slot is one of a batch that lives, as the caller says.
        unsafe {
            let batch = &*(*self.0).0;
            let index = self.0.offset_from_unsigned(batch.slots.as_ptr());
            (batch, index)
        }
    }
}

impl IntoOpaque for Token {
    fn into_ptr(self) -> *mut c_void {
        self.0.cast_mut().cast()
    }

    unsafe fn from_ptr(pointer: *mut c_void) -> Self {
        Self(pointer.cast_const().cast())
    }
}

pub(super) struct Context {
    pub log: ClientLog,
    /// The topics whose records are sorted by partition.
    pub partitions: OnceLock<HashMap<String, Arc<Partitions>>>,
}

log_through!(Context, |context: &Self, statistics: &rdkafka::Statistics| context.count_partitions(statistics));

impl Context {
    /// A topic may have got more partitions since.
    fn count_partitions(&self, statistics: &rdkafka::Statistics) {
        for (name, partitions) in self.partitions.get().into_iter().flatten() {
            let known =
                statistics.topics.get(name).map_or(0, |topic| topic.partitions.keys().filter(|id| **id >= 0).count());
            if known > 0 {
                partitions.set(known);
            }
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Token;

    fn delivery(&self, result: &DeliveryResult<'_>, token: Token) {
        // SAFETY: every record was produced with a pointer to its slot in a batch that lives until its last report: this one
        // at most.
        let (batch, index) = unsafe { token.record() };
        let refused = match result {
            Ok(_) => {
                self.log.reached();
                None
            }
            Err((error, _)) => Some((index, error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))),
        };
        drop(batch.settle(refused));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Answer;

    #[test]
    fn of_records_that_are_alike_a_report_is_about_its_own() {
        let mut answers = Answers::default();
        let bytes = answers.push_bytes(b"the same");
        let alike = |message| Answer {
            topic: 0,
            placement: Placement::Key,
            message,
            key: Some(bytes.clone()),
            value: Some(bytes.clone()),
            headers: None,
        };
        answers.entries = (0..3).map(alike).collect();
        let (batch, _settled) = Batch::new(&Arc::new(answers), 3);
        let chunk = Chunk::new(Box::new(crate::broker::memory::MemoryRecords::default()));
        for index in 0..3 {
            // SAFETY: no report has come yet.
            let token = unsafe { Token::from_ptr(batch.outgoing(&chunk, index).opaque) };
            // SAFETY: as above.
            let (found, of) = unsafe { token.record() };
            assert!(std::ptr::eq(found, Arc::as_ptr(&batch)) && of == index);
        }
        (0..3).for_each(|_| drop(batch.settle(None)));
    }
}
