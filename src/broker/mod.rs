//! What carries requests and answers.
pub mod kafka;
