//! How long a small piece of work takes, learnt from what such pieces have taken: whether it may be done where it is, or is
//! better handed to a thread that nobody waits for.
//!
//! Handing work over costs two wake-ups of a thread, some tens of microseconds each way; a small run of a small model takes
//! less than that. The estimate leans to caution: a piece that took longer than expected raises it at once, one that took less
//! lowers it by and by, so that work whose cost varies is handed over. But a single piece can at most double it, since any
//! may have been interrupted.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How much of the difference a piece counts that took less than expected.
const RELIEF: f64 = 0.2;

/// How many times as long as before one piece can make the next ones seem.
const SURPRISE: f64 = 2.0;

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
            Some(expected) => took.min(SURPRISE * expected),
            None => took,
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
    fn one_interruption_is_no_reason_to_expect_the_worst() {
        let estimate = Estimate::default();
        estimate.learn(micros(10));
        estimate.learn(micros(5_000));
        assert_eq!(estimate.expected(), Some(micros(20)));
    }

    #[test]
    fn what_takes_long_is_soon_believed_and_what_takes_less_by_and_by() {
        let estimate = Estimate::default();
        estimate.learn(micros(10));
        (0..9).for_each(|_| estimate.learn(micros(5_000)));
        assert_eq!(estimate.expected(), Some(micros(5_000)));
        estimate.learn(micros(10));
        assert!(estimate.expected().unwrap() > micros(3_000));
        (0..100).for_each(|_| estimate.learn(micros(10)));
        assert!(estimate.expected().unwrap() < micros(20), "{estimate:?}");
    }
}
