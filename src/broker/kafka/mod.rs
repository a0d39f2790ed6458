//! Kafka, through librdkafka. The only place that knows it.

pub mod announcer;
pub mod client;
pub mod consumer;
mod context;
pub mod embedded;
mod group;
mod native;
pub mod notifications;
pub mod outbox;
pub mod producer;
pub mod replies;
mod reports;
pub mod settings;
pub mod ticket;
pub mod topics;

pub use context::Reach;
