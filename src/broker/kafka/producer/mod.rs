//! Publishes answers and says when the broker has acknowledged them.
//!
//! Guarantee: [`KafkaProducer::publish`] returns only when the broker has acknowledged (`acks=all`, idempotent) or refused
//! every record it was given. Payloads are sent from the buffer that they were written into; it is kept until the last
//! delivery report. Records go to the partition that a Java producer would choose (murmur2 of the key).

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _},
};
use tokio::sync::{RwLock, oneshot};

use super::{
    context::{ClientLog, FatalError, Reach},
    native::OutputTopic,
    replies::ReplyTopics,
    reports::DeliveryReports,
};
use crate::{
    broker::{Answer, Answers, Chunk, replies::Replies},
    error::WorkerError,
    metrics::KafkaClient,
};
use batch::{Batch, Context, Refused};
use offer::offer;

mod batch;
mod offer;
pub mod transaction;

/// How long to wait before records are offered again that did not fit into the client's queue.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// How long answers may be on their way before their reply topics are looked at.
const LONG: Duration = Duration::from_secs(5);

/// An idempotent producer with a thread that serves its delivery reports.
pub struct KafkaProducer {
    client: Arc<BaseProducer<Context>>,
    /// Those that the configuration names.
    topics: Vec<(String, OutputTopic)>,
    /// Those that requests ask for; their indices come after.
    replies: Arc<ReplyTopics<Context>>,
    fatal: Arc<FatalError>,
    /// Held by all who send; alone by those who must send alone.
    company: RwLock<()>,
    _reports: DeliveryReports,
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
        let reports = DeliveryReports::serve(Arc::clone(&producer))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        let replies = ReplyTopics::new(Arc::clone(&producer), handles.len());
        Ok(Self { client: producer, topics: handles, replies, fatal, company: RwLock::default(), _reports: reports })
    }

    /// Waits until it is known whether the topics are there that a chunk asks for, or until `until`.
    pub async fn seek(&self, replies: &Replies, until: Instant) {
        self.replies.settled(replies, until).await;
    }

    /// The same for what is known without waiting; the rest is looked up for those who wait until `until`. Says whether there
    /// is a rest.
    pub fn seek_now(&self, replies: &Replies, until: Instant) -> bool {
        self.replies.settle(replies, until)
    }

    /// Resolves when the client has failed for good.
    pub async fn failed(&self) -> WorkerError {
        self.fatal.wait().await
    }

    /// Publishes records and waits for the broker's word on each of them. Returns those that are larger than their topics
    /// allow, or that a reply topic does not take; everything else was acknowledged.
    ///
    /// # Errors
    /// If a record was neither acknowledged nor refused for what it is: its chunk must not be committed.
    pub async fn publish(&self, chunk: &Chunk, answers: &Arc<Answers>) -> Result<Vec<Answer>, WorkerError> {
        let refused = {
            let _company = self.company.read().await;
            self.hand_over(chunk, answers).await.settled().await?
        };
        let too_large = if refused.is_empty() { refused } else { self.halve(chunk, answers, refused).await? };
        Ok(answers.select(&too_large))
    }

    /// The broker refuses a batch as a whole if it is larger than a record of its topic may be, however small the records
    /// are. So what was refused is sent again in halves, with nothing else under way that could join it; what is refused
    /// alone is too large.
    pub async fn halve(
        &self,
        chunk: &Chunk,
        answers: &Arc<Answers>,
        refused: Vec<usize>,
    ) -> Result<Vec<usize>, WorkerError> {
        let _alone = self.company.write().await;
        let mut halves = Halves::new(refused);
        while let Some(part) = halves.next_part() {
            let refused = self.hand_over_some(chunk, answers, part.clone()).await.settled().await?;
            halves.judge(part, refused);
        }
        Ok(halves.alone())
    }

    /// Hands records to the client, in order, all of them; waits while its queue has no room.
    pub async fn hand_over<'a>(&'a self, chunk: &Chunk, answers: &Arc<Answers>) -> Sent<'a> {
        self.hand_over_some(chunk, answers, (0..answers.entries.len()).collect()).await
    }

    /// The same for those at `indices`.
    pub async fn hand_over_some<'a>(&'a self, chunk: &Chunk, answers: &Arc<Answers>, indices: Vec<usize>) -> Sent<'a> {
        let (batch, settled) = Batch::new(answers, indices.len());
        let settled = (!indices.is_empty()).then_some(settled);
        let mut waiting = indices;
        while !waiting.is_empty() {
            waiting = self.offer(chunk, &batch, &waiting);
            if !waiting.is_empty() {
                tokio::time::sleep(QUEUE_FULL_PAUSE).await;
            }
        }
        Sent { producer: self, batch, settled }
    }

    fn name_of(&self, topic: usize) -> String {
        self.topics.get(topic).map_or_else(|| self.replies.name(topic).to_string(), |(name, _)| name.clone())
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
            let first = entries[run[0]].topic;
            let refused = match self.topics.get(first) {
                Some((_, topic)) => offer(topic, chunk, batch, run, has_headers(&run[0])),
                // One by one: the client knows better than we do which partitions such a topic has.
                None => {
                    batch.has_replies.store(true, Ordering::Relaxed);
                    offer(&self.replies.handle(first), chunk, batch, run, true)
                }
            };
            for (index, error) in refused {
                // A partition that is not there any more is chosen anew, unless a request asked for it.
                let is_chosen = first < self.topics.len() && error == RDKafkaErrorCode::UnknownPartition;
                if error == RDKafkaErrorCode::QueueFull || is_chosen {
                    again.push(index);
                } else {
                    drop(batch.settle(Some((index, error))));
                }
            }
        }
        again
    }
}

