//! The client's writing half: numbered requests at a steady rate over all partitions, whatever becomes of the brokers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};

use super::{ledger::Ledger, random::Random};

/// How long the sender sleeps between two looks at the clock.
const TICK: Duration = Duration::from_millis(5);

/// A request that differs from the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra {
    /// How long the model takes for it, in turns of a few microseconds.
    pub spins: u32,
    /// How far its timestamp is off.
    pub hours: i64,
}

/// What the sender and those who watch it share.
#[derive(Default)]
pub struct Progress {
    stop: AtomicBool,
    sent: AtomicUsize,
    delivered: AtomicUsize,
    refused: Mutex<Vec<String>>,
    extra: Mutex<Vec<Extra>>,
}

/// A thread that sends.
pub struct Sender {
    pub progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// How many requests were given to the client library.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Acquire)
    }

    /// How many of them the brokers have acknowledged.
    pub fn delivered(&self) -> usize {
        self.delivered.load(Ordering::Acquire)
    }

    /// Those that Kafka did not take, and why.
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap().clone()
    }

    /// To be sent next.
    pub fn send(&self, extra: impl IntoIterator<Item = Extra>) {
        self.extra.lock().unwrap().extend(extra);
    }
}

impl Sender {
    /// Sends `rate` requests a second to `topic` from now on.
    pub fn start(brokers: &str, topic: &str, partitions: i32, rate: f64, seed: u64) -> Self {
        let progress = Arc::<Progress>::default();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("linger.ms", "5");
        config.set("message.timeout.ms", "0").set("queue.buffering.max.messages", "2000000").set("log_level", "0");
        let context = Context(Arc::clone(&progress));
        let producer: ThreadedProducer<Context> = config.create_with_context(context).expect("it is in order");
        let writing = Writing {
            producer,
            topic: topic.to_owned(),
            partitions: usize::try_from(partitions).expect("a positive number"),
            random: Random::new(seed),
            next: 0,
        };
        let shared = Arc::clone(&progress);
        let thread = thread::spawn(move || writing.run(rate, &shared));
        Self { progress, thread: Some(thread) }
    }

    /// Sends no more, and waits until the brokers have everything.
    pub fn finish(&mut self) {
        self.progress.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the sender has no reason to panic");
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::Release);
    }
}

struct Writing {
    producer: ThreadedProducer<Context>,
    topic: String,
    partitions: usize,
    random: Random,
    next: usize,
}

impl Writing {
    fn run(mut self, rate: f64, progress: &Progress) {
        let began = Instant::now();
        let mut plain = 0;
        while !progress.stop.load(Ordering::Acquire) {
            let due = (began.elapsed().as_secs_f64() * rate) as usize;
            for _ in plain..due {
                self.send(Extra::default());
            }
            plain = plain.max(due);
            let extra = std::mem::take(&mut *progress.extra.lock().unwrap());
            extra.into_iter().for_each(|extra| self.send(extra));
            progress.sent.store(self.next, Ordering::Release);
            thread::sleep(TICK);
        }
        // What does not come through within this time is missing in the account.
        drop(self.producer.flush(super::cluster::PATIENCE));
    }

    fn send(&mut self, Extra { spins, hours }: Extra) {
        let number = self.next;
        self.next += 1;
        let id = Ledger::id(number, hours < 0);
        let body = format!(
            r#"{{"id":"{id}","inputs":[{{"name":"x","datatype":"INT64","shape":[1,1],"data":[{number}]}},{{"name":"spins","datatype":"INT64","shape":[1,1],"data":[{spins}]}}]}}"#
        );
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(since.as_millis()).expect("not in this geological age") + hours * 3_600_000;
        let partition = i32::try_from(self.random.below(self.partitions)).expect("few partitions");
        let mut record = BaseRecord::<(), _>::to(&self.topic).partition(partition).payload(&body).timestamp(time);
        while let Err((error, again)) = self.producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "nothing else is passing");
            thread::sleep(TICK);
            record = again;
        }
    }
}

/// Counts what the brokers acknowledge.
struct Context(Arc<Progress>);

impl ClientContext for Context {
    // Brokers come and go here; what the library says of it helps nobody.
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.0.delivered.fetch_add(1, Ordering::AcqRel)),
            Err((error, _)) => self.0.refused.lock().unwrap().push(error.to_string()),
        }
    }
}
