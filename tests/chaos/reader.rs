//! The client's reading half: sees every request and every committed answer as they stand in their topics, and keeps the ledger.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use super::ledger::Ledger;

const POLL: Duration = Duration::from_millis(50);

/// The topics of a run; both have as many partitions.
#[derive(Clone, Debug)]
pub struct Topics {
    pub requests: String,
    pub results: String,
    pub partitions: i32,
}

/// A thread that reads.
pub struct Reader {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Reader {
    /// Reads both topics from their beginning; times in the ledger count from `began`.
    pub fn start(brokers: &str, topics: Topics, began: Instant) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "chaos-reader").set("enable.auto.commit", "false");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        // Where a log was cut short, something acknowledged is gone: then nothing that is counted here means anything.
        config.set("auto.offset.reset", "error").set("fetch.wait.max.ms", "50").set("log_level", "0");
        let consumer = config.create_with_context(Silent).expect("it is in order");
        let (ledger, stop) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
        let partitions = |topic: &String| (0..topics.partitions).map(|id| ((topic.clone(), id), 0)).collect::<Vec<_>>();
        let next = [&topics.requests, &topics.results].into_iter().flat_map(partitions).collect();
        let reading = Reading { consumer, topics, next, ledger: Arc::clone(&ledger), began };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || reading.run(&stopped));
        Self { ledger, stop, thread: Some(thread) }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it could not go on: what is amiss is told by [`Self::finish`].
    pub fn has_failed(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Reads to the end of both topics, to which nobody writes any more, and stops.
    ///
    /// # Errors
    /// If they could not be read to their end.
    pub fn finish(&mut self) -> Result<(), String> {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err("the reader panicked".to_owned()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

struct Reading {
    consumer: BaseConsumer<Silent>,
    topics: Topics,
    /// For each partition the offset that comes next.
    next: BTreeMap<(String, i32), i64>,
    ledger: Arc<Mutex<Ledger>>,
    began: Instant,
}

impl Reading {
    fn run(mut self, stop: &AtomicBool) -> Result<(), String> {
        self.assign()?;
        while !stop.load(Ordering::Acquire) {
            self.read()?;
        }
        // The end of a partition is told once. So everything is taken up again from where it stands, and then each of them tells.
        self.assign()?;
        let deadline = Instant::now() + super::cluster::PATIENCE;
        let mut left = self.next.len();
        while left > 0 {
            if self.read()? {
                left -= 1;
            }
            if Instant::now() > deadline {
                return Err(format!("the ends of {left} partitions could not be read"));
            }
        }
        Ok(())
    }

    fn assign(&self) -> Result<(), String> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in &self.next {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("a plain offset");
        }
        self.consumer.assign(&list).map_err(|error| error.to_string())
    }

    /// Reads one record; says whether a partition came to its end.
    fn read(&mut self) -> Result<bool, String> {
        match self.consumer.poll(POLL) {
            Some(Ok(message)) => {
                let next = self.next.get_mut(&(message.topic().to_owned(), message.partition()));
                let next = next.expect("only these are assigned");
                // A client may be handed a record again when a partition's leader changes; it is the same record.
                if message.offset() >= *next {
                    *next = message.offset() + 1;
                    note(&message, &self.topics, self.began, &self.ledger);
                }
                Ok(false)
            }
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(true),
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                Err("a partition is shorter than it was: Kafka lost records that it had acknowledged".to_owned())
            }
            // Brokers come and go.
            Some(Err(_)) | None => Ok(false),
        }
    }
}

fn note(message: &BorrowedMessage<'_>, topics: &Topics, began: Instant, ledger: &Mutex<Ledger>) {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let body = text(message.payload());
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    if message.topic() == topics.requests {
        let id = body.strip_prefix(r#"{"id":""#).and_then(|rest| rest.split_once('"')).map_or("", |(id, _)| id);
        ledger.asked(id, message.partition(), message.offset());
    } else {
        let now = u32::try_from(began.elapsed().as_millis()).expect("a run is shorter than a month");
        ledger.answered(&text(message.key()), &body, now);
    }
}

/// Says nothing of brokers that come and go.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Silent {}
