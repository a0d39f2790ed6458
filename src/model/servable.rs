//! One version of a model in service: what it takes, what it gives, and the batcher that runs it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;

use super::{
    batcher::{Batcher, Part, Work},
    cache::CachedVersion,
    usage::Usage,
};
use crate::{
    backend::{BatchAxis, Batching, Signature, TensorSpec, check_input},
    error::{ErrorCode, RequestError},
    request::Group,
    tensor::{Column, Columns, Name, Tensor, cast},
};

/// A model and a version of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServableId {
    pub name: Name,
    pub version: u64,
}

impl ServableId {
    /// A sentence for callers: the version's `folder` is called by its model and version in it. Where a worker keeps its
    /// models is the business of its operator alone.
    pub fn without_folder(&self, folder: &Path, sentence: &str) -> String {
        let called = self.to_string();
        let shown = folder.to_string_lossy();
        // The runtime names files by where they really lie.
        let real = folder.canonicalize().map_or_else(|_| shown.to_string(), |real| real.to_string_lossy().into_owned());
        sentence.replace(&real, &called).replace(&*shown, &called)
    }
}

impl std::fmt::Display for ServableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A model version that can be run. Dropped when its last user is done.
pub struct Servable {
    pub id: ServableId,
    /// The version as text, for answers.
    pub version: String,
    /// First 16 hex digits of the model file's sha256: which bytes made an answer.
    pub digest: String,
    pub signature: Arc<Signature>,
    pub batching: Batching,
    /// Copies that run side by side.
    pub sessions: usize,
    /// Threads that one run may use.
    pub threads: usize,
    /// The version's folder, for the files that steps name.
    pub folder: PathBuf,
    /// When it came into service.
    pub since: SystemTime,
    /// Bytes that it takes in memory: what the process grew by when it was loaded, its files at least.
    pub memory: u64,
    /// Another one for each load of this process.
    pub serial: u64,
    /// Who has used it.
    pub usage: Arc<Usage>,
    pub batcher: Batcher,
    /// Keeps its files in the disk cache.
    pub cached: Option<CachedVersion>,
}

/// A group after its model ran.
pub struct Predicted {
    /// The group, or the groups that it parted into.
    pub groups: Vec<Group>,
    /// How long it waited for a session.
    pub waited: Duration,
}

impl Servable {
    /// Ends its sessions and waits for that. Nobody may use it any more.
    pub fn stop(self) {
        self.batcher.stop();
    }

    /// Runs the model on a group: its outputs become columns. Requests that cannot be run, or that the model fails on, have
    /// failed afterwards; all others have outputs. Comes back as one group, or as several where requests had to part: the
    /// failed ones, or those whose outputs differ in shape.
    pub async fn predict(&self, mut group: Group) -> Predicted {
        let failed = group.split_failed();
        let mut predicted = match self.work(&group) {
            _ if group.requests.is_empty() => Predicted { groups: Vec::new(), waited: Duration::ZERO },
            Err(_) if !group.is_single() => self.predict_each(group).await,
            work => self.run(group, work).await,
        };
        predicted.groups.extend(failed);
        predicted
    }

    /// What keeps a group from being run may be a value of one request, or only how many rows all have together: so each
    /// request by itself. The batcher joins what may be joined.
    async fn predict_each(&self, group: Group) -> Predicted {
        let singles = group.split().into_iter().map(|single| {
            let work = self.work(&single);
            self.run(single, work)
        });
        let mut together = Predicted { groups: Vec::new(), waited: Duration::ZERO };
        for predicted in join_all(singles).await {
            together.waited = together.waited.max(predicted.waited);
            together.groups.extend(predicted.groups);
        }
        together
    }

    async fn run(&self, mut group: Group, work: Result<Work, RequestError>) -> Predicted {
        match work {
            Ok(work) => {
                let done = self.batcher.run(work).await;
                Predicted { groups: attach(group, done.parts), waited: done.waited }
            }
            Err(error) => {
                group.fail_all(&error);
                Predicted { groups: vec![group], waited: Duration::ZERO }
            }
        }
    }

    /// The group's columns as the model takes them.
    fn work(&self, group: &Group) -> Result<Work, RequestError> {
        let batched = self.batching.axis != BatchAxis::None;
        let mut inputs = Columns::default();
        let mut shared = batched;
        for spec in &self.signature.inputs {
            match group.columns.find(&spec.name) {
                Some(column) => {
                    // Whether rows may share a run was tried without the inputs that have a default.
                    shared &= !spec.optional;
                    inputs.put(fit(column, spec, batched)?);
                }
                None if spec.optional => {}
                None => {
                    let why = format!("input `{}` is missing; the model takes {}", spec.name, self.inputs());
                    return Err(RequestError::new(ErrorCode::InvalidInput, why));
                }
            }
        }
        let requests: Vec<Range<usize>> = group.requests.iter().map(|request| request.rows.clone()).collect();
        let count = group.rows();
        let rows = inputs.iter().all(|input| input.tensor.shape().first() == Some(&count));
        Ok(Work { inputs, requests, rows, shared })
    }

    /// The inputs and their types, for a sentence.
    pub fn inputs(&self) -> String {
        let input = |spec: &TensorSpec| format!("`{}` {spec}", spec.name);
        self.signature.inputs.iter().map(input).collect::<Vec<_>>().join(", ")
    }
}

