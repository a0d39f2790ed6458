//! The way out: answers, as they come or each chunk in its turn.
//!
//! Why a part of its own: the journey of a chunk ends with "publish, and tell me when the broker has it", in every mode of
//! delivery; what differs is what must be waited for first ([`rounds`]) and what is committed with it
//! ([`super::producer::transaction`]).
//!
//! Guarantee: [`Outbox::publish`] returns `Ok` only when the broker has acknowledged every record, or something smaller in the
//! place of one that is too large; or when its partition was lost, so that a successor answers.

use std::{collections::HashSet, sync::Arc};

use super::{consumer::Membership, producer::KafkaProducer, ticket::Turn};
use crate::{
    broker::{Answer, Answers, Chunk},
    error::WorkerError,
};
use rounds::{Rounds, RoundsOptions};

mod round;
pub mod rounds;

/// The answers of a chunk, or of a part of it.
pub struct Publication {
    /// What they answer.
    pub chunk: Arc<Chunk>,
    /// The records.
    pub answers: Arc<Answers>,
    /// Who knows what to say instead of a record that is too large.
    pub redress: Arc<dyn Redress>,
}

/// What is told in the place of records that are larger than their topics allow, or that a reply topic does not take.
pub trait Redress: Send + Sync {
    /// Records in the place of `too_large`; the more modest the higher `attempt`, which counts from 0. None at the end.
    fn instead_of(&self, too_large: &[Answer], attempt: usize) -> Answers;
}

/// The way out.
pub enum Outbox {
    /// Answers go when they are ready.
    AsTheyCome(KafkaProducer),
    /// Chunks go in the order of their partitions.
    InTurn(Rounds),
}

impl Outbox {
    /// A way out that keeps the order of partitions, and commits in transactions if `options` say so.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn in_turn(producer: KafkaProducer, options: RoundsOptions) -> std::io::Result<Self> {
        Ok(Self::InTurn(Rounds::start(producer, options)?))
    }

    /// Tells whom transactions speak for; must be said before the first chunk comes.
    pub fn speak_for(&self, member: Membership) {
        if let Self::InTurn(rounds) = self {
            rounds.speak_for(member);
        }
    }

    /// Where the topics are found that requests want their answers on.
    pub fn producer(&self) -> &KafkaProducer {
        match self {
            Self::AsTheyCome(producer) => producer,
            Self::InTurn(rounds) => rounds.producer(),
        }
    }

    /// Whether a chunk's answers go all together.
    pub fn takes_whole_chunks(&self) -> bool {
        matches!(self, Self::InTurn(_))
    }

    /// Publishes, as the module says.
    ///
    /// # Errors
    /// If a record was neither acknowledged nor replaced: nothing of the chunk may be committed.
    pub async fn publish(&self, mut publication: Publication, turn: &Arc<Turn>) -> Result<(), WorkerError> {
        match self {
            Self::AsTheyCome(producer) => {
                keep_owned(&mut publication, turn);
                let too_large = producer.publish(&publication.chunk, &publication.answers).await?;
                make_up_for(too_large, &publication, producer).await
            }
            Self::InTurn(rounds) => rounds.publish(publication, turn).await,
        }
    }

    /// Somebody waits for the acknowledgement of what is finished.
    pub fn hurry(&self) {
        if let Self::InTurn(rounds) = self {
            rounds.hurry();
        }
    }

    /// Resolves when the client has failed for good.
    pub async fn failed(&self) -> WorkerError {
        match self {
            Self::AsTheyCome(producer) => producer.failed().await,
            Self::InTurn(rounds) => rounds.failed().await,
        }
    }
}

/// Publishes something smaller in the place of records that are too large.
async fn make_up_for(
    mut too_large: Vec<Answer>,
    publication: &Publication,
    producer: &KafkaProducer,
) -> Result<(), WorkerError> {
    let Publication { chunk, redress, .. } = publication;
    let mut attempt = 0;
    while !too_large.is_empty() {
        let instead = redress.instead_of(&too_large, attempt);
        too_large = producer.publish(chunk, &Arc::new(instead)).await?;
        attempt += 1;
    }
    Ok(())
}

/// Leaves out answers to messages of partitions that are ours no more: their successor gives them.
fn keep_owned(publication: &mut Publication, turn: &Turn) {
    let owned = turn.owned();
    let Publication { chunk, answers, .. } = publication;
    if owned.len() == chunk.spans().len() {
        return;
    }
    let owned: HashSet<_> = owned.into_iter().map(|(source, _)| (source.topic, source.partition)).collect();
    Arc::make_mut(answers).entries.retain(|answer| {
        let message = chunk.message(answer.message);
        owned.contains(&(message.topic, message.partition))
    });
}
