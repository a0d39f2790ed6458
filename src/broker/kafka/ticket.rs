//! What comes with a chunk: the right to acknowledge it, and its turn among the chunks of its partitions.

use std::sync::Arc;

use super::group::State;
use crate::broker::{
    Chunk, Source,
    budget::{Load, Permit},
    journal::{Journal, Noted},
    offsets::Taken,
};

/// The right to acknowledge one chunk. Dropped without that, its offsets stay uncommitted.
pub struct Ticket {
    turn: Arc<Turn>,
    permit: Permit,
    noted: Option<(Arc<Journal>, Noted)>,
}

/// A chunk's place in the order of its partitions, as long as they are ours.
pub struct Turn {
    taken: Taken,
    state: Arc<State>,
    share: f64,
}

impl Ticket {
    /// `noted` is what the journal holds of the chunk until it is acknowledged.
    pub(super) fn new(taken: Taken, state: Arc<State>, permit: Permit, noted: Option<(Arc<Journal>, Noted)>) -> Self {
        let turn = Turn { taken, state, share: permit.share() };
        Self { turn: Arc::new(turn), permit, noted }
    }

    /// What is in flight, this chunk included.
    pub fn in_flight(&self) -> Load {
        self.permit.in_flight()
    }

    /// The chunk's turn.
    pub fn turn(&self) -> Arc<Turn> {
        Arc::clone(&self.turn)
    }

    /// Every request of the chunk has its answer, and the broker has acknowledged it.
    pub fn ack(self) {
        if let Some((journal, noted)) = &self.noted {
            journal.end(noted);
        }
        let state = &self.turn.state;
        state.offsets.lock().ack(&self.turn.taken);
        state.acked.notify_all();
    }
}

impl Turn {
    /// A turn that no consumer gave: the chunk's partitions are ours, and nothing was taken before it.
    pub fn alone(chunk: &Chunk) -> Arc<Self> {
        let state = Arc::<State>::default();
        let taken = {
            let mut offsets = state.offsets.lock();
            chunk.spans().iter().for_each(|span| offsets.assign(span.source));
            offsets.take(chunk.spans())
        };
        Arc::new(Self { taken, state, share: 0.0 })
    }

    /// What was taken earlier has a lower one.
    pub fn serial(&self) -> u64 {
        self.taken.serial
    }

    /// The chunk's part of what may be in flight, up to 1 and beyond.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Takes those of `turns`, which are of one consumer, before which all has had its turn or was lost. Returns their serials.
    pub fn take<'a>(turns: impl Iterator<Item = &'a Self>) -> Vec<u64> {
        let mut turns = turns.peekable();
        let Some(first) = turns.peek() else { return Vec::new() };
        let mut offsets = first.state.offsets.lock();
        turns.filter(|turn| offsets.take_turn(&turn.taken)).map(Self::serial).collect()
    }

    /// The partitions that have been ours since the chunk was taken, and the offset after its last record of each.
    pub fn owned(&self) -> Vec<(Source, i64)> {
        self.state.offsets.lock().owned_of(&self.taken).collect()
    }
}
