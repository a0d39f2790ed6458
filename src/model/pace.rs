//! How many rows a run may have, learnt from what rows have cost.
//!
//! One default must suit a regression (50 ns a row) and a transformer (5 ms a row). The cost of a row is followed as a
//! moving average over runs, weighted by their rows, and the limit is what fits into the target time. It starts small, so
//! that the first run of a heavy model is not a long one, and grows at most eightfold a run.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use super::estimate::Estimate;

/// Rows that the first run may have.
const FIRST: usize = 32;

/// How much of a new observation enters the average when a run was full; less for smaller runs, whose fixed cost would
/// make rows look dear.
const WEIGHT: f64 = 0.3;

/// The limit of a run's rows.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    target: Duration,
    /// Nanoseconds a row, as the bits of an `f64`; 0 is unknown.
    cost: AtomicU64,
    limit: AtomicUsize,
    /// What runs of few rows take: they cost more than their rows.
    small: Estimate,
}

impl Pace {
    /// At most `most` rows, and about as many as take `target`.
    pub fn new(most: usize, target: Duration) -> Self {
        let most = most.max(1);
        Self {
            most,
            target,
            cost: AtomicU64::new(0),
            limit: AtomicUsize::new(FIRST.min(most)),
            small: Estimate::default(),
        }
    }

    /// The most rows of the next run; at least 1.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// What a row has cost of late; zero before the first run.
    pub fn row_cost(&self) -> Duration {
        Duration::from_nanos(self.row_nanos().unwrap_or(0.0) as u64)
    }

    /// What a run of so many rows is expected to take; `None` while too little is known.
    pub fn expected(&self, rows: usize) -> Option<Duration> {
        let by_rows = self.row_nanos()? * rows as f64;
        let small = self.small.expected();
        if rows <= FIRST && small.is_none() {
            return None;
        }
        Some(small.unwrap_or_default().max(Duration::from_nanos(by_rows as u64)))
    }

    fn row_nanos(&self) -> Option<f64> {
        match self.cost.load(Ordering::Relaxed) {
            0 => None,
            bits => Some(f64::from_bits(bits)),
        }
    }

    /// Takes a run into account. Sessions of one version may race here; an observation lost to that does not matter.
    pub fn learn(&self, rows: usize, time: Duration) {
        if rows == 0 {
            return;
        }
        if rows <= FIRST {
            self.small.learn(time);
        }
        let limit = self.limit();
        let observed = time.as_nanos() as f64 / rows as f64;
        let cost = match self.row_nanos() {
            None => observed,
            Some(old) => {
                let weight = WEIGHT * (rows as f64 / limit as f64).clamp(0.02, 1.0);
                // A small run that looks dear says little about full ones; a cheaper row is a fact at any size.
                if observed < old { old + WEIGHT * (observed - old) } else { old + weight * (observed - old) }
            }
        };
        self.cost.store(cost.max(f64::MIN_POSITIVE).to_bits(), Ordering::Relaxed);
        let fits = (self.target.as_nanos() as f64 / cost.max(1.0)) as usize;
        self.limit.store(fits.clamp(1, self.most).min(limit.saturating_mul(8)), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(pace: &Pace, row_nanos: u64, fixed_nanos: u64) -> usize {
        for _ in 0..50 {
            let rows = pace.limit();
            pace.learn(rows, Duration::from_nanos(fixed_nanos + row_nanos * rows as u64));
        }
        pace.limit()
    }

    #[test]
    fn one_target_suits_a_regression_and_a_transformer() {
        let target = Duration::from_millis(50);
        assert_eq!(settle(&Pace::new(512, target), 50, 2_000), 512);
        let transformer = settle(&Pace::new(512, target), 5_000_000, 100_000);
        assert!((8..=10).contains(&transformer), "{transformer}");
    }

    #[test]
    fn a_row_that_takes_longer_than_the_target_still_runs() {
        assert_eq!(settle(&Pace::new(512, Duration::from_millis(1)), 5_000_000, 0), 1);
    }

    #[test]
    fn lone_rows_do_not_make_a_cheap_model_look_dear() {
        let pace = Pace::new(512, Duration::from_micros(200));
        assert_eq!(settle(&pace, 50, 2_000), 512);
        for _ in 0..10 {
            pace.learn(1, Duration::from_nanos(2_050));
        }
        assert!(pace.limit() >= 256, "{}", pace.limit());
    }

    #[test]
    fn a_lone_row_is_not_expected_to_cost_what_a_row_of_a_full_run_does() {
        let pace = Pace::new(512, Duration::from_millis(50));
        pace.learn(512, Duration::from_millis(6));
        assert_eq!(pace.expected(1), None, "no small run was seen yet");
        pace.learn(1, Duration::from_millis(5));
        assert_eq!(pace.expected(1), Some(Duration::from_millis(5)));
        assert!(pace.expected(512).unwrap() >= Duration::from_millis(5));
    }

    #[test]
    fn a_slower_version_is_noticed() {
        let pace = Pace::new(512, Duration::from_millis(50));
        settle(&pace, 50, 2_000);
        assert!(settle(&pace, 1_000_000, 0) <= 55);
    }
}
