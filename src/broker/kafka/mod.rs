//! Kafka, through librdkafka. The only place that knows it.

pub mod announcer;
pub mod client;
pub mod consumer;
mod context;
pub mod embedded;
mod group;
pub mod hunt;
mod native;
pub mod notifications;
pub mod outbox;
pub mod producer;
mod reports;
pub mod settings;
pub mod ticket;
pub mod topics;

pub use context::Reach;
