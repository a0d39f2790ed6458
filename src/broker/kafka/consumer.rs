//! Takes chunks from the request topics and commits what has been acknowledged.
//!
//! One thread does all of it: it serves the group (rebalances, errors, commits) and takes records in batches from a queue of
//! their own, so that neither waits for inference. At the bound of what may be in flight it stops taking, and the client
//! stops fetching when its own queue is full; the group is served all the same. (Pausing the partitions instead would throw
//! away what the client has fetched already.)
//!
//! Guarantee: an offset is committed only when it and all before it are acknowledged ([`crate::broker::offsets::Offsets`]), and only while its
//! partition is ours. On revoke, work on the partition is waited for within [`ConsumerOptions::drain_timeout`] and committed.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata},
    error::KafkaError,
    message::{Headers, Message as _},
};

use super::{
    context::{ClientLog, FatalError, Reach},
    group::{Context, State},
    hunt::{Hunt, Memory},
    native::{Batch, DataQueue, NativeRecords, events_waiting},
    ticket::Ticket,
};
use crate::{
    broker::{
        Chunk, Source,
        budget::{Budget, Load},
        memory::{MemoryRecord, MemoryRecords},
    },
    error::WorkerError,
    metrics::{KafkaClient, RebalanceEvent},
};

/// How long the thread sleeps for the first record of a chunk; it wakes at once when one comes.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// How long it sleeps at the bound of what may be in flight, before it looks after the group again.
const BUSY_WAIT: Duration = Duration::from_millis(50);

/// While the end of work is waited for, those who hold answers back are told this often that somebody waits.
pub(super) const HURRY: Duration = Duration::from_millis(10);

/// The group is served at least this often; not with every chunk, which would cost a lone request its price.
const SERVE_GROUP: Duration = Duration::from_millis(20);

/// Lag, and the forwarding of partition queues, are looked after this often.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long the group's word is waited for when this member leaves.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// How many records one call takes while nothing is known of their size.
const FIRST_TAKE: usize = 64;

/// How the consumer behaves.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// The request topics; a message names its topic by index.
    pub topics: Vec<String>,
    /// The most a chunk holds.
    pub chunk: Load,
    /// The most that is in flight.
    pub in_flight: Load,
    /// How often acknowledged offsets are committed; `None` if that is done with the answers, in their transactions.
    pub commit_interval: Option<Duration>,
    /// How long work on revoked partitions is waited for, unless the worker stops earlier.
    pub drain_timeout: Duration,
}

/// What the consumer tells its surroundings.
pub trait ConsumerEvents: Send + Sync {
    /// A chunk to work on. Must not block, nor take longer than a moment: the ticket is to be acknowledged when every request is
    /// answered.
    fn chunk(&self, chunk: Chunk, ticket: Ticket);
    /// A rebalance, and the partitions owned after it.
    fn rebalanced(&self, event: RebalanceEvent, partitions: usize);
    /// Nothing is in flight.
    fn idle(&self);
    /// A commit was sent, and the broker took it or not.
    fn committed(&self, ok: bool);
    /// Records behind the end of a partition that are not finished.
    fn lag(&self, topic: &str, partition: i32, records: i64);
    /// Somebody waits for the acknowledgement of what is finished. Must not block.
    fn hurry(&self);
    /// A partition is ours no more: its series end.
    fn forget(&self, topic: &str, partition: i32);
}

/// Stops the consumer, from any thread.
#[derive(Clone)]
pub struct Stopper(Arc<State>);

impl Stopper {
    /// No more chunks are taken; the loop waits up to `patience` for those in flight, commits, leaves the group and ends.
    pub fn stop(&self, patience: Duration) {
        self.0.stop.get_or_init(|| Instant::now() + patience);
    }

    /// Resolves when the client has failed for good.
    pub async fn failed(&self) -> WorkerError {
        self.0.fatal.wait().await
    }
}

/// What the broker knows a member of the group by, as it is now; `None` if it has left.
pub type Membership = Box<dyn Fn() -> Option<ConsumerGroupMetadata> + Send + Sync>;

/// A member of the consumer group.
pub struct KafkaConsumer {
    // Before the client: it may hold records of the client's.
    pub(super) hunt: Hunt,
    pub(super) client: Arc<BaseConsumer<Context>>,
    queue: DataQueue,
    pub(super) budget: Arc<Budget>,
}