/// A column in the datatype that the model takes.
///
/// # Errors
/// `INVALID_INPUT` if it is of another shape, or cannot be cast.
pub(super) fn fit(column: &Column, spec: &TensorSpec, batched: bool) -> Result<Column, RequestError> {
    let invalid = |why: String| RequestError::new(ErrorCode::InvalidInput, why);
    let datatype = column.tensor.datatype();
    if datatype == spec.datatype {
        check_input(spec, &column.tensor, batched).map_err(invalid)?;
        return Ok(Column { name: spec.name.clone(), ..column.clone() });
    }
    let castable = datatype.is_number() && spec.datatype.is_number() && !column.exact;
    if !castable {
        return Err(invalid(format!("input `{}`: expected {spec}, got {datatype}", spec.name)));
    }
    let elements = cast(column.tensor.elements(), spec.datatype)
        .map_err(|error| invalid(format!("input `{}`: expected {spec}, but {error}", spec.name)))?;
    let tensor = Tensor::new(column.tensor.shape().to_vec(), elements).expect("a cast keeps the number of elements");
    check_input(spec, &tensor, batched).map_err(invalid)?;
    Ok(Column { name: spec.name.clone(), tensor: Arc::new(tensor), ..column.clone() })
}

/// Puts the outputs to their requests.
fn attach(mut group: Group, mut parts: Vec<Part>) -> Vec<Group> {
    for column in group.columns.iter_mut() {
        column.answer = false;
    }
    fail_overlapped(&mut group, &parts);
    if group.is_lost() {
        return vec![group];
    }
    let whole = parts.len() == 1 && (group.is_single() || aligned(&parts[0]));
    let outputs = if whole { parts.pop().and_then(|part| part.outputs.ok()) } else { join(&parts) };
    match outputs {
        Some(outputs) => {
            put(&mut group, outputs);
            vec![group]
        }
        None => split_attach(group, &parts),
    }
}

fn put(group: &mut Group, outputs: Vec<Column>) {
    for output in outputs {
        group.columns.put(Column { answer: true, ..output });
    }
}

/// A request fails if any of its rows did.
fn fail_overlapped(group: &mut Group, parts: &[Part]) {
    for part in parts {
        let Err(error) = &part.outputs else { continue };
        for request in &mut group.requests {
            let overlaps = request.rows.start < part.rows.end && part.rows.start < request.rows.end;
            if overlaps || request.rows == part.rows {
                request.failure.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// Whether the outputs have the rows that the part covers.
fn aligned(part: &Part) -> bool {
    part.outputs
        .as_ref()
        .is_ok_and(|outputs| outputs.iter().all(|output| output.tensor.shape().first() == Some(&part.rows.len())))
}

/// All parts in one column for each output, zeros where a part failed; `None` if their shapes do not fit together.
fn join(parts: &[Part]) -> Option<Vec<Column>> {
    let model = parts.iter().find_map(|part| part.outputs.as_ref().ok())?;
    let mut joined: Vec<Column> = model
        .iter()
        .map(|output| {
            let tensor = Tensor::without_rows(output.tensor.datatype(), output.tensor.row_shape());
            Column { tensor: Arc::new(tensor), ..output.clone() }
        })
        .collect();
    for part in parts {
        match &part.outputs {
            Err(_) => joined.iter_mut().for_each(|column| column.tensor_mut().append_zeros(part.rows.len())),
            Ok(_) if !aligned(part) => return None,
            Ok(outputs) => {
                for (column, output) in joined.iter_mut().zip(outputs) {
                    if column.tensor.row_shape() != output.tensor.row_shape() {
                        return None;
                    }
                    column.tensor_mut().append(&output.tensor, 0..part.rows.len());
                }
            }
        }
    }
    Some(joined)
}

/// Each request with its own outputs, whatever their shapes.
fn split_attach(group: Group, parts: &[Part]) -> Vec<Group> {
    let rows: Vec<_> = group.requests.iter().map(|request| request.rows.clone()).collect();
    let mut singles = group.split();
    for (single, rows) in singles.iter_mut().zip(rows) {
        let own: Vec<&Part> = parts
            .iter()
            .filter(|part| part.rows == rows || (part.rows.start < rows.end && rows.start < part.rows.end))
            .collect();
        let outputs = match own.as_slice() {
            [part] if part.rows == rows => part.outputs.as_ref().ok().cloned(),
            // A part that holds several requests has their rows in order, if it has rows at all.
            [part] if aligned(part) => part.outputs.as_ref().ok().map(|outputs| {
                let inside = rows.start - part.rows.start..rows.end - part.rows.start;
                let slice = |output: &Column| Column {
                    tensor: Arc::new(output.tensor.slice(inside.clone())),
                    ..output.clone()
                };
                outputs.iter().map(slice).collect()
            }),
            _ => None,
        };
        match outputs {
            Some(outputs) => put(single, outputs),
            None => single.fail_all(&RequestError::new(
                ErrorCode::InferenceFailed,
                "the model gave parts of this request outputs of different shapes",
            )),
        }
    }
    singles
}

#[cfg(test)]
mod tests;
