//! What is told of the versions of models: to operators, to metrics, to whoever follows the events.

use std::{sync::Arc, time::SystemTime};

use crate::{
    model::servable::{Servable, ServableId},
    tensor::Name,
};

/// The state that a version is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It should be there, and its load has not begun.
    Aspired,
    /// It is being fetched, opened, checked and warmed up.
    Loading,
    /// It serves.
    Available,
    /// It is not in memory and is loaded when somebody asks for it.
    Unloaded,
    /// It finishes what it began and then goes.
    Retiring,
    /// It cannot be served; the reason says why.
    Failed,
}

/// One version of one model.
#[derive(Clone)]
pub struct VersionStatus {
    /// Which one.
    pub id: ServableId,
    /// What it is doing.
    pub state: State,
    /// Since when.
    pub since: SystemTime,
    /// Why it is in that state, where that needs saying; also what is wrong with another upload of a version that serves.
    pub reason: Option<Arc<str>>,
    /// The version in memory.
    pub servable: Option<Arc<Servable>>,
}

/// Follows what becomes of versions. Called by the keeper's thread, which everything else waits for: it must be quick.
pub trait Observer: Send {
    /// Nobody uses `servable` any more, nor ever will.
    fn retired(&self, servable: &Arc<Servable>);
    /// A version is in another state than before; `None`: it is gone.
    fn changed(&self, id: &ServableId, status: Option<&VersionStatus>);
    /// Every version, in order, of each of the models of which something changed; a model without versions is gone.
    fn models(&self, models: Vec<(Name, Vec<VersionStatus>)>);
}
