//! Publishes answers and says when the broker has acknowledged them.
//!
//! Guarantee: [`KafkaProducer::publish`] returns only when the broker has acknowledged (`acks=all`, idempotent) or refused
//! every record it was given. Payloads are sent from the buffer that they were written into; it is kept until the last
//! delivery report. Records go to the partition that a Java producer would choose (murmur2 of the key).

use std::{
    collections::HashMap,
    ffi::c_void,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Message as _},
    producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext},
    util::IntoOpaque,
};
use tokio::sync::{RwLock, oneshot};

use super::{
    context::{ClientLog, FatalError, Reach, log_through},
    native::{HeaderList, NativeRecords, Outgoing, OutputTopic, Partitions},
    reports::DeliveryReports,
};
use crate::{
    broker::{Answer, AnswerHeaders, Answers, Chunk, Copied},
    error::WorkerError,
    metrics::KafkaClient,
};

/// How long to wait before records are offered again that did not fit into the client's queue.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// An idempotent producer with a thread that serves its delivery reports.
pub struct KafkaProducer {
    topics: Vec<(String, OutputTopic)>,
    fatal: Arc<FatalError>,
    /// Held by all who send; alone by those who must send alone.
    company: RwLock<()>,
    _reports: DeliveryReports,
}

/// What became of records.
#[derive(Debug, Default)]
pub struct Published {
    /// Those that are larger than the topic allows; everything else was acknowledged.
    pub too_large: Vec<Answer>,
}

impl KafkaProducer {
    /// A producer for `topics`, the worker's output topics in order; `reach` is what it shares with the consumer.
    ///
    /// # Errors
    /// If the client refuses its configuration.
    pub fn new(config: &ClientConfig, topics: &[String], reach: Arc<Reach>) -> Result<Self, KafkaError> {
        let fatal = Arc::new(FatalError::default());
        let log = ClientLog::new(KafkaClient::Producer, Arc::clone(&fatal), reach);
        let context = Context { log, partitions: OnceLock::new() };
        let producer: Arc<BaseProducer<Context>> = Arc::new(config.create_with_context(context)?);
        let handles = topics
            .iter()
            .map(|topic| {
                Ok((topic.clone(), OutputTopic::new(&producer, topic).map_err(KafkaError::MessageProduction)?))
            })
            .collect::<Result<Vec<_>, KafkaError>>()?;
        // With another partitioner, it is the client that knows.
        if config.get("partitioner").is_some_and(|partitioner| partitioner.starts_with("murmur2")) {
            let partitions = handles.iter().map(|(name, topic)| (name.clone(), topic.ask_partitions())).collect();
            producer.context().partitions.set(partitions).expect("it is set once");
        }
        let reports =
            DeliveryReports::serve(producer).map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { topics: handles, fatal, company: RwLock::default(), _reports: reports })
    }

    /// Resolves when the client has failed for good.
    pub async fn failed(&self) -> WorkerError {
        self.fatal.wait().await
    }

    /// Publishes records and waits for the broker's word on each of them.
    ///
    /// # Errors
    /// If a record was neither acknowledged nor refused for its size: its chunk must not be committed.
    pub async fn publish(&self, chunk: &Chunk, answers: Answers) -> Result<Published, WorkerError> {
        if answers.entries.is_empty() {
            return Ok(Published::default());
        }
        let answers = Arc::new(answers);
        let all: Vec<usize> = (0..answers.entries.len()).collect();
        let refused = {
            let _company = self.company.read().await;
            self.send(chunk, &answers, &all).await?
        };
        let too_large = if refused.is_empty() { refused } else { self.halve(chunk, &answers, refused).await? };
        let too_large = too_large.into_iter().map(|index| answers.entries[index].clone()).collect();
        Ok(Published { too_large })
    }

    /// The broker refuses a batch as a whole if it is larger than a record of its topic may be, however small the records
    /// are. So what was refused is sent again in halves, with nothing else under way that could join it; what is refused
    /// alone is too large.
    async fn halve(
        &self,
        chunk: &Chunk,
        answers: &Arc<Answers>,
        refused: Vec<usize>,
    ) -> Result<Vec<usize>, WorkerError> {
        let _alone = self.company.write().await;
        let (mut parts, mut too_large) = (vec![refused], Vec::new());
        while let Some(mut part) = parts.pop() {
            if part.len() > 1 {
                parts.push(part.split_off(part.len() / 2));
            }
            match self.send(chunk, answers, &part).await? {
                refused if refused.is_empty() => {}
                refused if part.len() == 1 => too_large.extend(refused),
                refused => parts.push(refused),
            }
        }
        Ok(too_large)
    }

    /// Sends records and waits for the broker's word on each; returns those that it refused for their size.
    async fn send(&self, chunk: &Chunk, answers: &Arc<Answers>, indices: &[usize]) -> Result<Vec<usize>, WorkerError> {
        let (batch, settled) = Batch::new(answers, indices.len());
        let mut waiting = indices.to_vec();
        loop {
            waiting = self.offer(chunk, &batch, &waiting);
            if waiting.is_empty() {
                break;
            }
            tokio::time::sleep(QUEUE_FULL_PAUSE).await;
        }
        settled.await.map_err(|_| WorkerError::PartEnded("the Kafka producer"))?;
        self.judge(&batch)
    }

    /// Offers records to the client; returns those for which its queue has no room yet.
    fn offer(&self, chunk: &Chunk, batch: &Arc<Batch>, indices: &[usize]) -> Vec<usize> {
        let entries = &batch.answers.entries;
        let has_headers = |index: &usize| entries[*index].headers.is_some();
        let alike = |left: &usize, right: &usize| {
            entries[*left].topic == entries[*right].topic && has_headers(left) == has_headers(right)
        };
        let mut again = Vec::new();
        for run in indices.chunk_by(alike) {
            let topic = &self.topics[entries[run[0]].topic].1;
            let refused = if has_headers(&run[0]) {
                offer_with_headers(topic, chunk, batch, run)
            } else {
                let records = run.iter().map(|&index| batch.outgoing(index));
                // SAFETY: the batch owns the bytes and lives until its last report.
                let refused = unsafe { topic.produce_batch(records, batch.opaque()) };
                refused.into_iter().map(|(position, error)| (run[position], error)).collect()
            };
            for (index, error) in refused {
                // A partition that is not there any more is chosen anew.
                if matches!(error, RDKafkaErrorCode::QueueFull | RDKafkaErrorCode::UnknownPartition) {
                    again.push(index);
                } else {
                    drop(batch.settle(Some((index, error))));
                }
            }
        }
        again
    }

    fn judge(&self, batch: &Batch) -> Result<Vec<usize>, WorkerError> {
        let refused = std::mem::take(&mut *batch.refused.lock());
        match refused.iter().find(|(_, error)| *error != RDKafkaErrorCode::MessageSizeTooLarge) {
            Some((index, error)) => {
                let topic = self.topics[batch.answers.entries[*index].topic].0.clone();
                Err(WorkerError::Undelivered { lost: refused.len(), topic, reason: error.to_string() })
            }
            None => Ok(refused.into_iter().map(|(index, _)| index).collect()),
        }
    }
}

