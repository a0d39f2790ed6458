//! modelmill: predictions from Kafka to Kafka through ONNX models.
//!
//! **A chunk is a task, a step is a function, and only the batcher is shared.**
//!
//! The map, in the order in which a request meets it; [`worker`] is the whole journey on one page.
//!
//! | | module | what happens |
//! |---|---|---|
//! | consume | [`broker::kafka::consumer`] | one thread serves the group and takes what a poll brings: a [`broker::Chunk`] |
//! | | [`broker::budget`] | bounds what is in flight, in bytes and messages |
//! | | [`broker::journal`], [`broker::suspects`] | what is in flight, for the next life of a worker that dies of it; [`broker::kafka::hunt`] runs its suspects alone |
//! | decode | [`codec`] | headers and body of each record, straight into the columns of a [`request::Group`]; what cannot be read becomes a [`codec::Refused`] |
//! | steps before | [`steps`] | functions over whole columns; [`steps::program`] holds them against a model's signature when it is loaded |
//! | predict | [`model::manager`] | which version serves: one atomic load |
//! | | [`model::servable`] | the columns as the model takes them, and its outputs back to their requests |
//! | | [`model::batcher`] | groups wait for a session, are joined, cut, and halved where they fail |
//! | | [`backend`] | runs them: [`backend::onnx`] on ONNX Runtime, one thread for each session |
//! | steps after | [`steps`] | scores become labels |
//! | encode | [`codec::encode`] | one answer for each request, a dead letter for what could not be decoded |
//! | publish | [`broker::kafka::outbox`] | as they come, or in the order of their partitions and in transactions |
//! | | [`broker::kafka::producer`] | until the broker has acknowledged every answer |
//! | | [`broker::replies`] | the topics that requests ask for |
//! | commit | [`broker::offsets`] | which offsets are due: pure bookkeeping |
//!
//! What travels: [`tensor`] (columns), [`request`] (requests, groups, ids), [`error`] (a `RequestError` is answered, a
//! `WorkerError` stops the worker). Domain types know no Kafka, ONNX or JSON.
//!
//! Around it: [`broker::kafka::entrance`] looks at the cluster before a worker starts; [`process`] sets how memory is given out and who comes last; [`app`] builds every part and takes them down again, the one place that does; [`config`] reads the two files;
//! [`model::loader`] and [`store`] bring models in; [`admin`], [`metrics`] and [`telemetry`] are what an operator sees;
//! [`cli`] has one file for each subcommand.
//!
//! Dependencies point one way: `main → cli → app → worker → {broker, codec, steps, model} → {request, tensor, error}`, and
//! `model → {store, backend}`. `tests/architecture.rs` holds the code to it.

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
pub mod process;
pub mod request;
pub mod steps;
pub mod store;
pub mod telemetry;
pub mod tensor;
pub mod worker;
