//! Models: which versions should be there, which are, and how groups are run on them.

pub mod batcher;
mod pace;
mod queue;
mod runner;
