//! Kafka, through librdkafka. The only place that knows it.

pub mod announcer;
pub mod beginning;
pub mod client;
pub mod consumer;
mod context;
pub mod embedded;
pub mod entrance;
mod group;
pub mod hunt;
mod native;
pub mod notifications;
pub mod outbox;
mod patience;
mod places;
pub mod producer;
mod refusal;
pub mod replies;
mod reports;
pub mod settings;
pub mod ticket;
pub mod topics;

pub use context::Reach;
