//! modelmill: predictions from Kafka to Kafka through ONNX models.
pub mod admin;
pub mod app;
pub mod backend;
pub mod broker;
pub mod cli;
pub mod codec;
pub mod config;
pub mod error;
pub mod metrics;
pub mod model;
pub mod request;
pub mod steps;
pub mod store;
pub mod telemetry;
pub mod tensor;
pub mod worker;
