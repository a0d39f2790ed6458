//! Records on their way: who owns their bytes until the broker's word on the last of them, and who is told.

use std::{
    collections::HashMap,
    ffi::c_void,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use rdkafka::{
    error::RDKafkaErrorCode,
    message::{BorrowedMessage, Message as _},
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

/// Records on their way to the broker. Every record's delivery report carries a pointer to it; together the reports own one
/// reference, which the last one gives back.
pub(super) struct Batch {
    pub answers: Arc<Answers>,
    remaining: AtomicUsize,
    pub refused: Mutex<Vec<Refused>>,
    /// Whether some of them go to reply topics.
    pub has_replies: AtomicBool,
    settled: Mutex<Option<oneshot::Sender<()>>>,
    reports: Mutex<Option<Arc<Batch>>>,
}

impl Batch {
    /// For `count` of the answers.
    pub fn new(answers: &Arc<Answers>, count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let batch = Arc::new(Self {
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
        Outgoing { key, value, place }
    }

    /// The key and value of the record at `index`.
    fn bytes_of(&self, index: usize) -> (Option<&[u8]>, Option<&[u8]>) {
        let answer = &self.answers.entries[index];
        let bytes = |range: &Option<Range<usize>>| Some(self.answers.bytes(range.as_ref()?));
        (bytes(&answer.key), bytes(&answer.value))
    }

    pub fn opaque(self: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(self).cast_mut().cast()
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

    /// Which record a refusal is about, by its key and value: the client may have copied both. Of records that are alike, one
    /// is as good as another.
    fn index_of(&self, message: &BorrowedMessage<'_>) -> usize {
        let refused = self.refused.lock();
        let is_it = |index: &usize| {
            let (key, value) = self.bytes_of(*index);
            value == message.payload() && key == message.key() && refused.iter().all(|(before, _)| before != index)
        };
        (0..self.answers.entries.len()).find(is_it).unwrap_or(0)
    }
}

/// A delivery report's pointer to its batch.
pub(super) struct Token(*const Batch);

// SAFETY: a batch may be shared between threads, and lives until its last report.
unsafe impl Send for Token {}
// SAFETY: as above.
unsafe impl Sync for Token {}

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
        // SAFETY: every record was produced with a pointer to its batch, which lives until its last report: this one at most.
        let batch = unsafe { &*token.0 };
        let refused = match result {
            Ok(_) => {
                self.log.reached();
                None
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                Some((batch.index_of(message), code))
            }
        };
        drop(batch.settle(refused));
    }
}
