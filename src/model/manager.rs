//! The models of a worker: groups lease versions here, and operators ask for changes.
//!
//! [`Manager::lease`] is on the path of every group: one atomic load, no lock. What changes (the repository, memory, what an
//! operator asks) is the [`super::keeper`]'s affair, on a thread of its own; it swaps a new catalogue in, and groups under way
//! keep the versions they began with.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::watch, time::timeout};

use super::{
    catalog::{Catalog, CatalogModel, Demand, Entry, Found},
    keeper::Message,
    servable::{Servable, ServableId},
};
use crate::{
    error::{ErrorCode, RequestError},
    request::ModelChoice,
    tensor::Name,
};

/// What a choice gets.
pub enum Lease {
    /// This version; the lease lasts as long as it is held.
    Ready(Arc<Servable>),
    /// A version that is on its way; see [`Manager::wait`].
    Waiting(Waiting),
}

/// Somebody waits for a version.
pub struct Waiting {
    changed: watch::Receiver<()>,
    what: String,
}

/// What leases, the keeper and the watcher share.
pub struct Shared {
    catalog: ArcSwap<Catalog>,
    changed: watch::Sender<()>,
    inbox: mpsc::Sender<Message>,
}

/// The models of a worker.
#[derive(Clone)]
pub struct Manager(Arc<Shared>);

impl Manager {
    /// A manager of no models, whose wishes go to `inbox`.
    pub fn new(inbox: mpsc::Sender<Message>) -> Self {
        Self(Arc::new(Shared { catalog: ArcSwap::default(), changed: watch::Sender::new(()), inbox }))
    }

    /// A manager of these versions and no others, for ever.
    pub fn of(servables: impl IntoIterator<Item = Arc<Servable>>) -> Self {
        let manager = Self::new(mpsc::channel().0);
        for servable in servables {
            let ServableId { name, version } = servable.id.clone();
            let mut model =
                manager.0.catalog.load().models.get(&name).map(|model| CatalogModel::clone(model)).unwrap_or_default();
            model.versions.insert(version, Entry::Ready(servable));
            model.latest = model.versions.keys().next_back().copied();
            manager.publish(|catalog| drop(catalog.models.insert(name, Arc::new(model))));
        }
        manager
    }

    /// The version that serves a choice, or what to wait for.
    ///
    /// # Errors
    /// `UNKNOWN_MODEL` for a model or version that is not there, `MODEL_UNAVAILABLE` for one that cannot be served.
    pub fn lease(&self, choice: &ModelChoice) -> Result<Lease, RequestError> {
        let catalog = self.0.catalog.load();
        let Found { name, version, entry } = catalog.find(choice)?;
        match entry {
            Entry::Ready(servable) => Ok(Lease::Ready(Arc::clone(servable))),
            Entry::OnDemand(demand) => Ok(Lease::Waiting(self.wait_for(name, version, demand))),
            Entry::Failed(why) => {
                let why = format!("model `{name}` cannot be served: {why}");
                Err(RequestError::new(ErrorCode::ModelUnavailable, why))
            }
        }
    }

    #[cold]
    fn wait_for(&self, name: &Name, version: u64, demand: &Demand) -> Waiting {
        // Subscribed before it is looked at again: no change is missed.
        let changed = self.0.changed.subscribe();
        if demand.ask() {
            self.tell(Message::Demanded(ServableId { name: name.clone(), version }));
        }
        Waiting { changed, what: format!("{name}/{version}") }
    }

    /// Waits for the version that serves a choice, `patience` at most.
    ///
    /// # Errors
    /// As [`Manager::lease`]; `DEADLINE_EXCEEDED` if it is not there in time.
    pub async fn wait(
        &self,
        choice: &ModelChoice,
        first: Waiting,
        patience: Duration,
    ) -> Result<Arc<Servable>, RequestError> {
        let mut waiting = first;
        let what = waiting.what.clone();
        let leased = async {
            loop {
                match self.lease(choice)? {
                    Lease::Ready(servable) => return Ok(servable),
                    // Only the first one's receiver has seen every change since it was made.
                    Lease::Waiting(_) => {}
                }
                if waiting.changed.changed().await.is_err() {
                    return Err(RequestError::new(ErrorCode::ModelUnavailable, "the worker is stopping"));
                }
            }
        };
        timeout(patience, leased).await.unwrap_or_else(|_| {
            let why = format!("the request's time was up before model `{what}` was loaded");
            Err(RequestError::new(ErrorCode::DeadlineExceeded, why))
        })
    }

    /// Every version that serves.
    pub fn serving(&self) -> Vec<Arc<Servable>> {
        let catalog = self.0.catalog.load();
        let versions = catalog.models.values().flat_map(|model| model.versions.values());
        let ready = |entry: &Entry| match entry {
            Entry::Ready(servable) => Some(Arc::clone(servable)),
            _ => None,
        };
        versions.filter_map(ready).collect()
    }

    /// Tells the keeper something; nobody listens while the worker stops.
    pub fn tell(&self, message: Message) {
        drop(self.0.inbox.send(message));
    }

    /// Swaps a changed catalogue in and wakes who waits.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Catalog)) {
        let mut catalog = Catalog::clone(&self.0.catalog.load());
        change(&mut catalog);
        self.0.catalog.store(Arc::new(catalog));
        self.0.changed.send_replace(());
    }
}
