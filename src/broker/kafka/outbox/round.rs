//! One round: chunks in their order, published together and, in a transaction, committed together.
//!
//! A transaction that must be aborted is begun again with what it held, without what was lost meanwhile: the answers are
//! there, nothing needs to be computed again. Its offsets are those of the last chunk of each partition, and a chunk goes only
//! after all before it, so no offset is ever committed before an answer that it covers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Publication, keep_owned, make_up_for,
    rounds::{Finished, Gathering, Shared, TransactionOptions},
};
use crate::{
    broker::{
        Source,
        kafka::producer::{
            Halves, KafkaProducer, Sent,
            transaction::{Position, Setback},
        },
    },
    error::WorkerError,
};

/// A transaction that holds so much of what may be in flight is committed at once: the rest is for the next one.
const FULL: f64 = 0.6;

/// How long to wait before a transaction that was aborted is begun again, the first time; later ones wait longer.
const PAUSE: Duration = Duration::from_millis(50);

/// How much longer a call of the client may take than it was told.
const GRACE: Duration = Duration::from_secs(1);

/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Chunks that go together.
pub(super) struct Round<'a> {
    shared: &'a Shared,
    chunks: Vec<Finished>,
}

/// What became of an attempt to commit.
enum Attempt {
    Committed,
    /// Nothing of it will be seen. For each chunk, the records that were refused for their size.
    Aborted {
        reason: String,
        too_large: Vec<Vec<usize>>,
    },
}

impl<'a> Round<'a> {
    pub fn new(shared: &'a Shared, first: Vec<Finished>) -> Self {
        Self { shared, chunks: first }
    }

    /// Publishes everything and tells those who wait. `gathering` may add to a transaction for as long as it lasts.
    pub async fn go(mut self, gathering: &mut Gathering) -> Result<(), WorkerError> {
        match self.shared.options.transactions {
            None => self.acknowledged().await?,
            Some(options) => self.committed(options, gathering).await?,
        }
        for finished in self.chunks {
            // Nobody waits any more if the worker is stopping.
            let _gone = finished.done.send(());
        }
        Ok(())
    }

    /// Without a transaction: all at once, and then the broker's word on each.
    async fn acknowledged(&mut self) -> Result<(), WorkerError> {
        let producer = &self.shared.producer;
        let mut sent = Vec::with_capacity(self.chunks.len());
        for finished in &mut self.chunks {
            sent.push(hand_over(self.shared, finished).await);
        }
        // All of it first: what is tried by itself must have nothing beside it.
        let mut refused = Vec::with_capacity(sent.len());
        for sent in sent {
            refused.push(sent.settled().await?);
        }
        for (Finished { publication, .. }, refused) in self.chunks.iter().zip(refused) {
            if !refused.is_empty() {
                let Publication { chunk, answers, .. } = publication;
                let too_large = producer.halve(chunk, answers, refused).await?;
                make_up_for(answers.select(&too_large), publication, producer).await?;
            }
        }
        Ok(())
    }

    async fn committed(&mut self, options: TransactionOptions, gathering: &mut Gathering) -> Result<(), WorkerError> {
        let metrics = &self.shared.metrics;
        let mut gathering = Some(gathering);
        let mut pause = PAUSE;
        let begun = Instant::now();
        let mut attempts = vec![0; self.chunks.len()];
        loop {
            // Only the first attempt gathers: what comes later has a transaction of its own.
            match self.attempt(options, gathering.take()).await? {
                Attempt::Committed => {
                    metrics.committed(begun.elapsed());
                    return Ok(());
                }
                Attempt::Aborted { reason, too_large } => {
                    metrics.aborted(begun.elapsed());
                    attempts.resize(self.chunks.len(), 0);
                    if too_large.iter().all(Vec::is_empty) {
                        if begun.elapsed() >= options.patience {
                            return Err(WorkerError::Transaction { call: "commit a transaction", reason });
                        }
                        tracing::warn!(reason, "a transaction was aborted; its answers are sent again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    for ((finished, refused), attempt) in self.chunks.iter_mut().zip(too_large).zip(&mut attempts) {
                        if !refused.is_empty() {
                            replace(self.shared, options, &mut finished.publication, refused, *attempt).await?;
                            *attempt += 1;
                        }
                    }
                }
            }
        }
    }

    /// One transaction, to its end.
    async fn attempt(
        &mut self,
        options: TransactionOptions,
        gathering: Option<&mut Gathering>,
    ) -> Result<Attempt, WorkerError> {
        let shared = self.shared;
        shared.producer.begin()?;
        let mut owned = Vec::new();
        let mut sent = Vec::new();
        for finished in &mut self.chunks {
            owned.push(finished.turn.owned());
            sent.push(hand_over(shared, finished).await);
        }
        if let Some(gathering) = gathering {
            let deadline = Instant::now() + options.interval;
            while share(&self.chunks) < FULL && !gathering.wait(deadline).await {
                self.add(gathering, &mut owned, &mut sent).await;
            }
            self.add(gathering, &mut owned, &mut sent).await;
        }
        let mut too_large = Vec::with_capacity(sent.len());
        let mut failure = None;
        for sent in sent {
            too_large.push(sent.settled().await.unwrap_or_else(|error| {
                failure = Some(error.to_string());
                Vec::new()
            }));
        }
        if failure.is_none() && !too_large.iter().all(Vec::is_empty) {
            failure = Some("a record is larger than its topic allows, or its reply topic does not take it".to_owned());
        }
        let reason = match failure {
            Some(reason) => reason,
            None => match self.commit(options, &owned).await {
                Ok(()) => return Ok(Attempt::Committed),
                Err(Setback::Abort(reason)) => reason,
                Err(Setback::Fatal(error)) => return Err(error),
            },
        };
        match abort(shared, options).await {
            Ok(()) => Ok(Attempt::Aborted { reason, too_large }),
            // What made it necessary says more than what hinders it.
            Err(WorkerError::Transaction { reason: why, .. }) => {
                let reason = format!("{reason}; nor could it be aborted ({why})");
                Err(WorkerError::Transaction { call: "commit a transaction", reason })
            }
            Err(error) => Err(error),
        }
    }

    async fn add<'p>(
        &mut self,
        gathering: &mut Gathering,
        owned: &mut Vec<Vec<(Source, i64)>>,
        sent: &mut Vec<Sent<'p>>,
    ) where
        'a: 'p,
    {
        for mut finished in gathering.next_in_turn() {
            owned.push(finished.turn.owned());
            sent.push(hand_over(self.shared, &mut finished).await);
            self.chunks.push(finished);
        }
    }

