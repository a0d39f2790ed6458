//! Which offsets may be committed: pure bookkeeping, no clock, no broker.
//!
//! It also knows whose turn it is, for those who publish in the order of partitions: a chunk's, once all that was taken before it
//! from its partitions has been sent.
//!
//! Guarantee: [`Offsets::take_due`] never names an offset unless it and every earlier taken offset of its partition, since
//! the partition was last assigned, have been acknowledged; and it never names a partition that is not owned.

use std::collections::{HashMap, VecDeque};

use super::{Source, Span};

/// The consumer's view of its partitions.
#[derive(Debug, Default)]
pub struct Offsets {
    owned: HashMap<Source, Partition>,
    /// Counts assignments, so that work taken before a partition was lost is not mistaken for work taken after it came back.
    generation: u64,
    /// Counts what was taken.
    serial: u64,
}

#[derive(Debug)]
struct Partition {
    generation: u64,
    /// Taken spans in order of their offsets, the oldest first; acknowledged ones leave from the front.
    pending: VecDeque<Pending>,
    /// What may be committed: the offset after the last one of the contiguous acknowledged prefix.
    done: Option<i64>,
    /// What has been handed to the broker.
    committed: Option<i64>,
}

#[derive(Debug)]
struct Pending {
    first: i64,
    next: i64,
    /// It has had its turn.
    sent: bool,
    acked: bool,
}

/// Spans that were taken, to be acknowledged once.
#[derive(Debug)]
pub struct Taken {
    /// What was taken earlier has a lower one.
    pub serial: u64,
    /// The spans, each with the assignment of its partition under which it was taken.
    spans: Vec<(u64, Span)>,
}

impl Offsets {
    /// A partition is ours now.
    pub fn assign(&mut self, source: Source) {
        self.generation += 1;
        let generation = self.generation;
        self.owned.insert(source, Partition { generation, pending: VecDeque::new(), done: None, committed: None });
    }

    /// A partition is no longer ours: nothing about it is committed any more.
    pub fn revoke(&mut self, source: Source) {
        self.owned.remove(&source);
    }

    /// Which assignment of a partition this is; `None` if it is not ours.
    pub fn assignment(&self, source: Source) -> Option<u64> {
        self.owned.get(&source).map(|partition| partition.generation)
    }

    /// Work on these spans begins. Spans of partitions that are not owned are left out.
    pub fn take(&mut self, spans: &[Span]) -> Taken {
        self.serial += 1;
        let mut taken = Vec::with_capacity(spans.len());
        for span in spans {
            if let Some(partition) = self.owned.get_mut(&span.source) {
                partition.pending.push_back(Pending { first: span.first, next: span.next, sent: false, acked: false });
                taken.push((partition.generation, span.clone()));
            }
        }
        Taken { serial: self.serial, spans: taken }
    }

    /// The spans whose partitions have been ours ever since, with the offset after the last one of each: what a commit would
    /// say.
    pub fn owned_of<'a>(&'a self, taken: &'a Taken) -> impl Iterator<Item = (Source, i64)> + 'a {
        self.held(taken).map(|(_, span)| (span.source, span.next))
    }

    /// Whether all that was taken before these spans from partitions that have been ours ever since has been sent.
    pub fn is_next(&self, taken: &Taken) -> bool {
        self.held(taken).all(|(partition, span)| {
            let before = partition.position(span).checked_sub(1);
            before.is_none_or(|before| partition.pending[before].sent)
        })
    }

    /// Gives these spans their turn, if it has come. Says whether it has.
    pub fn take_turn(&mut self, taken: &Taken) -> bool {
        let is_next = self.is_next(taken);
        if is_next {
            self.send(taken);
        }
        is_next
    }

    /// These spans have had their turn.
    pub fn send(&mut self, taken: &Taken) {
        for (generation, span) in &taken.spans {
            let Some(partition) = self.owned.get_mut(&span.source) else { continue };
            if partition.generation == *generation {
                let position = partition.position(span);
                if let Some(pending) = partition.pending.get_mut(position) {
                    pending.sent = true;
                }
            }
        }
    }

    fn held<'a>(&'a self, taken: &'a Taken) -> impl Iterator<Item = (&'a Partition, &'a Span)> + 'a {
        let partition = |(generation, span): &(u64, Span)| {
            self.owned.get(&span.source).filter(|partition| partition.generation == *generation)
        };
        taken.spans.iter().filter_map(move |taken| Some((partition(taken)?, &taken.1)))
    }

    /// Every request of these spans has its answer, and the broker has acknowledged it.
    pub fn ack(&mut self, taken: &Taken) {
        for (generation, span) in &taken.spans {
            let Some(partition) = self.owned.get_mut(&span.source) else { continue };
            if partition.generation == *generation {
                partition.ack(span);
            }
        }
    }

    /// What can be committed and has not been yet, in no order. Taken for committed from now on.
    pub fn take_due(&mut self) -> Vec<(Source, i64)> {
        self.owned.iter_mut().filter_map(|(source, partition)| Some((*source, partition.take_due()?))).collect()
    }

    /// The same for one partition.
    pub fn take_due_of(&mut self, source: Source) -> Option<i64> {
        self.owned.get_mut(&source)?.take_due()
    }

    /// A commit did not reach the broker: it is due again.
    pub fn not_committed(&mut self, source: Source, offset: i64) {
        if let Some(partition) = self.owned.get_mut(&source)
            && partition.committed == Some(offset)
        {
            partition.committed = None;
        }
    }

