//! Wire formats.
pub mod client;
