//! The batcher of one model version: many callers in, few runs out.
//!
//! A caller hands over the columns of its group and awaits the outputs. Threads, one for each session, take what is there: an
//! idle session starts at once with whatever has come, a busy one finds more when it is done, so batches grow by themselves
//! under load. Groups larger than a run may be are cut, smaller ones joined; a batch that is one slice of one group is run
//! where it lies, without a copy. If a run fails it is halved, until the request that makes it fail is alone.
//!
//! A run that is known to take less than a hand-over to another thread and back is done by its caller, if a session is idle:
//! a lone request to a small model wakes nobody. What is not known to be so short never is: it would hold up its caller.
//!
//! Guarantee: every row handed over comes back exactly once, as part of outputs or of an error.

use std::{
    ops::Range,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    pace::Pace,
    queue::{Batch, Busy, Job, Queue},
    runner::Runner,
};
use crate::{
    backend::{BatchAxis, Session},
    error::{ErrorCode, RequestError},
    tensor::{Column, Columns},
};

/// A run that takes no longer than this is done by its caller. To wake a session's thread, and to be woken by it, costs about
/// as much when the cores are idle, whose caches are cold then: a run that takes 3 µs among others takes 60 µs alone.
const AT_ONCE: Duration = Duration::from_micros(250);

/// How a model version is batched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// The most rows of one run.
    pub max_batch_size: usize,
    /// How long a run should take at the most; the batcher learns how many rows that is.
    pub target_run_time: Duration,
    /// How long a batch that is not full may wait for more rows.
    pub max_queue_delay: Duration,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_batch_size: 512, target_run_time: Duration::from_millis(50), max_queue_delay: Duration::ZERO }
    }
}

/// What one run did, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Rows of the batch.
    pub rows: usize,
    /// How long the session took.
    pub time: Duration,
    /// How long the oldest rows had waited.
    pub queued: Duration,
    /// Whether a request had to be isolated because the model failed.
    pub failed: bool,
    /// What a row has cost of late.
    pub row_cost: Duration,
    /// Rows that a run may have from now on.
    pub limit: usize,
    /// Rows that are waiting.
    pub waiting: usize,
}

/// Receives what every run did; called on the thread that ran it.
pub type Observer = Arc<dyn Fn(Run) + Send + Sync>;

/// The rows of a group, as the batcher is asked to run them.
#[derive(Debug)]
pub struct Work {
    /// The model's inputs; inputs with a default may be absent.
    pub inputs: Columns,
    /// The rows of each request, in order and without gaps.
    pub requests: Vec<Range<usize>>,
    /// Whether every tensor's first axis counts rows; if not, the work is one request and is run whole.
    pub rows: bool,
    /// Whether rows may share a run with others: `false` if the request sets an input that has a default.
    pub shared: bool,
}

/// Rows and what became of them.
#[derive(Debug)]
pub struct Part {
    /// Rows of the work.
    pub rows: Range<usize>,
    /// All outputs for these rows in the signature's order, in the shapes that came.
    pub outputs: Result<Vec<Column>, RequestError>,
}

/// What became of all rows of some work.
#[derive(Debug)]
pub struct Done {
    /// In the order of their rows; together they cover all of them.
    pub parts: Vec<Part>,
    /// How long the first of them waited for a session.
    pub waited: Duration,
}

/// The queue in front of the sessions of one model version.
pub struct Batcher {
    sessions: Arc<Sessions>,
    threads: Vec<JoinHandle<()>>,
}

/// What callers and the sessions' threads share.
struct Sessions {
    queue: Queue<Runner>,
    pace: Pace,
    observer: Observer,
}

impl Batcher {
    /// Starts a thread for each session.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        name: &str,
        sessions: Vec<Box<dyn Session>>,
        axis: BatchAxis,
        options: BatchOptions,
        observer: Observer,
    ) -> std::io::Result<Self> {
        let threads = sessions.len();
        let runners = sessions.into_iter().map(|session| Runner::new(session, axis)).collect();
        let sessions = Arc::new(Sessions {
            queue: Queue::new(runners, options.max_queue_delay),
            pace: Pace::new(options.max_batch_size, options.target_run_time),
            observer,
        });
        let mut batcher = Self { sessions, threads: Vec::new() };
        for _ in 0..threads {
            let sessions = Arc::clone(&batcher.sessions);
            let thread = std::thread::Builder::new().name(format!("session-{name}")).spawn(move || {
                while let Some((batch, mut runner)) = sessions.queue.next(|| sessions.pace.limit()) {
                    sessions.run(&mut runner, batch);
                }
            })?;
            batcher.threads.push(thread);
        }
        Ok(batcher)
    }

    /// Ends the sessions: finishes what waits, and comes back when nothing is left of them.
    pub fn stop(mut self) {
        self.sessions.queue.close();
        // A thread that panicked has nothing left to finish.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }

    /// Runs the rows of a group.
    pub async fn run(&self, work: Work) -> Done {
        let rows = work.total_rows();
        let (reply, done) = oneshot::channel();
        let job = Job::new(work, reply);
        match self.sessions.idle_for(rows) {
            Some(mut runner) => {
                Batch::all_of(job, self.limit()).for_each(|batch| self.sessions.run(&mut runner, batch))
            }
            None => self.sessions.queue.push(job),
        }
        done.await.unwrap_or_else(|_| {
            let error = RequestError::new(ErrorCode::Internal, "the model's session ended before it answered");
            Done { parts: vec![Part { rows: 0..rows, outputs: Err(error) }], waited: Duration::ZERO }
        })
    }

    /// The most rows that a run has at present.
    pub fn limit(&self) -> usize {
        self.sessions.pace.limit()
    }
}

impl Sessions {
    /// A session for rows that the caller may run itself.
    fn idle_for(&self, rows: usize) -> Option<Busy<'_, Runner>> {
        let is_short = self.pace.expected(rows).is_some_and(|time| time <= AT_ONCE);
        if is_short { self.queue.idle() } else { None }
    }

    /// Runs a batch and settles every row of it.
    fn run(&self, runner: &mut Runner, batch: Batch) {
        let started = Instant::now();
        let (rows, queued) = (batch.rows(), batch.begin(started));
        let failed = !runner.run(batch);
        let time = started.elapsed();
        self.pace.learn(rows, time);
        let (limit, waiting) = (self.pace.limit(), self.queue.waiting_rows());
        (self.observer)(Run { rows, time, queued, failed, row_cost: self.pace.row_cost(), limit, waiting });
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.sessions.queue.close();
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            (first.await.unwrap(), second.await.unwrap(), third.await.unwrap()),
            (vec![1.0], vec![2.0], vec![3.0])
        );
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
}
