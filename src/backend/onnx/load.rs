//! How a model file becomes a session of the runtime.

use std::path::Path;

use ort::{
    Error,
    environment::Environment,
    session::{Session, builder::GraphOptimizationLevel},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{description::Description, threads::Threads, unzip::without_zip_maps};

/// How far the runtime rewrites a graph before it runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizationLevel {
    /// The graph as it is in the file.
    Off,
    /// Constants folded, what is redundant removed.
    Basic,
    /// Nodes fused as well.
    Extended,
    /// Memory layouts changed as well, which is what makes convolutions fast.
    #[default]
    All,
}

/// How a model is opened.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Threads that share the work of one run, the one that owns the session included.
    pub threads: usize,
    /// How far the graph is rewritten.
    pub optimization: OptimizationLevel,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { threads: 1, optimization: OptimizationLevel::default() }
    }
}

/// Loads the model at `path`, its ZipMaps taken out where that can be.
pub(super) fn load(
    environment: &Environment,
    path: &Path,
    description: &Description,
    options: &SessionOptions,
) -> Result<Session, Error> {
    let level = match options.optimization {
        OptimizationLevel::Off => GraphOptimizationLevel::Disable,
        OptimizationLevel::Basic => GraphOptimizationLevel::Level1,
        OptimizationLevel::Extended => GraphOptimizationLevel::Level2,
        OptimizationLevel::All => GraphOptimizationLevel::All,
    };
    let mut builder = Session::builder(environment)?
        .with_intra_threads(options.threads)?
        .with_inter_threads(1)?
        // A thread that spins while it waits takes the core from the journey.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(level)?
        // A plan of the memory is kept for each combination of shapes: with batches of every size, for ever.
        .with_memory_pattern(description.has_fixed_shapes())?
        .with_thread_manager(Threads)?;
    let edited = without_zip_maps(path, description).and_then(|model| builder.commit_from_memory(&model).ok());
    edited.map_or_else(|| builder.commit_from_file(path), Ok)
}
