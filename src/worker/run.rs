//! A group through the segments of its pipeline: steps, predict, steps.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use super::{now, pipeline::Plan};
use crate::{
    error::{ErrorCode, RequestError},
    metrics::{PipelineMetrics, Stage},
    request::{AskedOutput, Group, Request},
    steps::{Refusals, program::BoundStep},
};

/// Runs a group through all segments. More groups than one may come back: failed requests part from their neighbours before
/// a model runs, and so do requests whose outputs differ in shape.
pub(super) async fn run(plan: &Plan, group: Group, metrics: &PipelineMetrics) -> Vec<Group> {
    let mut groups = vec![group];
    for (servable, bound) in plan {
        let mut next = Vec::with_capacity(groups.len());
        for mut group in groups {
            let started = Instant::now();
            refuse_unknown_outputs(&mut group, plan);
            expire(&mut group);
            apply(&bound.before, &mut group, ErrorCode::PreprocessFailed);
            let prepared = Instant::now();
            let predicted = servable.predict(group).await;
            let ran = Instant::now();
            next.extend(predicted.groups);
            metrics.stage(Stage::Queue, predicted.waited);
            metrics.stage(Stage::Inference, (ran - prepared).saturating_sub(predicted.waited));
            metrics.stage(Stage::Steps, prepared - started);
        }
        if !bound.after.is_empty() {
            let started = Instant::now();
            next.iter_mut().for_each(|group| apply(&bound.after, group, ErrorCode::PostprocessFailed));
            metrics.stage(Stage::Steps, started.elapsed());
        }
        groups = next;
    }
    groups
}

/// Fails the requests whose time is up, before anything is spent on them.
fn expire(group: &mut Group) {
    let Some(earliest) = group.requests.iter().map(|request| request.deadline).min() else { return };
    if earliest == Request::NO_DEADLINE {
        return;
    }
    let now = now();
    for request in group.requests.iter_mut().filter(|request| request.deadline <= now) {
        let why = "the request's time was up before the model could run";
        request.failure.get_or_insert_with(|| RequestError::new(ErrorCode::DeadlineExceeded, why));
    }
}

/// Fails the requests that ask for outputs which the pipeline does not give.
fn refuse_unknown_outputs(group: &mut Group, plan: &Plan) {
    let Some((_, last)) = plan.last() else { return };
    for request in &mut group.requests {
        let asked = request.options.as_ref().and_then(|options| options.outputs.as_ref());
        let is_unknown = |output: &&AskedOutput| !last.answer.contains(&output.name);
        if let Some(AskedOutput { name, .. }) = asked.and_then(|outputs| outputs.iter().find(is_unknown)) {
            let outputs: Vec<_> = last.answer.iter().map(|name| format!("`{name}`")).collect();
            let why = format!("there is no output `{name}`; the pipeline gives {}", outputs.join(", "));
            request.failure.get_or_insert_with(|| RequestError::new(ErrorCode::InvalidInput, why));
        }
    }
}

/// Applies steps to a group's columns; `code` is what a refused row is answered with. A step that panics is a fault of ours
/// that its group is answered with, not the end of the worker.
fn apply(steps: &[BoundStep], group: &mut Group, code: ErrorCode) {
    for BoundStep { name, step } in steps {
        if group.is_lost() {
            return;
        }
        let mut refusals = Refusals::default();
        let columns = &mut group.columns;
        let outcome = catch_unwind(AssertUnwindSafe(|| step.apply(columns, &mut refusals)));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => group.fail_all(&RequestError::new(code, format!("step `{name}`: {error}"))),
            Err(_) => group.fail_all(&RequestError::new(ErrorCode::Internal, format!("step `{name}` panicked"))),
        }
        for (row, why) in refusals.into_rows() {
            group.fail_row(row, RequestError::new(code, format!("step `{name}`: {why}")));
        }
    }
}
