//! Batches form and part as they should, on sessions that are scripted.

use std::sync::mpsc;

use parking_lot::Mutex;

use super::*;
use crate::{
    backend::{BackendError, Signature, scripted::ScriptedSession},
    tensor::{Elements, Tensor},
};

/// Doubles `x`; fails on a negative value, and notes the rows of every run.
fn doubling(runs: Arc<Mutex<Vec<usize>>>) -> Box<dyn Session> {
    Box::new(ScriptedSession::new(
        Signature::default(),
        Box::new(move |inputs, rows| {
            let column = inputs.find("x").unwrap();
            let Elements::Fp32(all) = column.tensor.elements() else { unreachable!() };
            let rows = &all[rows.unwrap_or(0..all.len())];
            runs.lock().push(rows.len());
            if rows.iter().any(|value| *value < 0.0) {
                return Err(BackendError::Run("negative".to_owned()));
            }
            let doubled = rows.iter().map(|value| value * 2.0).collect();
            Ok(vec![Column::new("y", Tensor::vector(Elements::Fp32(doubled)))])
        }),
    ))
}

fn work(values: &[f32], requests: Vec<Range<usize>>) -> Work {
    let tensor = Tensor::vector(Elements::Fp32(values.to_vec()));
    Work { inputs: [Column::new("x", tensor)].into_iter().collect(), requests, rows: true, shared: true }
}

/// One request with these rows.
fn one(start: usize, end: usize) -> Vec<Range<usize>> {
    std::iter::once(start..end).collect()
}

fn values(part: &Part) -> Vec<f32> {
    let Elements::Fp32(values) = part.outputs.as_ref().unwrap()[0].tensor.elements() else { unreachable!() };
    values.clone()
}

fn start(session: Box<dyn Session>, axis: BatchAxis, options: BatchOptions) -> Batcher {
    Batcher::start("test", vec![session], axis, options, Arc::new(|_| ())).unwrap()
}

#[tokio::test]
async fn a_poison_request_fails_alone_and_its_neighbours_are_answered() {
    let batcher = start(doubling(Arc::default()), BatchAxis::Dynamic, BatchOptions::default());
    let requests = vec![0..1, 1..3, 3..4, 4..6];
    let Done { parts, .. } = batcher.run(work(&[1.0, 2.0, -1.0, 3.0, 4.0, 5.0], requests)).await;
    let failed: Vec<_> = parts.iter().filter(|part| part.outputs.is_err()).map(|part| part.rows.clone()).collect();
    assert_eq!(failed, one(1, 3));
    let good: Vec<f32> = parts.iter().filter(|part| part.outputs.is_ok()).flat_map(values).collect();
    assert_eq!(good, [2.0, 6.0, 8.0, 10.0]);
}

#[tokio::test]
async fn a_group_larger_than_a_run_is_cut_and_comes_back_whole() {
    let runs = Arc::default();
    let options = BatchOptions { max_batch_size: 4, ..BatchOptions::default() };
    let batcher = start(doubling(Arc::clone(&runs)), BatchAxis::Dynamic, options);
    let input: Vec<f32> = (0..10_u8).map(f32::from).collect();
    let Done { parts, .. } = batcher.run(work(&input, one(0, 10))).await;
    let output: Vec<f32> = parts.iter().flat_map(values).collect();
    assert_eq!(output, input.iter().map(|value| value * 2.0).collect::<Vec<_>>());
    assert_eq!(*runs.lock(), [4, 4, 2]);
}

#[tokio::test]
async fn rows_that_may_not_share_a_run_do_not() {
    let runs = Arc::default();
    let batcher = start(doubling(Arc::clone(&runs)), BatchAxis::None, BatchOptions::default());
    let Done { parts, .. } = batcher.run(work(&[1.0, 2.0, 3.0], vec![0..1, 1..3])).await;
    assert_eq!(parts.iter().map(|part| part.rows.clone()).collect::<Vec<_>>(), [0..1, 1..3]);
    assert_eq!(*runs.lock(), [1, 2]);
}

/// A session that waits for a word before each run, so that what comes meanwhile has to queue.
#[tokio::test]
async fn what_comes_while_the_session_is_busy_shares_the_next_run() {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let runs: Arc<Mutex<Vec<usize>>> = Arc::default();
    let noted = Arc::clone(&runs);
    let session = ScriptedSession::new(
        Signature::default(),
        Box::new(move |inputs, rows| {
            begun.send(()).ok();
            may_go.recv().unwrap();
            let column = inputs.find("x").unwrap().clone();
            noted.lock().push(rows.clone().unwrap().len());
            let tensor = column.tensor.slice(rows.unwrap());
            Ok(vec![Column { tensor: tensor.into(), ..column }])
        }),
    );
    let batcher = Arc::new(start(Box::new(session), BatchAxis::Dynamic, BatchOptions::default()));
    let send = |value: f32| {
        let batcher = Arc::clone(&batcher);
        tokio::spawn(async move { values(&batcher.run(work(&[value], one(0, 1))).await.parts[0]) })
    };
    let first = send(1.0);
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
    let (second, third) = (send(2.0), send(3.0));
    while batcher.sessions.queue.waiting_rows() < 2 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!((first.await.unwrap(), second.await.unwrap(), third.await.unwrap()), (vec![1.0], vec![2.0], vec![3.0]));
    assert_eq!(*runs.lock(), [1, 2]);
}