impl KafkaConsumer {
    /// Joins the group when [`Self::run`] begins; `memory` is of its former life, `reach` what it shares with the producer.
    ///
    /// # Errors
    /// If the client refuses its configuration or a topic's name.
    pub fn new(
        config: &ClientConfig,
        options: ConsumerOptions,
        events: Arc<dyn ConsumerEvents>,
        memory: Memory,
        reach: Arc<Reach>,
    ) -> Result<Self, KafkaError> {
        let fatal = Arc::new(FatalError::default());
        let state = Arc::new(State { fatal: Arc::clone(&fatal), ..State::default() });
        let budget = Budget::new(options.in_flight);
        let topics = options.topics.clone();
        let context = Context {
            log: ClientLog::new(KafkaClient::Consumer, fatal, reach),
            state,
            options,
            events,
            forwarding: OnceLock::new(),
        };
        let client: Arc<BaseConsumer<Context>> = Arc::new(config.create_with_context(context)?);
        let queue = DataQueue::new(&client, &topics);
        client.context().forwarding.get_or_init(|| queue.forwarding());
        Ok(Self { hunt: Hunt::new(memory), client, queue, budget })
    }

    /// A handle that stops the loop.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.context().state))
    }

    /// What a transaction says of this member, so that the broker knows it from its successors.
    pub fn membership(&self) -> Membership {
        let client = Arc::downgrade(&self.client);
        Box::new(move || client.upgrade()?.group_metadata())
    }

    /// The bound on what is in flight, for metrics.
    pub fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }

    /// Takes chunks until it is stopped, then waits for those in flight, commits and leaves. Blocks its thread.
    ///
    /// # Errors
    /// If the subscription is refused.
    pub fn run(mut self) -> Result<Drained, KafkaError> {
        let context = Arc::clone(self.context());
        let names: Vec<&str> = context.options.topics.iter().map(String::as_str).collect();
        self.client.subscribe(&names)?;
        let mut served = Instant::now();
        let mut committed = Instant::now();
        let mut kept = Instant::now();
        let mut batch = Batch::default();
        let by = loop {
            if let Some(by) = context.state.stop.get() {
                break *by;
            }
            let took_nothing = if self.hunt.is_on() { self.hunt() } else { self.take_chunk(&mut batch) };
            let now = Instant::now();
            if took_nothing || now - served >= SERVE_GROUP {
                self.serve_group();
                served = now;
            }
            if context.options.commit_interval.is_some_and(|interval| now - committed >= interval) {
                context.commit(&self.client, CommitMode::Async);
                committed = now;
            }
            if now - kept >= HOUSEKEEPING {
                self.keep_house();
                kept = now;
            }
        };
        let drained = self.drain(by);
        if !drained.complete {
            self.leave();
        }
        Ok(drained)
    }

    /// Hands on one chunk, if there is room for it and it comes within a short wait. Says whether none did.
    fn take_chunk(&mut self, batch: &mut Batch) -> bool {
        self.fill(batch);
        if batch.is_empty() {
            return true;
        }
        let chunk = Chunk::new(Box::new(self.queue.records(batch)));
        self.hand_on(chunk);
        false
    }

    /// What is free of what may be in flight, after a short wait for anything.
    pub(super) fn room(&self) -> Option<Load> {
        self.budget.wait_for_room(BUSY_WAIT)
    }

    /// Takes what one chunk may hold, if there is room for it, waiting shortly for the first record.
    pub(super) fn fill(&mut self, batch: &mut Batch) {
        let Some(room) = self.room() else { return };
        let most = self.context().options.chunk;
        let (most_messages, most_bytes) = (most.messages.min(room.messages), most.bytes.min(room.bytes));
        // Wait for one record, then drain without waiting: a call that waits does so until it has all it was asked for.
        if self.queue.take(batch, 1, IDLE_WAIT) > 0 {
            while batch.len() < most_messages && batch.bytes < most_bytes {
                let record = batch.bytes / batch.len().max(1) + 1;
                let by_bytes = ((most_bytes - batch.bytes) / record).max(1);
                // The first records say how large the others will be; few are enough to ask for.
                let most = if batch.len() < FIRST_TAKE { FIRST_TAKE } else { by_bytes };
                if self.queue.take(batch, most.min(by_bytes).min(most_messages - batch.len()), Duration::ZERO) == 0 {
                    break;
                }
            }
        }
        self.report_errors(batch);
        self.confirm(batch);
    }

    /// The first records of a batch, which keeps the others.
    pub(super) fn first_of(&self, batch: &mut Batch, count: usize) -> NativeRecords {
        self.queue.first_records(batch, count)
    }

    pub(super) fn hand_on(&self, chunk: Chunk) {
        let context = self.context();
        // Who sends headers mostly does it always; the first message stands for all.
        let mut has_headers = false;
        chunk.headers(0, &mut |_| has_headers = true);
        let permit = self.budget.charge(Load { bytes: chunk.bytes(), messages: chunk.len() }, has_headers);
        let taken = context.state.offsets.lock().take(chunk.spans());
        let noted = self.hunt.journal().map(|journal| (Arc::clone(journal), journal.begin(&chunk)));
        context.events.chunk(chunk, Ticket::new(taken, Arc::clone(&context.state), permit, noted));
    }

    fn report_errors(&self, batch: &mut Batch) {
        for (code, text) in batch.errors.drain(..) {
            self.context().log.error(&KafkaError::MessageConsumption(code), &text);
        }
    }

    /// Serves rebalances, errors and commit results. Records come through the other queue; one that strayed into this one
    /// is a chunk of its own.
    fn serve_group(&mut self) {
        let mut strays = Vec::new();
        // One event a call; those that come meanwhile are served the next time.
        for _ in 0..=events_waiting(&self.client) {
            match self.client.poll(Duration::ZERO) {
                None => {}
                Some(Ok(message)) => {
                    let topics = &self.context().options.topics;
                    let topic = topics.iter().position(|topic| topic == message.topic());
                    strays.extend(topic.map(|topic| owned(&message, topic)));
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    self.context().state.fatal.tell_of_client(code.to_string());
                }
                // Told through the context already.
                Some(Err(_)) => {}
            }
        }
        strays.into_iter().for_each(|stray| self.hand_on_stray(stray));
    }

    fn hand_on_stray(&mut self, stray: MemoryRecord) {
        let source = Source { topic: stray.topic, partition: stray.partition };
        if self.is_unsure(source) {
            // It comes again.
            self.hold_back(source);
        } else if self.hunt.is_on() {
            let under = self.context().state.offsets.lock().assignment(source);
            self.hunt.hold(stray, under);
        } else {
            self.hand_on(Chunk::new(Box::new(MemoryRecords(vec![stray]))));
        }
    }

    fn keep_house(&mut self) {
        self.hunt.keep_house();
        self.seek_places();
        let context = self.context();
        let owned: Vec<_> = context.state.offsets.lock().finished().collect();
        if self.budget.used() == Load::default() {
            context.events.idle();
        }
        for (source, done) in owned {
            let topic = &context.options.topics[source.topic];
            context.forward(source);
            if let (Some(done), Some(end)) = (done, self.queue.high_watermark(topic, source.partition)) {
                context.events.lag(topic, source.partition, (end - done).max(0));
            }
        }
    }

    /// Waits for what is in flight, still serving the group, and commits.
    fn drain(&mut self, deadline: Instant) -> Drained {
        let context = Arc::clone(self.context());
        let drained = loop {
            let mut offsets = context.state.offsets.lock();
            if !offsets.is_any_busy() {
                break true;
            }
            if Instant::now() >= deadline {
                break false;
            }
            context.events.hurry();
            context.state.acked.wait_for(&mut offsets, HURRY);
            drop(offsets);
            self.serve_group();
        };
        context.commit(&self.client, CommitMode::Sync);
        Drained { complete: drained }
    }

    /// Tells the group that this member goes, so that the others do not wait until its session times out. The client does
    /// that itself when it is dropped, but here records in flight keep it alive.
    fn leave(&self) {
        let by = Instant::now() + FAREWELL;
        // A client that has failed for good has nothing to say.
        if self.client.close_queue().is_ok() {
            while !self.client.closed() && Instant::now() < by {
                self.client.poll(HURRY);
            }
            // Its drop would close it once more, and complain.
            std::mem::forget(Arc::clone(&self.client));
        }
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        self.client.context()
    }
}

/// How the consumer ended.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Whether everything in flight was finished in time; if not, a successor does the rest again.
    pub complete: bool,
}

fn owned(message: &rdkafka::message::BorrowedMessage<'_>, topic: usize) -> MemoryRecord {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    MemoryRecord {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
    }
}
