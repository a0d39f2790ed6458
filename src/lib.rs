//! modelmill: predictions from Kafka to Kafka through ONNX models.
pub mod backend;
pub mod broker;
pub mod cli;
pub mod codec;
pub mod error;
pub mod request;
pub mod steps;
pub mod tensor;