/// Notes the thread of every run, and takes a while over rows that are negative.
fn noting(threads: Arc<Mutex<Vec<std::thread::ThreadId>>>) -> Box<dyn Session> {
    Box::new(ScriptedSession::new(
        Signature::default(),
        Box::new(move |inputs, rows| {
            threads.lock().push(std::thread::current().id());
            let column = inputs.find("x").unwrap().clone();
            let tensor = column.tensor.slice(rows.unwrap());
            let Elements::Fp32(values) = tensor.elements() else { unreachable!() };
            if values.iter().any(|value| *value < 0.0) {
                std::thread::sleep(AT_ONCE * 4);
            }
            Ok(vec![Column { tensor: tensor.into(), ..column }])
        }),
    ))
}

#[tokio::test]
async fn short_runs_are_the_callers_own_and_long_or_unknown_ones_never_are() {
    let threads: Arc<Mutex<Vec<_>>> = Arc::default();
    let batcher = start(noting(Arc::clone(&threads)), BatchAxis::Dynamic, BatchOptions::default());
    let here = std::thread::current().id();
    batcher.run(work(&[1.0], one(0, 1))).await;
    assert!(threads.lock().iter().all(|thread| *thread != here), "nothing was known of the first run");
    // However busy the machine is, at some time a run of nothing is seen to be short.
    while threads.lock().last() != Some(&here) {
        batcher.run(work(&[1.0], one(0, 1))).await;
    }
    // The first long ones come as a surprise; soon they are expected.
    while threads.lock().last() == Some(&here) {
        batcher.run(work(&[-1.0], one(0, 1))).await;
    }
    threads.lock().clear();
    batcher.run(work(&[-1.0], one(0, 1))).await;
    assert!(threads.lock().iter().all(|thread| *thread != here));
}

#[tokio::test]
async fn a_short_run_of_many_rows_is_cut_by_its_caller_too() {
    let runs = Arc::default();
    let options = BatchOptions { max_batch_size: 4, ..BatchOptions::default() };
    let batcher = start(doubling(Arc::clone(&runs)), BatchAxis::Dynamic, options);
    let input: Vec<f32> = (0..10_u8).map(f32::from).collect();
    // Whether it is the caller's or not depends on how busy the machine is; the outcome does not.
    for _ in 0..50 {
        let Done { parts, .. } = batcher.run(work(&input, one(0, 10))).await;
        let output: Vec<f32> = parts.iter().flat_map(values).collect();
        assert_eq!(output, input.iter().map(|value| value * 2.0).collect::<Vec<_>>());
    }
    assert!(runs.lock().iter().all(|rows| *rows <= 4));
    let empty = batcher.run(work(&[], one(0, 0))).await;
    assert_eq!(empty.parts.len(), 1, "work without rows is answered, too");
}

#[tokio::test]
async fn what_came_while_a_caller_ran_its_own_is_run_when_it_is_done() {
    let batcher = start(doubling(Arc::default()), BatchAxis::Dynamic, BatchOptions::default());
    let (reply, done) = oneshot::channel();
    let session = batcher.sessions.queue.idle().unwrap();
    batcher.sessions.queue.push(Job::new(work(&[4.0], one(0, 1)), reply));
    assert!(batcher.sessions.queue.idle().is_none());
    drop(session);
    assert_eq!(values(&done.await.unwrap().parts[0]), [8.0]);
}

#[tokio::test]
async fn a_run_that_loses_rows_is_repeated_one_by_one() {
    let session = ScriptedSession::new(
        Signature::default(),
        Box::new(|inputs, rows| {
            let column = inputs.find("x").unwrap().clone();
            let Elements::Fp32(all) = column.tensor.elements() else { unreachable!() };
            let kept = all[rows.unwrap()].iter().copied().filter(|value| *value > 1.5).collect();
            Ok(vec![Column { tensor: Tensor::vector(Elements::Fp32(kept)).into(), ..column }])
        }),
    );
    let batcher = start(Box::new(session), BatchAxis::Dynamic, BatchOptions::default());
    let Done { parts, .. } = batcher.run(work(&[1.0, 2.0], vec![0..1, 1..2])).await;
    assert_eq!(parts.iter().map(values).collect::<Vec<_>>(), [vec![], vec![2.0]]);
}