    /// Commits what was published while `owned` was ours.
    async fn commit(&self, options: TransactionOptions, owned: &[Vec<(Source, i64)>]) -> Result<(), Setback> {
        let gone = || Setback::Abort("this worker has left its group".to_owned());
        // The membership first: if a partition goes after the look at it, the broker knows this one for an old one.
        let member = self.shared.membership.get().and_then(|membership| membership()).ok_or_else(gone)?;
        if self.chunks.iter().zip(owned).any(|(finished, owned)| finished.turn.owned() != *owned) {
            return Err(Setback::Abort("partitions were lost meanwhile".to_owned()));
        }
        // Chunks stand in their order: the last offset of a partition is the one that counts.
        let offsets: BTreeMap<Source, i64> = owned.iter().flatten().copied().collect();
        let position = |(source, offset): (&Source, &i64)| Position {
            topic: self.shared.options.topics[source.topic].clone(),
            partition: source.partition,
            offset: *offset,
        };
        let positions: Vec<_> = offsets.iter().map(position).collect();
        let commit = move |producer: &KafkaProducer| producer.commit(&positions, &member, options.patience);
        bounded(self.shared, options, "commit a transaction", commit).await.map_err(Setback::Fatal)?
    }
}

/// The part of what may be in flight that these hold.
fn share(chunks: &[Finished]) -> f64 {
    chunks.iter().map(|finished| finished.turn.share()).sum()
}

async fn abort(shared: &Shared, options: TransactionOptions) -> Result<(), WorkerError> {
    let abort = move |producer: &KafkaProducer| producer.abort(options.patience);
    bounded(shared, options, "abort a transaction", abort).await?
}

/// Makes a call of the client on a thread of its own, which is left behind if the call does not come back.
async fn bounded<T: Send + 'static>(
    shared: &Shared,
    options: TransactionOptions,
    call: &'static str,
    make: impl FnOnce(&KafkaProducer) -> T + Send + 'static,
) -> Result<T, WorkerError> {
    let producer = Arc::clone(&shared.producer);
    let made = tokio::task::spawn_blocking(move || make(&producer));
    match tokio::time::timeout(options.patience + GRACE, made).await {
        Ok(made) => made.map_err(|_| WorkerError::PartEnded("a call of the Kafka client")),
        Err(_) => {
            let reason = format!("the broker, or the client, did not answer within {:?}", options.patience);
            Err(WorkerError::Transaction { call, reason })
        }
    }
}

async fn hand_over<'p>(shared: &'p Shared, finished: &mut Finished) -> Sent<'p> {
    keep_owned(&mut finished.publication, &finished.turn);
    let Publication { chunk, answers, .. } = &finished.publication;
    shared.producer.hand_over(chunk, answers).await
}

/// Puts something smaller in the place of the records that are too large by themselves, which is found out in transactions
/// that are all aborted.
async fn replace(
    shared: &Shared,
    options: TransactionOptions,
    publication: &mut Publication,
    refused: Vec<usize>,
    attempt: usize,
) -> Result<(), WorkerError> {
    let Publication { chunk, answers, redress } = publication;
    let mut halves = Halves::new(refused);
    let begun = Instant::now();
    while let Some(part) = halves.next_part() {
        let refused = loop {
            shared.producer.begin()?;
            let refused = shared.producer.hand_over_some(chunk, answers, part.clone()).await.settled().await;
            abort(shared, options).await?;
            match refused {
                // The client may take records of this transaction for what it has to drop of the last one.
                Err(_) if begun.elapsed() < options.patience => {}
                refused => break refused?,
            }
        };
        halves.judge(part, refused);
    }
    let too_large = halves.alone();
    let instead = redress.instead_of(&answers.select(&too_large), attempt);
    let answers = Arc::make_mut(answers);
    let mut index = 0;
    answers.entries.retain(|_| {
        index += 1;
        !too_large.contains(&(index - 1))
    });
    answers.append(instead);
    answers.sort();
    Ok(())
}
