//! The hunt: how messages that a former life of the worker died with are taken when they come again.
//!
//! What is suspected of them, and in what company they run, [`crate::broker::suspects`] says; here the consumer keeps to it. A run of
//! suspects is handed on when nothing is in flight, and nothing is handed on until it is acknowledged. So when the process dies
//! again, the journal holds them and nobody else. Once no suspects are left the consumer takes as always, and none of this
//! is gone through.
//!
//! Guarantee: whatever is handed on is handed on in the order of its partition, and only while the partition has been ours
//! since it was taken from the client.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::{
    consumer::{HURRY, KafkaConsumer},
    native::Batch,
};
use crate::{
    broker::{
        Chunk, Message, Source, Span,
        budget::Load,
        journal::{self, Journal},
        memory::{MemoryRecord, MemoryRecords},
        suspects::{Fate, Place, Suspect, Suspects},
    },
    error::{ErrorCode, RequestError},
    metrics::SuspectMetrics,
};

/// What a worker remembers of its former life, and writes down for its next.
#[derive(Clone, Default)]
pub struct Memory {
    /// The journal; `None`: nothing is written down.
    pub journal: Option<Arc<Journal>>,
    /// Whom the former life died with.
    pub suspects: Vec<Suspect>,
}

/// Where the hunt is.
pub(super) struct Hunt {
    journal: Option<Arc<Journal>>,
    suspects: Suspects,
    /// Suspects in flight, alone.
    running: Option<Vec<Span>>,
    /// Taken from the client, not handed on.
    held: Batch,
    /// Which assignments of their partitions they belong to.
    held_under: HashMap<Source, Option<u64>>,
    /// What came by the consumer's own queue, after those, and under which assignment.
    strays: VecDeque<(MemoryRecord, Option<u64>)>,
    /// The suspects that stand in the journal.
    written: Vec<Suspect>,
    metrics: SuspectMetrics,
    /// When the first of them came.
    began: Option<Instant>,
}

/// Messages that come next and go together.
struct Run {
    fate: Fate,
    count: usize,
}

impl Hunt {
    pub fn new(memory: Memory) -> Self {
        let hunt = Self {
            journal: memory.journal,
            suspects: Suspects::new(memory.suspects.clone()),
            running: None,
            held: Batch::default(),
            held_under: HashMap::new(),
            strays: VecDeque::new(),
            written: memory.suspects,
            metrics: SuspectMetrics::new(),
            began: None,
        };
        hunt.metrics.suspected(hunt.suspects.messages());
        hunt
    }

    /// Whether there is anybody to look for, or anything in hand.
    pub fn is_on(&self) -> bool {
        !(self.suspects.is_empty() && self.held.is_empty() && self.strays.is_empty()) || self.running.is_some()
    }

    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.as_ref()
    }

    /// A message that came by the consumer's own queue, and must not overtake what is held.
    pub fn hold(&mut self, stray: MemoryRecord, under: Option<u64>) {
        self.strays.push_back((stray, under));
    }

    /// Forgets those who did not come for long.
    pub fn keep_house(&mut self) {
        if !self.suspects.is_empty() {
            self.suspects.forget_old(journal::now());
            self.write_down();
        }
    }

    /// The worker outlived these, which were alone in flight.
    fn outlived(&mut self, spans: &[Span]) {
        let Some(journal) = &self.journal else { return };
        spans.iter().for_each(|span| self.suspects.answered(journal.stretch(span)));
        self.write_down();
    }

    /// Partitions have been taken up to here.
    fn passed(&mut self, spans: &[Span]) {
        let Some(journal) = &self.journal else { return };
        spans.iter().for_each(|span| self.suspects.passed(journal.place(span.source), span.first));
        self.write_down();
    }

    fn write_down(&mut self) {
        let Some(journal) = &self.journal else { return };
        if self.suspects.list() == self.written {
            return;
        }
        self.written = self.suspects.list().to_vec();
        journal.keep(&self.written);
        self.metrics.suspected(self.suspects.messages());
        if self.suspects.is_empty() {
            let took = self.began.map(|began| began.elapsed()).unwrap_or_default();
            tracing::info!(?took, "nothing is left of what was in flight when the worker died");
        }
    }

    /// The messages at the front of which the same becomes.
    fn next_run(&self) -> Option<Run> {
        let journal = self.journal.as_ref()?;
        let fate = |message: &Message<'_>| {
            let place = journal.place(Source { topic: message.topic, partition: message.partition });
            self.suspects.fate(place, message.offset, message.timestamp)
        };
        if let (true, Some((stray, _))) = (self.held.is_empty(), self.strays.front()) {
            return Some(Run { fate: fate(&stray.message()), count: 1 });
        }
        let mut fates = self.held.messages().map(|message| fate(&message));
        let first = fates.next()?;
        let most = match first {
            Fate::Free => usize::MAX,
            Fate::Watched { company } => company,
            Fate::Condemned { .. } => 1,
        };
        Some(Run { fate: first, count: fates.take_while(|fate| *fate == first).take(most - 1).count() + 1 })
    }
}

