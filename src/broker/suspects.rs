//! Which requests may have killed the worker, and in what company they run when they come again: pure, no clock, no file.
//!
//! A worker that dies without a word had some messages in flight: its suspects. Its next life learns of them from the journal
//! ([`super::journal`]). Suspects run in company of at most a [`RUNS`]th of what was in flight at the death, and nothing else
//! runs beside them, so that the next death, if there is one, leaves a set that is as much smaller; down to a single message.
//!
//! Weighed: a death is dear (the group waits for the session's end or a rebalance, models load, a supervisor backs off longer
//! each time), a run of a few messages costs milliseconds. Halving would need log2 of what was in flight: 15 deaths for
//! 20,000. One life can make hundreds of small runs instead, since the journal says which of them it died in. So:
//!
//! | in flight | deaths, if the process crashes | if it is killed from outside |
//! |---|---|---|
//! | 1 to 200 | 2 | 3 |
//! | up to 40,000 | 3 | 4 |
//! | up to 8,000,000 | 4 | 5 |
//!
//! and an innocent death costs 200 runs, one after another, of what was in flight: one to five seconds
//! (`docs/guarantees.md`).
//!
//! Guarantee: a message is condemned only if the process died while it alone was in flight, and that at least twice, or once
//! by a signal that only a crash brings (SIGSEGV, SIGABRT, …) after another death with it in flight. kill -9 and the kernel
//! when memory is short may hit a worker twice whatever it does: they need one time more.

/// Into how many runs what was in flight at a death is divided.
const RUNS: u32 = 200;

/// Suspects that did not come for so long are forgotten: they went to another worker, or to none.
const MEMORY: i64 = 3600;

/// A partition, known from one life of the worker to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// A hash of the topic's name.
    pub topic: u64,
    /// The partition.
    pub partition: i32,
}

/// Consecutive messages of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// Where they come from.
    pub place: Place,
    /// Offset of the first one.
    pub first: i64,
    /// Offset after the last one.
    pub next: i64,
}

/// What was taken together and not acknowledged when the worker died, as far as it is of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Its position.
    pub stretch: Stretch,
    /// The messages of the whole chunk, said once: 0 for its other partitions.
    pub messages: u32,
    /// Timestamp of the message, if it is a single one.
    pub timestamp: i64,
}

/// Messages that were in flight when the worker died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspect {
    /// Their position.
    pub stretch: Stretch,
    /// How many messages were in flight when it last died with them.
    pub company: u32,
    /// How often it died with them in flight.
    pub deaths: u16,
    /// How often with this one alone in flight.
    pub alone: u16,
    /// It is not run again.
    pub condemned: bool,
    /// Timestamp of the message that was alone, so that nobody takes another one for it if the topic was made anew.
    pub timestamp: i64,
    /// When the worker found out: seconds since the Unix epoch.
    pub since: i64,
}

/// How a life of the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By a decision of its own, or of somebody who asked it to stop: nobody is suspected.
    Orderly,
    /// By a crash of its own.
    Crashed,
    /// Without a word: killed from outside, or crashed in a way that leaves none.
    Vanished,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs as usual.
    Free,
    /// It runs with at most so many in all, and nothing beside them.
    Watched { company: usize },
    /// It is not run.
    Condemned { deaths: u16 },
}

/// The suspects after a life that ended like this; `suspects` are those that it knew of, `now` is in seconds since the Unix
/// epoch.
pub fn after(suspects: Vec<Suspect>, in_flight: &[InFlight], end: End, now: i64) -> Vec<Suspect> {
    let is_fresh = |suspect: &Suspect| (now - suspect.since).abs() < MEMORY;
    let mut known = Suspects::new(suspects.into_iter().filter(is_fresh).collect());
    if end == End::Orderly {
        return known.list;
    }
    let messages = in_flight.iter().fold(0_u32, |sum, chunk| sum.saturating_add(chunk.messages)).max(1);
    let mut found = Vec::new();
    for chunk in in_flight {
        let death = Death { chunk, messages, end, now };
        let mut first = chunk.stretch.first;
        for suspect in known.overlapping(chunk.stretch) {
            let Stretch { first: from, next, .. } = suspect.stretch;
            found.extend(death.of(Suspect::default(), first, from));
            found.extend(death.of(suspect, first.max(from), next.min(chunk.stretch.next)));
            first = next;
        }
        found.extend(death.of(Suspect::default(), first, chunk.stretch.next));
    }
    in_flight.iter().for_each(|chunk| known.answered(chunk.stretch));
    found.extend(known.list);
    Suspects::new(found).joined()
}

/// A death, seen from one of those who were in flight.
struct Death<'a> {
    chunk: &'a InFlight,
    messages: u32,
    end: End,
    now: i64,
}

