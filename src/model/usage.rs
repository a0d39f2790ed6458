//! Who has used a version, and when: noted by every group without a lock, asked by whoever decides what leaves memory.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Who has used a version, and when.
#[derive(Debug)]
pub struct Usage {
    /// Milliseconds from [`BEGINNING`] to the last use.
    last: AtomicU64,
    requests: AtomicU64,
}

/// Some time before the first use of anything.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

fn millis() -> u64 {
    u64::try_from(BEGINNING.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Default for Usage {
    fn default() -> Self {
        Self { last: AtomicU64::new(millis()), requests: AtomicU64::new(0) }
    }
}

impl Usage {
    /// Notes that so many requests use it now.
    pub fn note(&self, requests: usize) {
        self.last.store(millis(), Ordering::Relaxed);
        self.requests.fetch_add(requests as u64, Ordering::Relaxed);
    }

    /// Time since it was used last, or since it was loaded.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(millis().saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    /// Requests that have used it.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_ends_idleness_and_is_counted() {
        let usage = Usage::default();
        while usage.idle() < Duration::from_millis(5) {
            std::thread::yield_now();
        }
        let before = usage.idle();
        usage.note(3);
        assert!(usage.idle() < before);
        assert_eq!(usage.requests(), 3);
    }
}
