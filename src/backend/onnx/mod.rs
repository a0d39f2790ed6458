//! The ONNX backend.