impl Death<'_> {
    /// What is thought of those from `first` up to `next`, after `before`.
    fn of(&self, before: Suspect, first: i64, next: i64) -> Option<Suspect> {
        let stretch = Stretch { first, next, ..self.chunk.stretch };
        if first >= next || before.condemned {
            return (first < next).then_some(Suspect { stretch, ..before });
        }
        let is_alone = self.messages == 1;
        let deaths = before.deaths.saturating_add(1);
        let alone = before.alone.saturating_add(u16::from(is_alone));
        let condemned = alone >= 2 || (is_alone && deaths >= 2 && self.end == End::Crashed);
        let timestamp = if is_alone { self.chunk.timestamp } else { before.timestamp };
        Some(Suspect { stretch, company: self.messages, deaths, alone, condemned, timestamp, since: self.now })
    }
}

/// The suspects of a life, in the order of their positions; none twice.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    list: Vec<Suspect>,
}

impl Suspects {
    /// These; where two are about the same messages, what stands first counts.
    pub fn new(list: Vec<Suspect>) -> Self {
        let mut sorted = list.clone();
        sorted.sort_by_key(|suspect| suspect.stretch);
        let overlap = |pair: &[Suspect]| {
            let (one, other) = (pair[0].stretch, pair[1].stretch);
            one.place == other.place && other.first < one.next
        };
        if !sorted.windows(2).any(overlap) {
            return Self { list: sorted };
        }
        // Only where a partition went and came back while the worker had its messages in hand.
        let mut suspects = Self::default();
        for suspect in list {
            let mut rest = Self { list: vec![suspect] };
            suspects.overlapping(suspect.stretch).iter().for_each(|known| rest.answered(known.stretch));
            suspects.list.append(&mut rest.list);
        }
        suspects.list.sort_by_key(|suspect| suspect.stretch);
        suspects
    }

    /// Neighbours of whom the same is thought, as one.
    fn joined(self) -> Vec<Suspect> {
        let mut joined: Vec<Suspect> = Vec::with_capacity(self.list.len());
        for suspect in self.list {
            match joined.last_mut() {
                Some(last) if last.goes_on_with(&suspect) => last.stretch.next = suspect.stretch.next,
                _ => joined.push(suspect),
            }
        }
        joined
    }

    /// All of them.
    pub fn list(&self) -> &[Suspect] {
        &self.list
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many messages they may be: as many as there are offsets.
    pub fn messages(&self) -> u64 {
        let length = |Stretch { first, next, .. }: Stretch| next.abs_diff(first);
        self.list.iter().map(|suspect| length(suspect.stretch)).sum()
    }

    /// What becomes of a message.
    pub fn fate(&self, place: Place, offset: i64, timestamp: i64) -> Fate {
        let after =
            self.list.partition_point(|suspect| (suspect.stretch.place, suspect.stretch.first) <= (place, offset));
        let Some(suspect) = after.checked_sub(1).map(|index| self.list[index]) else { return Fate::Free };
        let is_it = suspect.stretch.place == place && offset < suspect.stretch.next;
        if !is_it || (suspect.alone > 0 && suspect.timestamp != timestamp) {
            Fate::Free
        } else if suspect.condemned {
            Fate::Condemned { deaths: suspect.deaths }
        } else {
            Fate::Watched { company: suspect.company.div_ceil(RUNS).max(1) as usize }
        }
    }

    /// These were in flight, and the worker lives.
    pub fn answered(&mut self, stretch: Stretch) {
        let mut kept = Vec::with_capacity(self.list.len() + 1);
        for suspect in self.list.drain(..) {
            let Stretch { place, first, next } = suspect.stretch;
            if place != stretch.place || next <= stretch.first || stretch.next <= first {
                kept.push(suspect);
                continue;
            }
            for (first, next) in [(first, stretch.first), (stretch.next, next)] {
                if first < next {
                    kept.push(Suspect { stretch: Stretch { place, first, next }, ..suspect });
                }
            }
        }
        self.list = kept;
    }

    /// A partition has been taken up to `offset`: what is before it will not come any more.
    pub fn passed(&mut self, place: Place, offset: i64) {
        self.answered(Stretch { place, first: i64::MIN, next: offset });
    }

    /// Forgets those that have not come for a long time.
    pub fn forget_old(&mut self, now: i64) {
        self.list.retain(|suspect| (now - suspect.since).abs() < MEMORY);
    }

    fn overlapping(&self, stretch: Stretch) -> Vec<Suspect> {
        let touches = |suspect: &&Suspect| {
            let Stretch { place, first, next } = suspect.stretch;
            place == stretch.place && first < stretch.next && stretch.first < next
        };
        self.list.iter().filter(touches).copied().collect()
    }
}

impl Suspect {
    fn goes_on_with(&self, other: &Self) -> bool {
        let is_next = self.stretch.place == other.stretch.place && self.stretch.next == other.stretch.first;
        let same = Self { stretch: other.stretch, ..*self } == *other;
        is_next && same && self.alone == 0
    }
}

#[cfg(test)]
mod tests;
