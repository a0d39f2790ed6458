//! Models: which versions should be there, which are, and how groups are run on them.
//!
//! The [`watcher`] looks at a store, the [`source`] makes versions of its listings, and the [`policy`] says which of them are
//! aspired. The [`keeper`] has them loaded and dropped by [`loading`]: fetched to the [`cache`], opened by the [`loader`], held
//! against the [`checks`]. What it has is the [`catalog`], from which the [`manager`] leases a [`servable::Servable`] to each
//! group; the [`batcher`] of each version runs rows on its sessions.

pub mod batcher;
pub mod cache;
pub mod catalog;
pub mod checks;
pub mod estimate;
pub mod keeper;
pub mod loader;
pub mod loading;
pub mod manager;
mod pace;
pub mod policy;
mod queue;
mod runner;
pub mod servable;
pub mod source;
pub mod usage;
pub mod watcher;
