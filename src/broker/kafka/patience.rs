//! How long what comes before a worker's start is tried: until its time is up, or the worker is asked to stop.

use std::time::{Duration, Instant};

/// How long a wait is before it is looked whether to stop.
const SLICE: Duration = Duration::from_millis(100);

/// The time that is left.
pub struct Patience<'a> {
    until: Instant,
    is_stopping: &'a dyn Fn() -> bool,
}

impl<'a> Patience<'a> {
    /// From now on for `time`.
    pub fn new(time: Duration, is_stopping: &'a dyn Fn() -> bool) -> Self {
        Self { until: Instant::now() + time, is_stopping }
    }

    /// A part of it, from now on.
    pub fn at_most(&self, time: Duration) -> Self {
        Self { until: self.until.min(Instant::now() + time), is_stopping: self.is_stopping }
    }

    /// What is left; nothing once the worker is asked to stop.
    pub fn left(&self) -> Duration {
        if (self.is_stopping)() { Duration::ZERO } else { self.until.saturating_duration_since(Instant::now()) }
    }

    /// Whether anything is left.
    pub fn goes_on(&self) -> bool {
        !self.left().is_zero()
    }

    /// Whether more than `time` is left.
    pub fn allows(&self, time: Duration) -> bool {
        self.left() > time
    }

    /// Sleeps for `time`, but no longer than there is time.
    pub fn sleep(&self, time: Duration) {
        let pause = self.at_most(time);
        while pause.goes_on() {
            std::thread::sleep(SLICE.min(pause.left()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_pause_ends_with_the_time_that_is_left_or_a_stop() {
        let started = Instant::now();
        Patience::new(Duration::from_millis(10), &|| false).sleep(HOUR);
        Patience::new(HOUR, &|| true).sleep(HOUR);
        assert!(started.elapsed() < HOUR / 60);
    }

    #[test]
    fn a_part_is_no_longer_than_the_whole() {
        let patience = Patience::new(HOUR, &|| false);
        assert!(patience.at_most(2 * HOUR).left() <= HOUR && patience.at_most(HOUR / 2).left() <= HOUR / 2);
        assert!(patience.allows(HOUR / 2) && !patience.allows(2 * HOUR));
    }
}
