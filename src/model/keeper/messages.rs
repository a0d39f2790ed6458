//! What the keeper is told, and what it has done: its side of the talk with the watcher, the loader and operators.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
};

use super::version::Refusal;
use crate::{
    codec::labels::Labels,
    model::{
        servable::{Servable, ServableId},
        source::{Content, Shortfall},
    },
    tensor::Name,
};

/// What a repository should serve of one model.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The versions that should be in service, in full.
    pub contents: Vec<Arc<Content>>,
    /// Versions before those, ascending: while none of those can serve, one of these stands in.
    pub older: Vec<Arc<Content>>,
    /// What labels should mean.
    pub labels: Labels,
    /// Newer versions that are not there in full.
    pub shortfalls: BTreeMap<u64, Shortfall>,
    /// What is wrong with `labels.yaml`.
    pub problem: Option<String>,
}

/// Where an answer goes: `Err` is a sentence.
pub type Reply = mpsc::Sender<Result<(), String>>;

/// What the keeper is told.
pub enum Message {
    /// What a look at the repository says should be served; all of it.
    Looked(BTreeMap<Name, Wanted>),
    /// What became of a load.
    Loaded(Loaded),
    /// Requests wait for this version.
    Demanded(ServableId),
    /// An operator wants a model in memory. Answered once whoever looks can see that it is on its way.
    Load(Name, Reply),
    /// An operator wants a model out of memory. Answered once requests get no more of it.
    Unload(Name, Reply),
    /// To be told once nothing waits to be loaded.
    Settled(mpsc::Sender<()>),
    /// The worker stops.
    Stop,
}

/// A version to be loaded.
pub struct Job {
    /// What is loaded.
    pub content: Arc<Content>,
    /// The version that clients know, which the new one must fit.
    pub known: Option<Arc<Servable>>,
    /// The versions before it that may stand in for it if it fails, the nearest first.
    pub older: Vec<Arc<Content>>,
}

/// What became of a load.
pub struct Loaded {
    /// What was loaded.
    pub content: Arc<Content>,
    /// The version, or why it cannot serve.
    pub outcome: Result<Arc<Servable>, Refusal>,
}

/// Brings versions into memory and out of it, on threads of its own.
pub trait Loading: Send {
    /// How many loads go side by side.
    fn slots(&self) -> usize;
    /// Begins a load, whose end is told by [`Message::Loaded`].
    fn load(&self, job: Job);
    /// Drops a version that nobody uses any more, and has its memory given back.
    fn end(&self, servable: Arc<Servable>);
}
