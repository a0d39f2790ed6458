//! Lives and deaths of a worker that is told what to run how, with poison among its messages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_800_000_000;

type Id = (i32, i64);

fn place(partition: i32) -> Place {
    Place { topic: 7, partition }
}

fn stretch(partition: i32, first: i64, next: i64) -> Stretch {
    Stretch { place: place(partition), first, next }
}

fn chunk(stretch: Stretch) -> InFlight {
    InFlight { stretch, messages: u32::try_from(stretch.next - stretch.first).unwrap(), timestamp: 0 }
}

/// A worker in the hands of its supervisor.
struct Mill {
    /// What is not answered yet, partition after partition in turns, as a poll brings it.
    waiting: Vec<Id>,
    poison: BTreeSet<Id>,
    /// How many may be in flight.
    most: usize,
    /// What the process looks like when it dies of poison.
    end: End,
    suspects: Vec<Suspect>,
    deaths: usize,
    /// How often the process died while a message alone was in flight, whatever killed it.
    alone: BTreeMap<Id, usize>,
    condemned: BTreeSet<Id>,
}

impl Mill {
    fn new(partitions: i32, length: i64, most: usize, end: End) -> Self {
        let waiting = (0..length).flat_map(|offset| (0..partitions).map(move |partition| (partition, offset)));
        Self {
            waiting: waiting.collect(),
            poison: BTreeSet::new(),
            most,
            end,
            suspects: Vec::new(),
            deaths: 0,
            alone: BTreeMap::new(),
            condemned: BTreeSet::new(),
        }
    }

    fn in_flight(ids: &[Id]) -> Vec<InFlight> {
        let mut spans: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
        for (partition, offset) in ids {
            let span = spans.entry(*partition).or_insert((*offset, offset + 1));
            span.1 = span.1.max(offset + 1);
        }
        let mut messages = u32::try_from(ids.len()).unwrap();
        let span = |(partition, (first, next))| {
            let messages = std::mem::take(&mut messages);
            InFlight { stretch: stretch(partition, first, next), messages, timestamp: 0 }
        };
        spans.into_iter().map(span).collect()
    }

    fn dies(&mut self, ids: &[Id], end: End, known: Suspects) {
        self.deaths += 1;
        if let [id] = ids {
            *self.alone.entry(*id).or_default() += 1;
        }
        self.suspects = after(known.list, &Self::in_flight(ids), end, NOW);
    }

    /// One life: until everything is answered, or a death by poison or, after so many runs, from outside.
    fn lives(&mut self, mut killed_after: Option<usize>) {
        let mut known = Suspects::new(std::mem::take(&mut self.suspects));
        while !self.waiting.is_empty() {
            let first = known.fate(place(self.waiting[0].0), self.waiting[0].1, 0);
            let most = match first {
                Fate::Free => self.most,
                Fate::Watched { company } => company,
                Fate::Condemned { .. } => 1,
            };
            let same = |id: &&Id| known.fate(place(id.0), id.1, 0) == first;
            let run: Vec<Id> = self.waiting.iter().take_while(same).take(most).copied().collect();
            for span in Self::in_flight(&run) {
                known.passed(span.stretch.place, span.stretch.first);
            }
            let is_condemned = matches!(first, Fate::Condemned { .. });
            if !is_condemned && run.iter().any(|id| self.poison.contains(id)) {
                return self.dies(&run, self.end, known);
            }
            if killed_after == Some(0) {
                return self.dies(&run, End::Vanished, known);
            }
            killed_after = killed_after.map(|runs| runs - 1);
            if is_condemned {
                self.condemned.extend(&run);
            }
            Self::in_flight(&run).iter().for_each(|span| known.answered(span.stretch));
            self.waiting.drain(..run.len());
        }
        self.suspects = known.list;
    }
}

/// How many deaths may be between so many in flight and a verdict.
fn bound(in_flight: usize, end: End) -> usize {
    let narrowings = match in_flight {
        1 => 0,
        2..=200 => 1,
        201..=40_000 => 2,
        _ => 3,
    };
    let last = if end == End::Crashed { 1 } else { 2 };
    (narrowings + last).max(2)
}

#[test]
fn one_poison_among_twenty_thousand_is_found_after_three_crashes_and_four_kills() {
    for (most, end, deaths) in [
        (20_000, End::Crashed, 3),
        (20_000, End::Vanished, 4),
        (200, End::Crashed, 2),
        (200, End::Vanished, 3),
        (1, End::Crashed, 2),
        (1, End::Vanished, 2),
    ] {
        let mut mill = Mill::new(4, 6_000, most, end);
        mill.poison = [(2, 3_456)].into();
        while !mill.waiting.is_empty() {
            mill.lives(None);
            assert!(mill.deaths <= deaths, "{most} in flight, {end:?}");
        }
        assert_eq!((mill.deaths, &mill.condemned), (deaths, &mill.poison), "{most} in flight, {end:?}");
        assert_eq!(mill.suspects, [], "nobody is suspected any more");
    }
}

