//! What it costs to hand a group over to the thread that owns the session and to get it back; the session does nothing.
//!
//! `cargo bench --bench batcher`. Each bench makes 1,000 hand-overs, so that a time in µs is also that time in ns for each.
//! Beside it stands the same through a bare channel, which is what two threads that wake each other cost here.

use std::{ops::Range, sync::Arc, time::Duration};

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::{
    backend::{BatchAxis, Signature, scripted::ScriptedSession},
    model::batcher::{BatchOptions, Batcher, Work},
    tensor::{Column, Columns, Elements, Tensor},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

const HAND_OVERS: usize = 1000;

fn main() {
    divan::main();
}

/// A batcher whose session gives its input back without looking at it.
fn batcher() -> Batcher {
    let echo = |inputs: &Columns, rows: Option<Range<usize>>| {
        let column = inputs.find("x").expect("the one input").clone();
        let rows = rows.unwrap_or(0..column.tensor.rows());
        let whole = rows == (0..column.tensor.rows());
        let tensor = if whole { Arc::clone(&column.tensor) } else { column.tensor.slice(rows).into() };
        Ok(vec![Column { tensor, ..column }])
    };
    let session = ScriptedSession::new(Signature::default(), Box::new(echo));
    // Runs of any length are allowed: where a run is interrupted for long, the batcher would cut groups to hold its pace.
    let target_run_time = Duration::from_secs(60);
    let options = BatchOptions { max_batch_size: 4096, target_run_time, ..BatchOptions::default() };
    Batcher::start("bench", vec![Box::new(session)], BatchAxis::Dynamic, options, Arc::new(|_| ())).expect("a thread")
}

/// A group of `rows` requests of one row of four numbers.
fn columns(rows: usize) -> Columns {
    let tensor = Tensor::matrix(4, Elements::Fp32(vec![1.0; rows * 4]));
    [Column::new("x", tensor)].into_iter().collect()
}

fn work(inputs: &Columns, rows: usize) -> Work {
    Work { inputs: inputs.clone(), requests: (0..rows).map(|row| row..row + 1).collect(), rows: true, shared: true }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

async fn hand_over(batcher: &Batcher, inputs: &Columns, rows: usize, times: usize) {
    for _ in 0..times {
        let done = batcher.run(work(inputs, rows)).await;
        assert_eq!(black_box(done).parts.len(), 1);
    }
}

/// One task that waits for each answer before it asks again: the latency of a lone group.
#[divan::bench(args = [1, 1000])]
fn one_task_rows_a_group(bencher: Bencher<'_, '_>, rows: usize) {
    let (batcher, inputs, runtime) = (batcher(), columns(rows), runtime());
    bencher
        .counter(ItemsCount::new(HAND_OVERS))
        .bench_local(|| runtime.block_on(hand_over(&batcher, &inputs, rows, HAND_OVERS)));
}

/// Several tasks at a time, as chunks in flight are: groups that come while the session is busy share its next run.
#[divan::bench(args = [(4, 1), (16, 1), (4, 1000)])]
fn several_tasks_rows_a_group(bencher: Bencher<'_, '_>, (tasks, rows): (usize, usize)) {
    let (batcher, inputs, runtime) = (Arc::new(batcher()), columns(rows), runtime());
    let times = HAND_OVERS / tasks;
    bencher.counter(ItemsCount::new(times * tasks)).bench_local(|| {
        runtime.block_on(async {
            let spawn = |_| {
                let (batcher, inputs) = (Arc::clone(&batcher), inputs.clone());
                tokio::spawn(async move { hand_over(&batcher, &inputs, rows, times).await })
            };
            for task in (0..tasks).map(spawn).collect::<Vec<_>>() {
                task.await.expect("no task panics");
            }
        });
    });
}

/// What the first bench would cost if the batcher did nothing: a channel there and a oneshot back.
#[divan::bench]
fn one_task_bare_channel(bencher: Bencher<'_, '_>) {
    let (sender, receiver) = std::sync::mpsc::channel::<oneshot::Sender<()>>();
    let thread = std::thread::spawn(move || {
        while let Ok(reply) = receiver.recv() {
            reply.send(()).expect("the task waits");
        }
    });
    let runtime = runtime();
    bencher.counter(ItemsCount::new(HAND_OVERS)).bench_local(|| {
        runtime.block_on(async {
            for _ in 0..HAND_OVERS {
                let (reply, done) = oneshot::channel();
                sender.send(reply).expect("the thread listens");
                done.await.expect("the thread answers");
            }
        });
    });
    drop(sender);
    thread.join().expect("the thread ends with its channel");
}
