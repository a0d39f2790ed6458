//! Models: which versions should be there, which are, and how groups are run on them.
//!
//! [`policy`] says which versions are aspired, [`loader`] makes a [`servable::Servable`] of a version's folder, which must pass
//! the [`checks`], [`manager`] holds them and leases them to groups, and the [`batcher`] of each runs rows on its sessions.

pub mod batcher;
pub mod cache;
pub mod checks;
pub mod estimate;
pub mod loader;
pub mod manager;
mod pace;
pub mod policy;
mod queue;
mod runner;
pub mod servable;
pub mod source;