impl KafkaConsumer {
    /// One step of the hunt. Says whether nothing was handed on.
    pub(super) fn hunt(&mut self) -> bool {
        if let Some(spans) = self.hunt.running.take() {
            // A chunk whose work has failed has left nothing in flight either, but is not acknowledged.
            let is_answered = self.is_idle() && !self.context().state.offsets.lock().is_any_busy();
            if !is_answered {
                self.hunt.running = Some(spans);
                return true;
            }
            self.hunt.outlived(&spans);
        }
        self.let_go_of_what_is_lost();
        if self.hunt.held.is_empty() && self.hunt.strays.is_empty() {
            self.fill_hands();
        }
        let Some(Run { fate, count }) = self.hunt.next_run() else { return true };
        if fate == Fate::Free {
            let Some(room) = self.room() else { return true };
            let chunk = self.first_held(count.min(room.messages));
            self.hunt.passed(chunk.spans());
            self.hand_on(chunk);
            return false;
        }
        if !self.is_idle() {
            return true;
        }
        let mut chunk = self.first_held(count);
        if let Fate::Condemned { deaths } = fate {
            self.tell_of_the_condemned(&chunk, deaths);
            chunk = chunk.condemn(verdict(deaths));
        }
        self.hunt.passed(chunk.spans());
        self.hunt.running = Some(chunk.spans().to_vec());
        self.hunt.began.get_or_insert_with(Instant::now);
        self.hand_on(chunk);
        true
    }

    /// Whether nothing is in flight, after a short wait.
    fn is_idle(&self) -> bool {
        if self.budget.used() != Load::default() {
            self.context().events.hurry();
        }
        self.budget.wait_until_idle(HURRY)
    }

    /// Takes from the client what one chunk may hold.
    fn fill_hands(&mut self) {
        let mut batch = std::mem::take(&mut self.hunt.held);
        self.fill(&mut batch);
        let offsets = self.context().state.offsets.lock();
        let source = |message: Message<'_>| Source { topic: message.topic, partition: message.partition };
        let sources: HashSet<Source> = batch.messages().map(source).collect();
        let under = sources.into_iter().map(|source| (source, offsets.assignment(source))).collect();
        drop(offsets);
        self.hunt.held_under = under;
        self.hunt.held = batch;
    }

    /// Drops what is held of partitions that went: whoever has them now takes it again.
    fn let_go_of_what_is_lost(&mut self) {
        let context = Arc::clone(self.context());
        let offsets = context.state.offsets.lock();
        let Hunt { held, held_under, strays, .. } = &mut self.hunt;
        let is_still = |source: Source, under: Option<u64>| under.is_some() && offsets.assignment(source) == under;
        if held_under.iter().any(|(source, under)| !is_still(*source, *under)) {
            held.retain(|source| is_still(source, held_under.get(&source).copied().flatten()));
            held_under.retain(|source, under| is_still(*source, *under));
        }
        strays.retain(|(stray, under)| is_still(Source { topic: stray.topic, partition: stray.partition }, *under));
    }

    /// The first `count` messages that are held.
    fn first_held(&mut self, count: usize) -> Chunk {
        match self.hunt.held.is_empty().then(|| self.hunt.strays.pop_front()).flatten() {
            Some((stray, _)) => Chunk::new(Box::new(MemoryRecords(vec![stray]))),
            None => {
                let mut held = std::mem::take(&mut self.hunt.held);
                let first = self.first_of(&mut held, count);
                self.hunt.held = held;
                Chunk::new(Box::new(first))
            }
        }
    }

    fn tell_of_the_condemned(&self, chunk: &Chunk, deaths: u16) {
        let message = chunk.message(0);
        let (topic, partition, offset) =
            (&self.context().options.topics[message.topic], message.partition, message.offset);
        tracing::error!(
            topic,
            partition,
            offset,
            deaths,
            "a request with which the worker died each time is not run again: it is answered with INTERNAL and kept as a dead letter"
        );
        self.hunt.metrics.condemned();
    }
}

/// What the caller of a request is told that is not run again.
fn verdict(deaths: u16) -> RequestError {
    let why = format!(
        "the worker died {deaths} times while this request was being worked on, the last time with no other beside it; \
         it is not run again"
    );
    RequestError::new(ErrorCode::Internal, why)
}

/// Who was in flight when the worker died, for the log.
pub fn tell_of_suspects(suspects: &[Suspect]) {
    if suspects.is_empty() {
        return;
    }
    let deaths = suspects.iter().map(|suspect| suspect.deaths).max();
    let condemned = suspects.iter().filter(|suspect| suspect.condemned).count();
    let requests = Suspects::new(suspects.to_vec()).messages();
    let partitions: HashSet<Place> = suspects.iter().map(|suspect| suspect.stretch.place).collect();
    tracing::warn!(
        requests,
        partitions = partitions.len(),
        deaths,
        condemned,
        "the worker died while these requests were in flight: they are run a few at a time until it is known whether one \
         of them was the cause"
    );
}
