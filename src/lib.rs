//! modelmill: predictions from Kafka to Kafka through ONNX models.
pub mod backend;
pub mod cli;
pub mod error;
pub mod request;
pub mod steps;
pub mod tensor;
