//! Kafka, through librdkafka.

pub mod consumer;
mod context;
mod native;
pub mod producer;
