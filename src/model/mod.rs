//! Models: which versions should be there, which are, and how groups are run on them.

pub mod batcher;
mod pace;
pub mod policy;
mod queue;
mod runner;
pub mod servable;
