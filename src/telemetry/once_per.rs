//! Saying the same thing once, and then only now and then with the number of times that it was not said.
//!
//! For faults that repeat as long as their cause lasts: an unreachable broker, a repository that is away.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// How often the same line may come.
const PERIOD: Duration = Duration::from_secs(60);

/// Most keys that are remembered: more would be a sign that keys hold something that changes, such as an offset.
const KEYS: usize = 256;

/// Lets a key through once a period.
#[derive(Debug)]
pub struct OncePer {
    period: Duration,
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    said: Instant,
    suppressed: u64,
}

impl OncePer {
    /// A limiter that lets each key through once in `period`.
    pub fn new(period: Duration) -> Self {
        Self { period, seen: HashMap::new() }
    }

    /// Whether `key` may be said at `now`: if so, how often it was suppressed since it was said last.
    pub fn admit(&mut self, key: &str, now: Instant) -> Option<u64> {
        if let Some(seen) = self.seen.get_mut(key) {
            if now.saturating_duration_since(seen.said) < self.period {
                seen.suppressed += 1;
                return None;
            }
            let suppressed = seen.suppressed;
            *seen = Seen { said: now, suppressed: 0 };
            return Some(suppressed);
        }
        self.make_room(now);
        self.seen.insert(key.to_owned(), Seen { said: now, suppressed: 0 });
        Some(0)
    }

    /// The cause is gone: what was suppressed of `key` in the meantime. The next time it is said at once.
    pub fn settle(&mut self, key: &str) -> u64 {
        self.seen.remove(key).map_or(0, |seen| seen.suppressed)
    }

    /// Forgets what is over, and if that is nothing, the oldest key.
    fn make_room(&mut self, now: Instant) {
        if self.seen.len() < KEYS {
            return;
        }
        self.seen.retain(|_, seen| now.saturating_duration_since(seen.said) < self.period);
        let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.said).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest.filter(|_| self.seen.len() >= KEYS) {
            self.seen.remove(&oldest);
        }
    }
}

/// [`OncePer`] for many threads, on the clock of the machine: once a minute.
#[derive(Debug)]
pub struct SharedOncePer(Mutex<OncePer>);

impl Default for SharedOncePer {
    fn default() -> Self {
        Self(Mutex::new(OncePer::new(PERIOD)))
    }
}

impl SharedOncePer {
    /// Whether `key` may be said now: if so, how often it was suppressed since it was said last.
    pub fn admit(&self, key: &str) -> Option<u64> {
        self.admit_at(key, Instant::now())
    }

    /// The same at a moment of the caller's.
    pub fn admit_at(&self, key: &str, now: Instant) -> Option<u64> {
        self.0.lock().admit(key, now)
    }

    /// The cause is gone: what was suppressed of `key` in the meantime.
    pub fn settle(&self, key: &str) -> u64 {
        self.0.lock().settle(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_same_thing_is_said_once_and_again_a_period_later_with_a_count() {
        let (mut limiter, start) = (OncePer::new(60 * SECOND), Instant::now());
        assert_eq!(limiter.admit("broker away", start), Some(0));
        for second in 1..60 {
            assert_eq!(limiter.admit("broker away", start + second * SECOND), None);
        }
        assert_eq!(limiter.admit("broker away", start + 60 * SECOND), Some(59));
        assert_eq!(limiter.admit("broker away", start + 61 * SECOND), None);
        assert_eq!(limiter.admit("broker away", start + 120 * SECOND), Some(1));
    }

    #[test]
    fn different_things_do_not_silence_each_other() {
        let (mut limiter, start) = (OncePer::new(60 * SECOND), Instant::now());
        assert_eq!(limiter.admit("broker away", start), Some(0));
        assert_eq!(limiter.admit("topic missing", start), Some(0));
    }

    #[test]
    fn a_settled_fault_is_said_at_once_when_it_comes_back() {
        let (mut limiter, start) = (OncePer::new(60 * SECOND), Instant::now());
        limiter.admit("broker away", start);
        limiter.admit("broker away", start + SECOND);
        limiter.admit("broker away", start + 2 * SECOND);
        assert_eq!(limiter.settle("broker away"), 2);
        assert_eq!(limiter.admit("broker away", start + 3 * SECOND), Some(0));
        assert_eq!(limiter.settle("never said"), 0);
    }

    #[test]
    fn keys_that_never_repeat_do_not_pile_up() {
        let (mut limiter, start) = (OncePer::new(60 * SECOND), Instant::now());
        for number in 0..10 * KEYS as u32 {
            assert_eq!(limiter.admit(&format!("offset {number}"), start + number * Duration::from_micros(1)), Some(0));
        }
        assert_eq!(limiter.seen.len(), KEYS);
        let newest = format!("offset {}", 10 * KEYS - 1);
        assert_eq!(limiter.admit(&newest, start + SECOND), None);
    }

    #[test]
    fn a_clock_that_is_read_out_of_order_does_no_harm() {
        let (mut limiter, start) = (OncePer::new(60 * SECOND), Instant::now() + SECOND);
        limiter.admit("broker away", start);
        assert_eq!(limiter.admit("broker away", start - SECOND), None);
    }
}
