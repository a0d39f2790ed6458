//! Which models leave memory: those used longest ago, and only those that nobody uses.

use std::time::Duration;

/// How much memory models may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Bytes that all models may take together, as measured when they were loaded. `None`: as many as it takes.
    pub budget: Option<u64>,
    /// A model that has not been used for so long leaves memory. `None`: it stays.
    pub idle_timeout: Option<Duration>,
}

/// A model in memory that may leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<T> {
    /// Which one.
    pub what: T,
    /// Bytes.
    pub memory: u64,
    /// How long ago it was used.
    pub idle: Duration,
}

/// The fewest that must leave, longest unused first, for `needed` bytes to fit beside the `used` ones; all of them if even
/// that is not enough.
pub fn leaving<T>(mut candidates: Vec<Candidate<T>>, used: u64, needed: u64, budget: u64) -> Vec<T> {
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.idle));
    let mut used = used;
    let leave = candidates.into_iter().map_while(|candidate| {
        let is_too_much = used.saturating_add(needed) > budget;
        used = used.saturating_sub(candidate.memory);
        is_too_much.then_some(candidate.what)
    });
    leave.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(what: &'static str, memory: u64, idle: u64) -> Candidate<&'static str> {
        Candidate { what, memory, idle: Duration::from_secs(idle) }
    }

    #[test]
    fn the_ones_used_longest_ago_leave_until_there_is_room() {
        let all = vec![candidate("fresh", 10, 1), candidate("old", 10, 60), candidate("older", 5, 90)];
        assert_eq!(leaving(all.clone(), 25, 5, 30), [""; 0]);
        assert_eq!(leaving(all.clone(), 25, 10, 30), ["older"]);
        assert_eq!(leaving(all.clone(), 25, 12, 30), ["older", "old"]);
        assert_eq!(leaving(all, 25, 100, 30), ["older", "old", "fresh"]);
    }

    proptest! {
        #[test]
        fn no_more_leave_than_must(
            candidates in prop::collection::vec((1_u64..100, 0_u64..1000), 0..20),
            extra in 0_u64..500,
            needed in 0_u64..500,
            budget in 0_u64..1500,
        ) {
            let used = candidates.iter().map(|(memory, _)| memory).sum::<u64>() + extra;
            let all: Vec<_> = candidates
                .iter()
                .map(|(memory, idle)| Candidate { what: *memory, memory: *memory, idle: Duration::from_secs(*idle) })
                .collect();
            let left = leaving(all, used, needed, budget);
            let freed: u64 = left.iter().sum();
            if let Some(last) = left.last() {
                prop_assert!(used - (freed - last) + needed > budget, "the last one need not have left");
            }
            prop_assert!(left.len() == candidates.len() || used - freed + needed <= budget);
        }
    }
}
