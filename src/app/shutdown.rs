//! The wish that a worker stop: told once, by a signal or by an embedding program, and heard by every part.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// A wish to stop; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Wish>);

#[derive(Debug, Default)]
struct Wish {
    told: AtomicBool,
    changed: Notify,
}

impl Shutdown {
    /// Asks everybody to stop.
    pub fn request(&self) {
        self.0.told.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    /// Whether somebody asked.
    pub fn is_requested(&self) -> bool {
        self.0.told.load(Ordering::Acquire)
    }

    /// Resolves when somebody asks.
    pub async fn requested(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.is_requested() {
                return;
            }
            changed.await;
        }
    }
}
