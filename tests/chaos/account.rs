//! Which fault doubled which answers, and whether it may have: pure, from the times of both.

use std::collections::BTreeMap;

use super::{
    faults::{Kind, Repeats},
    ledger::Double,
};

/// How long before a fault an answer may have come whose offset was not committed yet, in milliseconds: `commit_interval`, and as
/// much again for a commit that failed or was under way.
const UNCOMMITTED: u32 = 2_000;

/// How long after the end of a fault its last double may come: a new member joins, the rest of the old one's work is done again.
const RECOVERY: u32 = 30_000;

/// How long after a fault that delays answers some of them may still be on their way, in milliseconds.
const DELAYED: u32 = 8_000;

/// A fault that came, in milliseconds since the beginning.
#[derive(Clone, Debug)]
pub struct Applied {
    pub kind: Kind,
    pub from: u32,
    pub until: u32,
}

/// What a fault may double.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub workers: usize,
    /// What one worker may have in flight.
    pub in_flight: usize,
    /// Requests a second.
    pub rate: f64,
}

/// Doubles by the kind of fault that they come from.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Doubles {
    pub by_kind: BTreeMap<Kind, usize>,
    /// The most that one fault doubled, and what that one might have.
    pub most: usize,
    pub most_allowed: usize,
    /// Those that no fault accounts for by its times, but whose requests were not committed when they were answered again.
    pub uncommitted: usize,
    /// Those that nothing accounts for.
    pub unexplained: Vec<Double>,
}

impl Bounds {
    /// The most that one such fault may double, if nothing was committed since `reach`: what is in flight, and what was answered
    /// since.
    fn of(&self, fault: &Applied, reach: u32) -> usize {
        let uncommitted = (self.rate * f64::from(fault.from - reach) / 1e3) as usize;
        match fault.kind.repeats() {
            Repeats::Nobody => 0,
            Repeats::OneWorker => self.in_flight + uncommitted,
            Repeats::EveryWorker => self.workers * self.in_flight + uncommitted,
        }
    }
}

/// Charges each double to the latest fault that may have caused it and has not used up what it may double. One that is left has
/// no excuse but that its request was not committed: where faults come faster than a group recovers, nothing is for a while.
pub fn explain(
    doubles: &[Double],
    faults: &[Applied],
    bounds: &Bounds,
    is_committed: impl Fn(&Double) -> bool,
) -> Doubles {
    let reaches: Vec<_> = faults.iter().map(|fault| reach(fault, faults)).collect();
    let allowed: Vec<_> = faults.iter().zip(&reaches).map(|(fault, reach)| bounds.of(fault, *reach)).collect();
    let mut used = vec![0; faults.len()];
    let mut told = Doubles::default();
    for double in doubles {
        let may_cause = |index: &usize| {
            let fault = &faults[*index];
            let came_between = double.before >= reaches[*index] && double.again >= fault.from;
            came_between && double.again <= fault.until + RECOVERY && used[*index] < allowed[*index]
        };
        let Some(cause) = (0..faults.len()).rev().find(may_cause) else {
            match is_committed(double) {
                true => told.unexplained.push(*double),
                false => told.uncommitted += 1,
            }
            continue;
        };
        used[cause] += 1;
        *told.by_kind.entry(faults[cause].kind).or_default() += 1;
    }
    if let Some(most) = (0..faults.len()).max_by_key(|index| used[*index]) {
        (told.most, told.most_allowed) = (used[most], allowed[most]);
    }
    told
}

/// How far back an answer may lie whose offset was not committed yet when a fault came. One request that takes long holds up the
/// commits of its partition: what came after it is answered and not committed.
fn reach(fault: &Applied, faults: &[Applied]) -> u32 {
    let held_up =
        |before: &&Applied| before.kind.delays() && before.from <= fault.from && before.until + DELAYED >= fault.from;
    let since = faults.iter().filter(held_up).map(|before| before.from).min().unwrap_or(fault.from);
    since.saturating_sub(UNCOMMITTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { workers: 3, in_flight: 10, rate: 1.0 };

    fn double(before: u32, again: u32) -> Double {
        Double { number: 0, before, again }
    }

    fn fault(kind: Kind, from: u32, until: u32) -> Applied {
        Applied { kind, from, until }
    }

    #[test]
    fn a_double_belongs_to_the_crash_between_its_two_answers() {
        let faults = [fault(Kind::Kill, 10_000, 10_500), fault(Kind::Stop, 11_000, 12_000)];
        let told = explain(&[double(9_500, 14_000)], &faults, &BOUNDS, |_| true);
        assert_eq!(told.by_kind, BTreeMap::from([(Kind::Kill, 1)]));
        assert_eq!(told.unexplained, []);
    }

    #[test]
    fn what_was_answered_and_committed_long_before_a_crash_is_not_its_to_double() {
        let double = double(2_000, 14_000);
        let told = explain(&[double], &[fault(Kind::Kill, 10_000, 10_500)], &BOUNDS, |_| true);
        assert_eq!(told.unexplained, [double]);
    }

    #[test]
    fn what_no_commit_covered_may_be_answered_again_whenever_somebody_comes_to_it() {
        let doubles = [double(2_000, 90_000), double(2_000, 90_001)];
        let told = explain(&doubles, &[fault(Kind::Kill, 10_000, 10_500)], &BOUNDS, |double| double.again == 90_000);
        assert_eq!((told.unexplained, told.uncommitted), (vec![doubles[0]], 1));
    }

    #[test]
    fn behind_a_slow_request_answers_wait_for_their_commit() {
        let double = double(7_000, 14_000);
        let mut faults = vec![fault(Kind::Kill, 10_000, 10_500)];
        assert_eq!(explain(&[double], &faults, &BOUNDS, |_| true).unexplained, [double]);
        faults.insert(0, fault(Kind::SlowModel, 6_000, 6_000));
        assert_eq!(explain(&[double], &faults, &BOUNDS, |_| true).by_kind, BTreeMap::from([(Kind::Kill, 1)]));
    }

    #[test]
    fn a_worker_that_leaves_of_its_own_accord_doubles_nothing() {
        let double = double(9_900, 10_500);
        assert_eq!(explain(&[double], &[fault(Kind::Stop, 10_000, 10_000)], &BOUNDS, |_| true).unexplained, [double]);
    }

    #[test]
    fn a_killed_worker_doubles_no_more_than_it_had_in_hand() {
        let doubles = vec![double(9_900, 10_500); 20];
        let told = explain(&doubles, &[fault(Kind::Kill, 10_000, 10_000)], &BOUNDS, |_| true);
        assert_eq!((told.most, told.unexplained.len()), (12, 8), "10 in flight, 2 of the last two seconds");
        let told = explain(&doubles, &[fault(Kind::Cut, 10_000, 10_000)], &BOUNDS, |_| true);
        assert_eq!((told.most, told.most_allowed, told.unexplained.len()), (20, 32, 0), "of three workers");
    }
}
