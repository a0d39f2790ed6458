//! Transactions: answers, and the offsets of what they answer, become visible together or not at all.
//!
//! The calls block, for their patience at the most by their own account: they belong on a thread of their own, and their caller
//! must not rely on it. In librdkafka 2.12.1 an answer to `send_offsets_to_transaction` that comes too late is dropped, and the
//! call waits for ever (`rd_kafka_txn_handle_TxnOffsetCommit`, the case of `__OUTDATED`).

use std::{
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    producer::Producer as _,
};

use super::KafkaProducer;
use crate::error::WorkerError;

/// How long to wait before a call that the client could not begin with is made again.
const PAUSE: Duration = Duration::from_millis(50);

/// The words for what the calls of a commit could not do.
const COMMIT: &str = "commit a transaction";

/// Why a transaction did not come to its end.
#[derive(Debug)]
pub enum Setback {
    /// It must be aborted; what it held can be sent again.
    Abort(String),
    /// The worker must end.
    Fatal(WorkerError),
}

impl Setback {
    /// What it means where nothing is left to abort.
    fn at_last(self, call: &'static str) -> WorkerError {
        match self {
            Self::Abort(reason) => WorkerError::Transaction { call, reason },
            Self::Fatal(error) => error,
        }
    }
}

/// An offset to commit, in a partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset after the last record that is answered.
    pub offset: i64,
}

impl KafkaProducer {
    /// Introduces the producer to its coordinator, which ends what a predecessor of the same `transactional.id` left open.
    /// Blocks until it answers, or for `patience`.
    ///
    /// # Errors
    /// If the coordinator refuses, or does not answer in time.
    pub fn init_transactions(&self, patience: Duration) -> Result<(), WorkerError> {
        let call = "begin with transactions";
        within(Instant::now() + patience, call, |wait| self.client.init_transactions(wait))
            .map_err(|setback| setback.at_last(call))
    }

    /// Opens a transaction: what is handed over from here on belongs to it.
    ///
    /// # Errors
    /// If one is open already, or the producer has been fenced.
    pub fn begin(&self) -> Result<(), WorkerError> {
        self.client.begin_transaction().map_err(|error| failure("begin a transaction", &error))
    }

    /// Commits the open transaction together with `positions` of the group that `member` belongs to.
    ///
    /// # Errors
    /// `Abort` if the transaction must be aborted, for example since the group has shared out its partitions anew.
    pub fn commit(
        &self,
        positions: &[Position],
        member: &ConsumerGroupMetadata,
        patience: Duration,
    ) -> Result<(), Setback> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for Position { topic, partition, offset } in positions {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(|error| Setback::Fatal(failure("name offsets", &error)))?;
        }
        let deadline = Instant::now() + patience;
        within(deadline, COMMIT, |wait| self.client.send_offsets_to_transaction(&list, member, wait))?;
        within(deadline, COMMIT, |wait| self.client.commit_transaction(wait))
    }

    /// Aborts the open transaction: nothing of it will ever be seen.
    ///
    /// # Errors
    /// If the coordinator does not answer in time, or the producer has been fenced.
    pub fn abort(&self, patience: Duration) -> Result<(), WorkerError> {
        let call = "abort a transaction";
        within(Instant::now() + patience, call, |wait| self.client.abort_transaction(wait))
            .map_err(|setback| setback.at_last(call))
    }
}

/// Makes a call, and again until `deadline` if the client says that this may help. A call that has run out of time is not gone on
/// with: if the coordinator answers the first attempt just when the second one times out, librdkafka takes a commit for an
/// abort and stops the process (2.12.1, `rd_kafka_txn_endtxn_complete` goes by the name of a call that is over).
fn within(
    deadline: Instant,
    name: &'static str,
    call: impl Fn(Duration) -> Result<(), KafkaError>,
) -> Result<(), Setback> {
    loop {
        let Err(error) = call(deadline.saturating_duration_since(Instant::now())) else { return Ok(()) };
        let KafkaError::Transaction(reason) = &error else {
            return Err(Setback::Fatal(failure(name, &error)));
        };
        if reason.txn_requires_abort() {
            return Err(Setback::Abort(reason.string()));
        }
        let is_over = reason.code() == RDKafkaErrorCode::OperationTimedOut || Instant::now() + PAUSE >= deadline;
        if reason.is_fatal() || !reason.is_retriable() || is_over {
            return Err(Setback::Fatal(failure(name, &error)));
        }
        thread::sleep(PAUSE);
    }
}

fn failure(call: &'static str, error: &KafkaError) -> WorkerError {
    match error {
        KafkaError::Transaction(reason) if is_fenced(reason.code()) => WorkerError::Fenced(reason.string()),
        KafkaError::Transaction(reason) => WorkerError::Transaction { call, reason: reason.string() },
        other => WorkerError::Transaction { call, reason: other.to_string() },
    }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    matches!(code, Fenced | ProducerFenced | InvalidProducerEpoch)
}
