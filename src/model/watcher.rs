//! Looks at the repository again and again, and tells the keeper what should be in service.
//!
//! It has a thread of its own, which may wait for a store for as long as that takes. A look is one listing; what has not
//! changed costs no read and tells nobody anything. A look that fails changes nothing: an outage is no empty repository.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, mpsc},
    thread::Builder,
    time::{Duration, Instant},
};

use super::{
    keeper::{Message, Wanted},
    manager::Manager,
    source::{Repository, Source},
};
use crate::{
    store::{Store, StoreError},
    tensor::Name,
};

/// What of a repository should be in service.
pub type Choose = Box<dyn Fn(&Repository) -> BTreeMap<Name, Wanted> + Send>;

/// Told of each look: how long it took, or why it failed.
pub type LookObserver = Box<dyn FnMut(Result<Duration, &StoreError>) + Send>;

/// Between two looks at a repository whose versions have no manifests, before it is believed that they are there in full.
pub const REST: Duration = Duration::from_millis(250);

/// An eye on a repository.
pub struct Watcher {
    store: Arc<dyn Store>,
    source: Source,
    choose: Choose,
    observer: LookObserver,
    manager: Manager,
    seen: Option<Repository>,
}

impl Watcher {
    /// A watcher that has not looked yet.
    pub fn new(store: Arc<dyn Store>, choose: Choose, observer: LookObserver, manager: Manager) -> Self {
        Self { store, source: Source::new(REST), choose, observer, manager, seen: None }
    }

    /// Looks once, and a second time soon if versions wait for that; tells the keeper what it sees.
    ///
    /// # Errors
    /// If the store fails.
    pub fn first_look(&mut self) -> Result<(), StoreError> {
        self.look()?;
        let waits = |repository: &Repository| {
            let versions = repository.models.values().flat_map(|model| model.versions.values());
            versions.filter(|version| version.content.is_none()).count() > 0
        };
        if self.seen.as_ref().is_some_and(waits) {
            std::thread::sleep(REST);
            self.look()?;
        }
        Ok(())
    }

    /// Looks every `interval` or so, and whenever it is poked, until nobody is left to poke it.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(mut self, interval: Duration) -> std::io::Result<Poker> {
        let (poker, pokes) = mpsc::channel::<()>();
        Builder::new().name("watcher".to_owned()).spawn(move || {
            loop {
                match pokes.recv_timeout(jittered(interval)) {
                    Ok(()) | Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
                // What came meanwhile is seen by the same look.
                while pokes.try_recv().is_ok() {}
                // It has been told to the observer.
                drop(self.look());
            }
        })?;
        Ok(Poker(poker))
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        let store = Arc::clone(&self.store);
        let looked = store
            .list()
            .and_then(|listing| self.source.look(listing, &mut |object, most| store.read(&object.path, most)));
        match looked {
            Ok(repository) => {
                (self.observer)(Ok(started.elapsed()));
                if self.seen.as_ref().is_none_or(|seen| !is_same(seen, &repository)) {
                    self.manager.tell(Message::Looked((self.choose)(&repository)));
                    self.seen = Some(repository);
                }
                Ok(())
            }
            Err(error) => {
                (self.observer)(Err(&error));
                Err(error)
            }
        }
    }
}

/// Hastens the next look; the watcher ends when the last one is gone.
#[derive(Clone, Debug)]
pub struct Poker(mpsc::Sender<()>);

impl Poker {
    /// Has the repository looked at now.
    pub fn poke(&self) {
        // Nobody looks any more when the worker stops.
        let _stopping = self.0.send(());
    }
}

/// Whether two looks found the very same.
fn is_same(left: &Repository, right: &Repository) -> bool {
    left.models.len() == right.models.len()
        && left.models.iter().zip(&right.models).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1))
}

/// A tenth more or less, so that many workers do not look all at once.
fn jittered(interval: Duration) -> Duration {
    // Each has keys of its own that nobody can foresee.
    let random = RandomState::new().build_hasher().finish() % 2001;
    interval.mul_f64(0.9 + random as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_a_tenth_more_or_less_apart() {
        let pauses: Vec<_> = (0..200).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(pauses.iter().all(|pause| (9.0..=11.001).contains(&pause.as_secs_f64())));
        assert!(pauses.iter().any(|pause| *pause < Duration::from_millis(9_700)));
        assert!(pauses.iter().any(|pause| *pause > Duration::from_millis(10_300)));
    }
}
