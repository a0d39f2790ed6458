//! modelmill: predictions from Kafka to Kafka through ONNX models.
pub mod admin;
pub mod backend;
pub mod error;
pub mod metrics;
pub mod request;
pub mod steps;
pub mod telemetry;
pub mod tensor;
