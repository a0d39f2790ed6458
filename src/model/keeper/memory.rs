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

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving<T> {
    /// The one that was used longest ago first.
    pub what: Vec<T>,
    /// Whether that makes room enough.
    pub enough: bool,
}

/// The fewest that must leave, longest unused first, for `needed` bytes to fit beside the `used` ones; all of them if even
/// that is not enough.
pub fn leaving<T>(mut candidates: Vec<Candidate<T>>, used: u64, needed: u64, budget: u64) -> Leaving<T> {
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.idle));
    let mut total = used.saturating_add(needed);
    let mut what = Vec::new();
    for candidate in candidates {
        if total <= budget {
            break;
        }
        total = total.saturating_sub(candidate.memory);
        what.push(candidate.what);
    }
    Leaving { what, enough: total <= budget }
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
        let leave = |needed| {
            let Leaving { what, enough } = leaving(all.clone(), 25, needed, 30);
            (what.join(", "), enough)
        };
        assert_eq!(leave(5), (String::new(), true));
        assert_eq!(leave(10), ("older".to_owned(), true));
        assert_eq!(leave(12), ("older, old".to_owned(), true));
        assert_eq!(leave(30), ("older, old, fresh".to_owned(), true));
        assert_eq!(leave(31), ("older, old, fresh".to_owned(), false));
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
            let freed: u64 = left.what.iter().sum();
            if let Some(last) = left.what.last() {
                prop_assert!(used - (freed - last) + needed > budget, "the last one need not have left");
            }
            prop_assert_eq!(left.enough, used - freed + needed <= budget);
            prop_assert!(left.enough || left.what.len() == candidates.len());
        }
    }
}