/// Why a record was not delivered, by its index.
type Refused = (usize, RDKafkaErrorCode);

fn offer_with_headers(topic: &OutputTopic, chunk: &Chunk, batch: &Arc<Batch>, run: &[usize]) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut scratch = Vec::new();
    for (position, &index) in run.iter().enumerate() {
        let answer = &batch.answers.entries[index];
        let headers = headers_of(chunk, &batch.answers, answer, &mut scratch);
        // SAFETY: the batch owns the bytes and lives until its last report.
        let taken = unsafe { topic.produce(batch.outgoing(index), headers, batch.opaque()) };
        match taken {
            Ok(()) => {}
            Err(RDKafkaErrorCode::QueueFull) => {
                refused.extend(run[position..].iter().map(|&index| (index, RDKafkaErrorCode::QueueFull)));
                break;
            }
            Err(error) => refused.push((index, error)),
        }
    }
    refused
}

/// The headers of an answer: those of its request, then ours.
fn headers_of(chunk: &Chunk, answers: &Answers, answer: &Answer, scratch: &mut Vec<u8>) -> HeaderList {
    let Some(AnswerHeaders { copied, own }) = answer.headers else { return HeaderList::with_room(0) };
    let own = &answers.headers[own];
    let theirs = match chunk.records::<NativeRecords>() {
        _ if copied == Copied::None => None,
        // SAFETY: headers are read while a chunk is decoded, which is over when it is answered.
        Some(records) => unsafe { records.take_headers(answer.message) },
        None => {
            let mut list = HeaderList::with_room(own.len());
            chunk.headers(answer.message, &mut |header| list.push(header.name, header.value));
            Some(list)
        }
    };
    let mut headers = theirs.unwrap_or_else(|| HeaderList::with_room(own.len()));
    if copied == Copied::Answer {
        headers.retain(scratch, |name| answers.copied.copies(name));
    }
    own.iter().for_each(|(name, value)| headers.push(name.as_bytes(), Some(value)));
    headers
}

/// Records on their way to the broker. Every record's delivery report carries a pointer to it; together the reports own one
/// reference, which the last one gives back.
struct Batch {
    answers: Arc<Answers>,
    remaining: AtomicUsize,
    refused: Mutex<Vec<Refused>>,
    settled: Mutex<Option<oneshot::Sender<()>>>,
    reports: Mutex<Option<Arc<Batch>>>,
}

impl Batch {
    /// For `count` of the answers.
    fn new(answers: &Arc<Answers>, count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let batch = Arc::new(Self {
            remaining: AtomicUsize::new(count),
            refused: Mutex::default(),
            settled: Mutex::new(Some(sender)),
            reports: Mutex::default(),
            answers: Arc::clone(answers),
        });
        *batch.reports.lock() = Some(Arc::clone(&batch));
        (batch, receiver)
    }

    fn outgoing(&self, index: usize) -> Outgoing<'_> {
        let answer = &self.answers.entries[index];
        Outgoing {
            key: answer.key.as_ref().map(|range| self.answers.bytes(range)),
            value: answer.value.as_ref().map(|range| self.answers.bytes(range)),
        }
    }

    fn opaque(self: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(self).cast_mut().cast()
    }

    /// One record has its verdict; the last one tells whoever waits, and gives the reports' reference to the caller, who
    /// drops it when nothing borrows the batch any more.
    fn settle(&self, refused: Option<Refused>) -> Option<Arc<Self>> {
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
            let Outgoing { key, value } = self.outgoing(*index);
            value == message.payload() && key == message.key() && refused.iter().all(|(before, _)| before != index)
        };
        (0..self.answers.entries.len()).find(is_it).unwrap_or(0)
    }
}

/// A delivery report's pointer to its batch.
struct Token(*const Batch);

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

struct Context {
    log: ClientLog,
    /// The topics whose records are sorted by partition.
    partitions: OnceLock<HashMap<String, Arc<Partitions>>>,
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
