//! Which fault comes when: decided by the seed alone.

use std::time::Duration;

use super::{faults::Kind, random::Random};

/// A fault that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// How long after the one before; later, if what it needs is not there yet.
    pub pause: Duration,
    pub kind: Kind,
    pub lasts: Duration,
    /// Says which worker, broker or version it befalls, among those that there are then.
    pub pick: u64,
}

/// Deals faults as cards: every kind once before any comes again. `pace` is the mean time between two, `session` how long a
/// group waits for a silent member.
pub fn plan(seed: u64, faults: usize, kinds: &[Kind], pace: Duration, session: Duration) -> Vec<Planned> {
    let mut random = Random::new(seed);
    let session = u64::try_from(session.as_millis()).expect("some seconds");
    let pace = u64::try_from(pace.as_millis()).expect("some seconds");
    let mut deck = Vec::new();
    let mut planned = Vec::with_capacity(faults);
    for _ in 0..faults {
        if deck.is_empty() {
            deck = kinds.to_vec();
            random.shuffle(&mut deck);
        }
        let kind = deck.pop().expect("there is at least one kind");
        let pause = random.millis(&(pace / 2..pace * 3 / 2));
        let lasts = random.millis(&kind.lasts(session));
        planned.push(Planned { pause, kind, lasts, pick: random.next() });
    }
    planned
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::ValueEnum;

    use super::*;

    fn plan_of(seed: u64, faults: usize) -> Vec<Planned> {
        plan(seed, faults, Kind::value_variants(), Duration::from_secs(3), Duration::from_secs(4))
    }

    #[test]
    fn the_same_seed_is_the_same_schedule_and_another_seed_is_another() {
        assert_eq!(plan_of(7, 50), plan_of(7, 50));
        assert_ne!(plan_of(7, 50), plan_of(8, 50));
        assert_eq!(plan_of(7, 50)[..20], plan_of(7, 20), "a longer run begins as a shorter one");
    }

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        let mut times = BTreeMap::<Kind, usize>::new();
        for planned in plan_of(3, 2 * Kind::value_variants().len()) {
            *times.entry(planned.kind).or_default() += 1;
        }
        assert_eq!(times.len(), Kind::value_variants().len());
        assert!(times.values().all(|times| *times == 2), "{times:?}");
    }
}