    /// Whether work on a partition is under way.
    pub fn is_busy(&self, source: Source) -> bool {
        self.owned.get(&source).is_some_and(|partition| !partition.pending.is_empty())
    }

    /// Whether work on any partition is under way.
    pub fn is_any_busy(&self) -> bool {
        self.owned.values().any(|partition| !partition.pending.is_empty())
    }

    /// The owned partitions and, where known, the offset up to which each is finished.
    pub fn finished(&self) -> impl Iterator<Item = (Source, Option<i64>)> {
        self.owned.iter().map(|(source, partition)| (*source, partition.done))
    }

    /// How many partitions are owned.
    pub fn owned(&self) -> usize {
        self.owned.len()
    }
}

impl Partition {
    /// Where a span stands, or would stand.
    fn position(&self, span: &Span) -> usize {
        // A partition is polled in order, so its spans are sorted; a seek backwards starts a new generation.
        self.pending.partition_point(|pending| pending.first < span.first)
    }

    fn ack(&mut self, span: &Span) {
        let index = self.position(span);
        if let Some(pending) = self.pending.get_mut(index).filter(|pending| pending.first == span.first) {
            pending.acked = true;
        }
        while self.pending.front().is_some_and(|pending| pending.acked) {
            self.done = self.pending.pop_front().map(|pending| pending.next);
        }
    }

    fn take_due(&mut self) -> Option<i64> {
        if self.done == self.committed {
            return None;
        }
        self.committed = self.done;
        self.done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: Source = Source { topic: 0, partition: 0 };

    fn span(first: i64, next: i64) -> Span {
        Span { source: SOURCE, first, next }
    }

    fn owned() -> Offsets {
        let mut offsets = Offsets::default();
        offsets.assign(SOURCE);
        offsets
    }

    #[test]
    fn the_watermark_waits_for_the_oldest_offset_in_flight() {
        let mut offsets = owned();
        let old = offsets.take(&[span(0, 10)]);
        let new = offsets.take(&[span(10, 25)]);
        offsets.ack(&new);
        assert_eq!(offsets.take_due(), []);
        offsets.ack(&old);
        assert_eq!(offsets.take_due(), [(SOURCE, 25)]);
        assert_eq!(offsets.take_due(), [], "once is enough");
    }

    #[test]
    fn nothing_is_committed_for_a_partition_that_was_lost_even_if_it_came_back() {
        let mut offsets = owned();
        let before = offsets.take(&[span(0, 10)]);
        offsets.revoke(SOURCE);
        offsets.ack(&before);
        assert_eq!(offsets.take_due(), []);
        offsets.assign(SOURCE);
        let after = offsets.take(&[span(0, 3)]);
        offsets.ack(&before);
        assert_eq!(offsets.take_due(), []);
        offsets.ack(&after);
        assert_eq!(offsets.take_due(), [(SOURCE, 3)]);
    }

    #[test]
    fn a_commit_that_failed_is_due_again_unless_a_later_one_went_out() {
        let mut offsets = owned();
        let taken = offsets.take(&[span(0, 10)]);
        offsets.ack(&taken);
        assert_eq!(offsets.take_due(), [(SOURCE, 10)]);
        offsets.not_committed(SOURCE, 10);
        assert_eq!(offsets.take_due_of(SOURCE), Some(10));
        offsets.not_committed(SOURCE, 7);
        assert_eq!(offsets.take_due_of(SOURCE), None);
    }

    #[test]
    fn a_chunk_is_next_when_all_before_it_was_sent_or_lost() {
        let other = Source { topic: 0, partition: 1 };
        let mut offsets = owned();
        offsets.assign(other);
        let first = offsets.take(&[span(0, 10)]);
        let both = offsets.take(&[span(10, 20), Span { source: other, first: 0, next: 5 }]);
        let last = offsets.take(&[Span { source: other, first: 5, next: 6 }]);
        assert!(offsets.is_next(&first) && !offsets.is_next(&both) && !offsets.is_next(&last));
        assert!(first.serial < both.serial && both.serial < last.serial);
        offsets.send(&first);
        assert!(offsets.is_next(&both) && !offsets.is_next(&last));
        // What was before it is gone with its partition, also when that comes back.
        offsets.revoke(other);
        offsets.assign(other);
        assert!(offsets.is_next(&last), "none of its partitions is held: nothing is before it");
        assert_eq!(offsets.owned_of(&both).collect::<Vec<_>>(), [(SOURCE, 20)]);
        assert_eq!(offsets.owned_of(&last).next(), None);
    }

    proptest! {
        /// Spans are acknowledged in any order; whatever is committed has no unacknowledged offset before it, and at the
        /// end everything is committed.
        #[test]
        fn only_the_acknowledged_prefix_is_committed(
            lengths in prop::collection::vec(1_i64..5, 1..30),
            order in prop::collection::vec(any::<prop::sample::Index>(), 30),
        ) {
            let mut offsets = owned();
            let mut open = Vec::new();
            let mut next = 0;
            for length in lengths {
                open.push((next, offsets.take(&[span(next, next + length)])));
                next += length;
            }
            for pick in order {
                if open.is_empty() {
                    break;
                }
                let (_, taken) = open.remove(pick.index(open.len()));
                offsets.ack(&taken);
                let oldest_open = open.iter().map(|(first, _)| *first).min().unwrap_or(next);
                for (_, offset) in offsets.take_due() {
                    prop_assert!(offset <= oldest_open);
                }
                let done = offsets.finished().next().and_then(|(_, done)| done).unwrap_or(0);
                prop_assert_eq!(done, oldest_open);
            }
        }
    }
}
