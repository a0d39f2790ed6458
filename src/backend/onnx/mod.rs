//! ONNX files, run by ONNX Runtime: the only place that knows either.
//!
//! [`init`] loads the runtime's library, once a process, and [`warm_up`] has it make what all sessions share.
//! [`OnnxSession::open`] reads what the file says of itself ([`Description`]), refuses what cannot be served with a sentence for
//! whoever trained it, and opens a session; `run` lends rows to the runtime and copies results out.

pub use description::Description;
pub use load::{OptimizationLevel, SessionOptions};
pub use runtime::{RuntimeInfo, init};
pub use session::OnnxSession;
pub use warm_up::warm_up;

mod description;
mod library;
mod load;
mod maps;
mod pieces;
mod proto;
mod runtime;
mod sentences;
mod session;
mod signature;
mod threads;
mod trace;
mod unzip;
mod value;
mod warm_up;
mod wire;
