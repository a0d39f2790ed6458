//! The consumer's part in its group: what happens when partitions come and go, and what is committed.
//!
//! These are the client's callbacks; they run on the thread that serves the group ([`super::consumer`]), so that nothing is
//! taken from a partition while it is being given up.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use parking_lot::{Condvar, Mutex};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
};

use super::{
    consumer::{ConsumerEvents, ConsumerOptions, HURRY},
    context::{ClientLog, FatalError, log_through},
    native::{self, Forwarding},
    places::{Place, Unsure},
};
use crate::{
    broker::{Source, offsets::Offsets},
    metrics::RebalanceEvent,
};

/// What the thread, the client's callbacks and the tickets share.
#[derive(Default)]
pub struct State {
    pub offsets: Mutex<Offsets>,
    pub acked: Condvar,
    /// Set when the consumer is to stop: until when it waits for what is in flight.
    pub stop: OnceLock<Instant>,
    pub fatal: Arc<FatalError>,
    pub unsure: Mutex<Unsure>,
}

/// The client's callbacks, on the consumer's thread.
pub struct Context {
    pub log: ClientLog,
    pub state: Arc<State>,
    pub options: ConsumerOptions,
    pub events: Arc<dyn ConsumerEvents>,
    /// Set before the first poll.
    pub forwarding: OnceLock<Forwarding>,
}

log_through!(Context);

impl Context {
    pub fn forward(&self, source: Source) {
        if let Some(forwarding) = self.forwarding.get() {
            forwarding.forward(&self.options.topics[source.topic], source.partition);
        }
    }

    fn sources(&self, partitions: &TopicPartitionList) -> Vec<Source> {
        let source = |topic: &str, partition| {
            let topic = self.options.topics.iter().position(|name| name == topic)?;
            Some(Source { topic, partition })
        };
        partitions.elements().iter().filter_map(|element| source(element.topic(), element.partition())).collect()
    }

    /// Commits what is due, unless that is done in transactions.
    pub fn commit(&self, client: &BaseConsumer<Self>, mode: CommitMode) {
        if self.options.commit_interval.is_none() {
            return;
        }
        let due = self.state.offsets.lock().take_due();
        self.send_commit(client, &due, mode);
    }

    fn send_commit(&self, client: &BaseConsumer<Self>, due: &[(Source, i64)], mode: CommitMode) {
        if due.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(due.len());
        for (source, offset) in due {
            let topic = &self.options.topics[source.topic];
            list.add_partition_offset(topic, source.partition, Offset::Offset(*offset))
                .expect("offsets of records are valid");
        }
        let sent = match mode {
            // The verdict comes to `commit_callback`.
            CommitMode::Async => native::commit(client, &list).map_err(KafkaError::ConsumerCommit),
            CommitMode::Sync => client.commit(&list, mode).inspect(|()| self.events.committed(true)),
        };
        if let Err(error) = sent {
            self.events.committed(false);
            self.commit_failed(due, &error);
        }
    }

    fn commit_failed(&self, due: &[(Source, i64)], error: &KafkaError) {
        if self.log.is_new(error.rdkafka_error_code()) {
            tracing::warn!(%error, partitions = due.len(), "a commit did not reach the broker; it is sent again");
        }
        let mut offsets = self.state.offsets.lock();
        for (source, offset) in due {
            offsets.not_committed(*source, *offset);
        }
    }

    /// Waits for the work on these partitions, within the bound, and commits it.
    fn finish(&self, client: &BaseConsumer<Self>, sources: &[Source]) {
        let deadline = Instant::now() + self.options.drain_timeout;
        let deadline = self.state.stop.get().map_or(deadline, |by| deadline.min(*by));
        let mut offsets = self.state.offsets.lock();
        while sources.iter().any(|source| offsets.is_busy(*source)) && Instant::now() < deadline {
            self.events.hurry();
            self.state.acked.wait_for(&mut offsets, HURRY);
        }
        if self.options.commit_interval.is_none() {
            return;
        }
        let due: Vec<_> = sources.iter().filter_map(|source| Some((*source, offsets.take_due_of(*source)?))).collect();
        drop(offsets);
        self.send_commit(client, &due, CommitMode::Sync);
    }

    /// Whoever gets it next, also this worker, finds it as any other.
    fn let_go(&self, client: &BaseConsumer<Self>, source: Source) {
        if self.state.unsure.lock().remove(&source) == Some(Place::Sought) {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.options.topics[source.topic], source.partition);
            // A partition that is lost has nothing that could go on.
            drop(client.resume(&list));
        }
    }

    fn revoked(&self, client: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let sources = self.sources(partitions);
        if client.assignment_lost() {
            tracing::warn!(partitions = sources.len(), "partitions were lost; their work is not committed");
        } else {
            self.finish(client, &sources);
        }
        let mut offsets = self.state.offsets.lock();
        for source in sources {
            self.let_go(client, source);
            offsets.revoke(source);
            self.events.forget(&self.options.topics[source.topic], source.partition);
        }
        drop(offsets);
        // What waited behind them has its turn.
        self.events.hurry();
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                let mut offsets = self.state.offsets.lock();
                for source in self.sources(partitions) {
                    self.forward(source);
                    offsets.assign(source);
                    if self.options.commit_interval.is_none() {
                        self.state.unsure.lock().insert(source, Place::New);
                    }
                }
            }
            Rebalance::Revoke(partitions) => self.revoked(client, partitions),
            Rebalance::Error(error) => tracing::warn!(%error, "the group could not be rebalanced"),
        }
    }

    fn post_rebalance(&self, client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let owned = self.state.offsets.lock().owned();
        let event = match rebalance {
            Rebalance::Assign(_) => RebalanceEvent::Assigned,
            Rebalance::Revoke(_) if client.assignment_lost() => RebalanceEvent::Lost,
            _ => RebalanceEvent::Revoked,
        };
        tracing::info!(partitions = owned, event = event.as_str(), "the group has shared out its partitions");
        self.events.rebalanced(event, owned);
    }

    fn commit_callback(&self, result: KafkaResult<()>, partitions: &TopicPartitionList) {
        self.events.committed(result.is_ok());
        let Err(error) = result else { return self.log.reached() };
        let failed: Vec<_> = partitions
            .elements()
            .iter()
            .filter_map(|element| {
                let topic = self.options.topics.iter().position(|name| name == element.topic())?;
                Some((Source { topic, partition: element.partition() }, element.offset().to_raw()?))
            })
            .collect();
        self.commit_failed(&failed, &error);
    }
}
