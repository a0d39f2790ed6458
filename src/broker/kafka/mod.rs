//! Kafka, through librdkafka. The only place that knows it.

pub mod announcer;
pub mod beginning;
pub mod client;
pub mod consumer;
mod context;
pub mod embedded;
pub mod entrance;
mod group;
mod native;
pub mod notifications;
mod patience;
pub mod producer;
mod refusal;
mod reports;
pub mod settings;
pub mod topics;

pub use context::Reach;