/// Records that the client has taken.
pub struct Sent<'a> {
    producer: &'a KafkaProducer,
    batch: Arc<Batch>,
    /// `None` if there are no records.
    settled: Option<oneshot::Receiver<()>>,
}

impl Sent<'_> {
    /// Waits for the broker's word on each of them. Returns the indices of those that are larger than their topics allow, or
    /// were in a batch or an open transaction with one that was, and of those that a reply topic does not take, which is closed then.
    ///
    /// # Errors
    /// If a record was neither acknowledged nor refused for what it is.
    pub async fn settled(mut self) -> Result<Vec<usize>, WorkerError> {
        let Some(mut settled) = self.settled.take() else { return Ok(Vec::new()) };
        let told = if self.batch.has_replies.load(Ordering::Relaxed) {
            loop {
                match tokio::time::timeout(LONG, &mut settled).await {
                    Ok(told) => break told,
                    Err(_) => self.look_again(),
                }
            }
        } else {
            settled.await
        };
        told.map_err(|_| WorkerError::PartEnded("the Kafka producer"))?;
        let refused = std::mem::take(&mut *self.batch.refused.lock());
        let is_itself: Vec<_> = refused.iter().map(|refused| self.is_for_what_it_is(refused)).collect();
        // A record that is refused in a transaction takes those down with it that had not been sent.
        let went_with_it = |error| is_itself.contains(&true) && error == RDKafkaErrorCode::PurgeQueue;
        let wrong = refused.iter().zip(&is_itself).find(|((_, error), itself)| !**itself && !went_with_it(*error));
        match wrong.map(|(refused, _)| refused) {
            Some((index, error)) => {
                let topic = self.producer.name_of(self.batch.answers.entries[*index].topic);
                Err(WorkerError::Undelivered { lost: refused.len(), topic, reason: error.to_string() })
            }
            None => Ok(refused.into_iter().map(|(index, _)| index).collect()),
        }
    }

    /// Has the reply topics of these records looked at: the client waits for a topic that was deleted until it is told so.
    fn look_again(&self) {
        let topics = self.batch.answers.entries.iter().map(|answer| answer.topic);
        let replies: BTreeSet<_> = topics.filter(|topic| *topic >= self.producer.topics.len()).collect();
        replies.into_iter().for_each(|topic| self.producer.replies.look_again(topic));
    }

    /// Whether a record was refused for what it is, so that something else must be said in its place. A reply topic is its
    /// request's choice: that it was deleted, or cannot be written, stops no worker.
    fn is_for_what_it_is(&self, (index, error): &Refused) -> bool {
        let topic = self.batch.answers.entries[*index].topic;
        let closes = topic >= self.producer.topics.len() && is_the_topics(*error);
        if closes {
            self.producer.replies.close(topic, *error);
        }
        closes || *error == RDKafkaErrorCode::MessageSizeTooLarge
    }
}

/// Whether an error says that a topic does not take a record, now or ever: it is not there, may not be written, or has rules of
/// its own. Of a partition that has gone, what the client had not sent yet comes back as `BrokerDestroy` if it is destroyed
/// before it is looked through (`rd_kafka_toppar_destroy_final`).
fn is_the_topics(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        BrokerDestroy, InvalidRecord, InvalidTimestamp, InvalidTopic, PolicyViolation, TopicAuthorizationFailed,
        UnknownPartition, UnknownTopic, UnknownTopicOrPartition, UnsupportedForMessageFormat,
    };
    matches!(
        error,
        BrokerDestroy
            | InvalidRecord
            | InvalidTimestamp
            | InvalidTopic
            | PolicyViolation
            | TopicAuthorizationFailed
            | UnknownPartition
            | UnknownTopic
            | UnknownTopicOrPartition
            | UnsupportedForMessageFormat
    )
}

/// The search for what is refused by itself among records that were refused together.
pub struct Halves {
    parts: Vec<Vec<usize>>,
    alone: Vec<usize>,
}

impl Halves {
    /// A search among these.
    pub fn new(refused: Vec<usize>) -> Self {
        Self { parts: vec![refused], alone: Vec::new() }
    }

    /// What is to be tried next, in the order in which it was refused.
    pub fn next_part(&mut self) -> Option<Vec<usize>> {
        let mut part = self.parts.pop()?;
        if part.len() > 1 {
            self.parts.push(part.split_off(part.len() / 2));
        }
        Some(part)
    }

    /// What was refused of a part that was tried.
    pub fn judge(&mut self, part: Vec<usize>, refused: Vec<usize>) {
        if part.len() == 1 {
            self.alone.extend(refused);
        } else if !refused.is_empty() {
            self.parts.push(refused);
        }
    }

    /// What was refused by itself.
    pub fn alone(self) -> Vec<usize> {
        self.alone
    }
}
