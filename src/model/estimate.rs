//! How long a small piece of work takes, learnt from what such pieces have taken: whether it may be done where it is, or is
//! better handed to a thread that nobody waits for.
//!
//! Handing work over costs two wake-ups of a thread, some tens of microseconds each way; a small run of a small model takes
//! less than that. The estimate is a cautious one: a piece that takes longer than expected counts in full, one that takes
//! less by a tenth, so that work whose cost varies is handed over.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How much of the difference a piece counts that took less than expected.
const RELIEF: f64 = 0.1;

/// What a small piece of work is expected to take.
#[derive(Debug, Default)]
pub struct Estimate {
    /// Nanoseconds; 0 is unknown.
    nanos: AtomicU64,
}

impl Estimate {
    /// What the next piece is expected to take; `None` before the first.
    pub fn expected(&self) -> Option<Duration> {
        match self.nanos.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Takes a piece into account. Threads may race here; an observation lost to that does not matter.
    pub fn learn(&self, took: Duration) {
        let took = took.as_nanos() as f64;
        let nanos = match self.expected().map(|expected| expected.as_nanos() as f64) {
            Some(expected) if took < expected => expected + RELIEF * (took - expected),
            _ => took,
        };
        self.nanos.store((nanos as u64).max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn nothing_is_expected_of_what_was_never_done() {
        assert_eq!(Estimate::default().expected(), None);
    }

    #[test]
    fn a_piece_that_takes_long_is_believed_at_once_and_short_ones_only_by_and_by() {
        let estimate = Estimate::default();
        estimate.learn(micros(10));
        estimate.learn(micros(5_000));
        assert_eq!(estimate.expected(), Some(micros(5_000)));
        estimate.learn(micros(10));
        assert!(estimate.expected().unwrap() > micros(4_000));
        (0..100).for_each(|_| estimate.learn(micros(10)));
        assert!(estimate.expected().unwrap() < micros(20), "{estimate:?}");
    }
}
