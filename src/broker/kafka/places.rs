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

/// Partitions that have just been given to this worker.
pub type Unsure = HashMap<Source, Place>;

/// What is known of the place where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing came yet.
    New,
    /// What came was let go of: nothing is taken until the client has been sent to the right place.
    Sought,
}

impl KafkaConsumer {
    /// Lets go of records that stand before what is committed, or of which that is not known.
    pub(super) fn confirm(&self, batch: &mut Batch) {
        let firsts = self.unsure_firsts(batch);
        if firsts.is_empty() {
            return;
        }
        let committed = self.committed(firsts.keys());
        let mut wrong = HashSet::new();
        for (source, first) in firsts {
            if self.is_right(source, first, committed.get(&source).copied()) {
                self.context().state.unsure.lock().remove(&source);
            } else {
                self.hold_back(source);
                wrong.insert(source);
            }
        }
        if !wrong.is_empty() {
            batch.retain(|source| !wrong.contains(&source));
        }
    }

    /// Whether a partition may begin at `first`, with this committed, if that is known.
    fn is_right(&self, source: Source, first: i64, committed: Option<Option<i64>>) -> bool {
        let (Some(committed), false) = (committed, self.is_sought(source)) else { return false };
        let is_right = committed.is_none_or(|committed| first >= committed);
        if !is_right {
            tracing::warn!(
                topic = self.context().options.topics[source.topic],
                partition = source.partition,
                first,
                committed,
                "the client began a partition before what is committed; it goes on where it is to"
            );
        }
        is_right
    }

    /// Whether what comes of a partition is let go of, since the client is still to be sent to the right place.
    fn is_sought(&self, source: Source) -> bool {
        self.context().state.unsure.lock().get(&source) == Some(&Place::Sought)
    }

    /// Whether a record must not be handed on, since nothing is known of the place where its partition begins.
    pub(super) fn is_unsure(&self, source: Source) -> bool {
        self.context().state.unsure.lock().contains_key(&source)
    }

    /// Takes nothing more of a partition until the client has been sent to the right place.
    pub(super) fn hold_back(&self, source: Source) {
        if let Some(place) = self.context().state.unsure.lock().get_mut(&source) {
            *place = Place::Sought;
        }
        // If it cannot be paused, what comes is let go of all the same.
        drop(self.client.pause(&self.list([&source])));
    }

    /// Sends the client to the right place, where the coordinator can say it by now.
    pub(super) fn seek_places(&self) {
        let unsure = self.context().state.unsure.lock();
        let sought: Vec<Source> =
            unsure.iter().filter(|(_, place)| **place == Place::Sought).map(|(source, _)| *source).collect();
        drop(unsure);
        if sought.is_empty() {
            return;
        }
        for (source, committed) in self.committed(sought.iter()) {
            // What fails is tried again the next time.
            if self.begin(source, committed.map_or(Offset::Beginning, Offset::Offset)).is_ok() {
                self.context().state.unsure.lock().remove(&source);
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
        self.client.resume(&self.list([&source]))
    }

    fn list<'a>(&self, sources: impl IntoIterator<Item = &'a Source>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for source in sources {
            list.add_partition(&self.context().options.topics[source.topic], source.partition);
        }
        list
    }
}
