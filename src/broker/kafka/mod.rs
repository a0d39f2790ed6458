//! Kafka, through librdkafka. The only place that knows it.

pub mod consumer;
mod context;
mod native;
pub mod producer;
pub mod settings;
pub mod topics;