#[test]
fn a_stop_that_was_asked_for_makes_nobody_a_suspect_and_forgets_none() {
    let before = after(Vec::new(), &[chunk(stretch(0, 5, 9))], End::Vanished, NOW);
    assert_eq!(before.len(), 1);
    assert_eq!(after(before.clone(), &[chunk(stretch(0, 5, 6)), chunk(stretch(1, 0, 50))], End::Orderly, NOW), before);
    assert_eq!(after(Vec::new(), &[chunk(stretch(0, 5, 9))], End::Orderly, NOW), []);
}

#[test]
fn a_lone_request_that_was_killed_twice_is_condemned_and_one_that_crashed_once_is_not() {
    let alone = [chunk(stretch(0, 5, 6))];
    let once = after(Vec::new(), &alone, End::Crashed, NOW);
    assert_eq!((once[0].deaths, once[0].condemned), (1, false), "it may have been anything");
    assert!(after(once.clone(), &alone, End::Vanished, NOW)[0].condemned);
    let in_company = after(Vec::new(), &[chunk(stretch(0, 0, 10))], End::Vanished, NOW);
    let killed = after(in_company.clone(), &alone, End::Vanished, NOW);
    assert!(
        killed.iter().all(|suspect| !suspect.condemned),
        "whoever killed it from outside may have met it by chance"
    );
    let crashed = after(in_company, &alone, End::Crashed, NOW);
    let condemned: Vec<_> = crashed.iter().filter(|suspect| suspect.condemned).map(|one| one.stretch).collect();
    assert_eq!(condemned, [stretch(0, 5, 6)]);
}

#[test]
fn the_condemned_stay_condemned_until_they_are_answered() {
    let alone = [chunk(stretch(0, 5, 6))];
    let once = after(Vec::new(), &alone, End::Crashed, NOW);
    let twice = after(once, &alone, End::Crashed, NOW);
    let killed_while_it_was_answered = after(twice.clone(), &alone, End::Vanished, NOW);
    assert_eq!(killed_while_it_was_answered, twice);
    let mut suspects = Suspects::new(twice);
    assert_eq!(suspects.fate(place(0), 5, 0), Fate::Condemned { deaths: 2 });
    assert_eq!(suspects.fate(place(0), 5, 1), Fate::Free, "another message at its place, of another time");
    assert_eq!((suspects.fate(place(0), 4, 0), suspects.fate(place(1), 5, 0)), (Fate::Free, Fate::Free));
    suspects.answered(alone[0].stretch);
    assert!(suspects.is_empty());
}

#[test]
fn of_two_opinions_on_the_same_message_the_first_counts() {
    let suspect = |stretch, deaths| Suspect { stretch, deaths, ..Suspect::default() };
    let suspects =
        Suspects::new(vec![suspect(stretch(0, 5, 9), 2), suspect(stretch(1, 0, 3), 1), suspect(stretch(0, 0, 20), 1)]);
    let seen: Vec<_> = suspects.list().iter().map(|suspect| (suspect.stretch, suspect.deaths)).collect();
    let expected = [(stretch(0, 0, 5), 1), (stretch(0, 5, 9), 2), (stretch(0, 9, 20), 1), (stretch(1, 0, 3), 1)];
    assert_eq!(seen, expected);
}

#[test]
fn suspects_that_do_not_come_are_forgotten() {
    let list = after(Vec::new(), &[chunk(stretch(0, 5, 9)), chunk(stretch(1, 5, 9))], End::Vanished, NOW);
    let mut suspects = Suspects::new(list.clone());
    suspects.passed(place(0), 7);
    assert_eq!(suspects.list()[0].stretch, stretch(0, 7, 9));
    suspects.passed(place(0), 100);
    assert_eq!(suspects.list()[0].stretch, stretch(1, 5, 9));
    suspects.forget_old(NOW + 2 * MEMORY);
    assert!(suspects.is_empty());
    assert_eq!(after(list, &[], End::Vanished, NOW + 2 * MEMORY), [], "also by the next life");
}

proptest! {
    /// Whatever the poison among whatever load, and whoever kills the worker besides: everything is answered, each poison
    /// costs no more deaths than promised, and an innocent is condemned only if the worker died twice with it alone.
    #[test]
    fn poison_is_found_in_time_and_innocents_only_die_alone_by_hand(
        partitions in 1_i32..5,
        length in 1_i64..500,
        most in 1_usize..1200,
        poison in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        kills in prop::collection::vec(0_usize..12, 0..6),
        crashes in any::<bool>(),
    ) {
        let end = if crashes { End::Crashed } else { End::Vanished };
        let mut mill = Mill::new(partitions, length, most, end);
        let all = mill.waiting.clone();
        mill.poison = poison.iter().map(|pick| all[pick.index(all.len())]).collect();
        let poison = mill.poison.clone();
        let most = most.min(all.len());
        let allowed = kills.len() + poison.len() * bound(most, end);
        let mut kills = kills.into_iter();
        while !mill.waiting.is_empty() {
            mill.lives(kills.next());
            // A kill may keep a life from learning anything, and makes others suspects.
            prop_assert!(mill.deaths <= allowed, "{} deaths", mill.deaths);
        }
        prop_assert!(mill.condemned.is_superset(&poison));
        for innocent in mill.condemned.difference(&poison) {
            prop_assert!(mill.alone[innocent] >= 2);
        }
    }
}
