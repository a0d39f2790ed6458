//! The bound on what is in flight: bytes and messages between the poll and the acknowledgement.
//!
//! The consumer asks before it takes and sleeps, within limits, while there is no room; a [`Permit`] gives its share back
//! when the chunk is done, in whatever way. A chunk may overshoot the bound once, so that one that is larger than all of it
//! still gets through.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// The most messages with headers that are in flight, beyond one chunk more; a fifth of all, if that is more. Each header is a piece of memory of its own in
/// Kafka's client, in the request and again in the answer; of 20,000 such messages they have left the processor's caches
/// before they are given back, which costs a third more CPU time than 4,000 do (an answer with nine headers: 6.1 and 4.6 µs).
/// Messages without headers are cheaper the more of them there are.
const WITH_HEADERS: usize = 4_000;

/// The room that chunks in flight share.
#[derive(Debug)]
pub struct Budget {
    most: Load,
    used: Mutex<Used>,
    freed: Condvar,
}

/// An amount of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Keys, values and bookkeeping.
    pub bytes: usize,
    /// Records.
    pub messages: usize,
}

/// What is in flight.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    load: Load,
    /// Messages of chunks that have headers.
    with_headers: usize,
}

/// A chunk's share; given back on drop.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    share: Used,
}

impl Budget {
    /// A budget of `most`.
    pub fn new(most: Load) -> Arc<Self> {
        Arc::new(Self { most, used: Mutex::default(), freed: Condvar::new() })
    }

    /// What is free now; `None` at the bound.
    pub fn room(&self) -> Option<Load> {
        self.room_beside(*self.used.lock())
    }

    /// What is free, after waiting for it up to `patience`; `None` if there is still nothing.
    pub fn wait_for_room(&self, patience: Duration) -> Option<Load> {
        let mut used = self.used.lock();
        if self.room_beside(*used).is_none() {
            self.freed.wait_for(&mut used, patience);
        }
        self.room_beside(*used)
    }

    /// Waits up to `patience` until nothing is in flight, and says whether that is so.
    pub fn wait_until_idle(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut used = self.used.lock();
        while used.load != Load::default() && !self.freed.wait_until(&mut used, deadline).timed_out() {}
        used.load == Load::default()
    }

    /// Takes a share, whether or not there is room for all of it, for messages with headers or without.
    pub fn charge(self: &Arc<Self>, load: Load, has_headers: bool) -> Permit {
        let share = Used { load, with_headers: if has_headers { load.messages } else { 0 } };
        let mut used = self.used.lock();
        used.load.bytes += load.bytes;
        used.load.messages += load.messages;
        used.with_headers += share.with_headers;
        Permit { budget: Arc::clone(self), share }
    }

    /// What is in flight.
    pub fn used(&self) -> Load {
        self.used.lock().load
    }

    fn most_with_headers(&self) -> usize {
        (self.most.messages / 5).max(WITH_HEADERS).min(self.most.messages)
    }

    fn room_beside(&self, used: Used) -> Option<Load> {
        let bytes = self.most.bytes.saturating_sub(used.load.bytes);
        let messages = self.most.messages.saturating_sub(used.load.messages);
        (bytes > 0 && messages > 0 && used.with_headers < self.most_with_headers()).then_some(Load { bytes, messages })
    }
}

impl Permit {
    /// What is in flight, this share included.
    pub fn in_flight(&self) -> Load {
        self.budget.used()
    }
}

impl Permit {
    /// Its part of the bound that it is nearest to.
    pub fn share(&self) -> f64 {
        let part = |used: usize, most: usize| used as f64 / most.max(1) as f64;
        let Used { load, with_headers } = self.share;
        let most = self.budget.most;
        let parts = [
            part(load.bytes, most.bytes),
            part(load.messages, most.messages),
            part(with_headers, self.budget.most_with_headers()),
        ];
        parts.into_iter().fold(0.0, f64::max)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.budget.used.lock();
        used.load.bytes -= self.share.load.bytes;
        used.load.messages -= self.share.load.messages;
        used.with_headers -= self.share.with_headers;
        self.budget.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_there_is_no_room_until_a_permit_is_dropped() {
        let budget = Budget::new(Load { bytes: 100, messages: 10 });
        let permit = budget.charge(Load { bytes: 250, messages: 3 }, false);
        assert_eq!(budget.room(), None, "one chunk may overshoot, the next must wait");
        assert!((permit.share() - 2.5).abs() < 1e-9, "bytes are the bound that it is nearest to");
        drop(permit);
        assert_eq!(budget.room(), Some(Load { bytes: 100, messages: 10 }));
    }

    #[test]
    fn messages_with_headers_have_a_bound_of_their_own() {
        for (messages, bound) in [(20_000, WITH_HEADERS), (10_000, WITH_HEADERS), (100_000, 20_000)] {
            let budget = Budget::new(Load { bytes: 100, messages });
            let share = Load { bytes: 1, messages: bound };
            let bare = budget.charge(share, false);
            assert_eq!(budget.room(), Some(Load { bytes: 99, messages: messages - bound }));
            let permit = budget.charge(share, true);
            assert_eq!((budget.room(), budget.used().messages), (None, 2 * bound));
            drop(permit);
            assert!(budget.room().is_some());
            drop(bare);
            assert_eq!(budget.used(), Load::default());
        }
    }

    #[test]
    fn a_waiting_consumer_is_woken_by_the_first_permit_that_comes_back() {
        let budget = Budget::new(Load { bytes: 100, messages: 1 });
        let permit = budget.charge(Load { bytes: 1, messages: 1 }, false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.wait_for_room(Duration::from_secs(60)));
            drop(permit);
            assert!(waiting.join().unwrap().is_some());
        });
    }

    #[test]
    fn idleness_is_waited_for_and_seen_when_the_last_permit_comes_back() {
        let budget = Budget::new(Load { bytes: 100, messages: 10 });
        assert!(budget.wait_until_idle(Duration::ZERO));
        let permits = [1, 2].map(|messages| budget.charge(Load { bytes: 1, messages }, false));
        assert!(!budget.wait_until_idle(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.wait_until_idle(Duration::from_secs(60)));
            permits.into_iter().for_each(drop);
            assert!(waiting.join().unwrap());
        });
    }
}
