//! Where a partition that has just been given to this worker is to be begun, in transactions.
//!
//! librdkafka asks the coordinator for the committed offset, and asks again while a transaction that somebody left open has an
//! offset of the partition in it. If partitions are shared out anew meanwhile, it forgets that it still has to ask and begins
//! as if nothing had ever been committed (2.12.1, `rd_kafka_assignment_apply_offsets`, the branch of
//! `UNSTABLE_OFFSET_COMMIT`): everything since the beginning of the topic would be answered again. So we look ourselves.
//!
//! Guarantee: the first records of a partition are handed on only when the coordinator has said that nothing behind them is
//! committed. What begins too early is let go of, and the partition goes on where it is to; while the coordinator cannot tell,
//! it is paused. Only the consumer's thread does any of this.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, error::KafkaResult};

use super::{consumer::KafkaConsumer, native::Batch};
use crate::broker::Source;

/// How long the coordinator may take to say what is committed, before the partition is paused and asked for again later.
const ASK: Duration = Duration::from_millis(300);

/// How long the client may take to go to another place.
const SEEK: Duration = Duration::from_secs(1);

/// Partitions of whose beginning nothing is known yet, and whether they are paused.
pub type Unsure = HashMap<Source, bool>;

impl KafkaConsumer {
    /// Lets go of records that stand before what is committed, or of which that is not known.
    pub(super) fn confirm(&self, batch: &mut Batch) {
        let firsts = self.unsure_firsts(batch);
        if firsts.is_empty() {
            return;
        }
        let committed = self.committed(firsts.keys());
        let wrong = |(source, first): (&Source, &i64)| match committed.get(source) {
            Some(Some(committed)) if first < committed => {
                tracing::warn!(
                    topic = self.context().options.topics[source.topic],
                    partition = source.partition,
                    first,
                    committed,
                    "the client began a partition before what is committed; it goes on where it is to"
                );
                if self.begin(*source, Offset::Offset(*committed)).is_err() {
                    self.hold_back(*source);
                }
                Some(*source)
            }
            Some(_) => {
                self.context().state.unsure.lock().remove(source);
                None
            }
            None => {
                self.hold_back(*source);
                Some(*source)
            }
        };
        let wrong: HashSet<Source> = firsts.iter().filter_map(wrong).collect();
        if !wrong.is_empty() {
            batch.retain(|source| !wrong.contains(&source));
        }
    }

    /// Whether a record must not be handed on, since nothing is known of the place where its partition begins.
    pub(super) fn is_unsure(&self, source: Source) -> bool {
        self.context().state.unsure.lock().contains_key(&source)
    }

    /// Takes nothing more of a partition until it is known where it begins.
    pub(super) fn hold_back(&self, source: Source) {
        // A partition that went meanwhile cannot be paused, nor does it need to be.
        if self.client.pause(&self.list([&source])).is_ok()
            && let Some(is_paused) = self.context().state.unsure.lock().get_mut(&source)
        {
            *is_paused = true;
        }
    }

    /// Asks again about partitions that are paused.
    pub(super) fn ask_again(&self) {
        let paused: Vec<Source> = self
            .context()
            .state
            .unsure
            .lock()
            .iter()
            .filter(|(_, paused)| **paused)
            .map(|(source, _)| *source)
            .collect();
        if paused.is_empty() {
            return;
        }
        for (source, committed) in self.committed(paused.iter()) {
            let place = committed.map_or(Offset::Beginning, Offset::Offset);
            if self.begin(source, place).is_ok() && self.client.resume(&self.list([&source])).is_err() {
                self.hold_back(source);
            }
        }
    }

    /// The first record of each partition of which nothing is known yet.
    fn unsure_firsts(&self, batch: &Batch) -> HashMap<Source, i64> {
        let unsure = self.context().state.unsure.lock();
        let mut firsts = HashMap::new();
        if !unsure.is_empty() {
            for message in batch.messages() {
                let source = Source { topic: message.topic, partition: message.partition };
                if unsure.contains_key(&source) {
                    firsts.entry(source).or_insert(message.offset);
                }
            }
        }
        firsts
    }

    /// What is committed of these, of which the coordinator can say it; `None` if nothing is.
    fn committed<'a>(&self, sources: impl Iterator<Item = &'a Source>) -> HashMap<Source, Option<i64>> {
        let sources: Vec<Source> = sources.copied().collect();
        let Ok(answer) = self.client.committed_offsets(self.list(&sources), ASK) else { return HashMap::new() };
        let known = |source: Source| {
            let element = answer.find_partition(&self.context().options.topics[source.topic], source.partition)?;
            match element.offset() {
                _ if element.error().is_err() => None,
                Offset::Offset(offset) => Some((source, Some(offset))),
                Offset::Invalid => Some((source, None)),
                _ => None,
            }
        };
        sources.into_iter().filter_map(known).collect()
    }

    /// Goes on with a partition at a place that is sure.
    fn begin(&self, source: Source, place: Offset) -> KafkaResult<()> {
        self.client.seek(&self.context().options.topics[source.topic], source.partition, place, SEEK)?;
        self.context().state.unsure.lock().remove(&source);
        Ok(())
    }

    fn list<'a>(&self, sources: impl IntoIterator<Item = &'a Source>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for source in sources {
            list.add_partition(&self.context().options.topics[source.topic], source.partition);
        }
        list
    }
}
