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
mod tests;
