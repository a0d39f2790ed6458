//! The queue in front of a model's sessions: jobs go in whole and come out in runs.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut, Range},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::batcher::{Done, Part, Work};
use crate::tensor::Columns;

/// Work and where its parts are gathered.
pub struct Job {
    pub work: Work,
    pub since: Instant,
    parts: Mutex<Parts>,
}

struct Parts {
    done: Vec<Part>,
    missing: usize,
    begun: Option<Instant>,
    reply: Option<oneshot::Sender<Done>>,
}

impl Job {
    /// A job whose parts go to `reply` when all rows are done.
    pub fn new(work: Work, reply: oneshot::Sender<Done>) -> Self {
        let missing = work.total_rows();
        let parts = Mutex::new(Parts { done: Vec::with_capacity(1), missing, begun: None, reply: Some(reply) });
        Self { work, since: Instant::now(), parts }
    }

    /// Some of the rows are done; with the last of them the caller has its answer.
    pub fn settle(&self, part: Part) {
        let mut parts = self.parts.lock();
        parts.missing = parts.missing.saturating_sub(part.rows.len());
        parts.done.push(part);
        if parts.missing == 0 {
            let mut done = std::mem::take(&mut parts.done);
            let waited = parts.begun.map_or(Duration::ZERO, |begun| begun - self.since);
            done.sort_unstable_by_key(|part| (part.rows.start, part.rows.end));
            if let Some(reply) = parts.reply.take() {
                // A caller that is gone (the worker stops) needs no answer.
                let _gone = reply.send(Done { parts: done, waited });
            }
        }
    }
}

impl Work {
    /// The rows of all requests.
    pub fn total_rows(&self) -> usize {
        self.requests.last().map_or(0, |last| last.end)
    }

    /// Whether its rows may go into several runs: not if it is run whole, or request by request.
    fn may_be_cut(&self) -> bool {
        self.rows && self.shared
    }

    /// Whether rows of `self` and `other` may stand in one tensor.
    fn joins(&self, other: &Self) -> bool {
        let alike = |left: &Columns, right: &Columns| {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| {
                    left.name == right.name
                        && left.tensor.datatype() == right.tensor.datatype()
                        && left.tensor.row_shape() == right.tensor.row_shape()
                })
        };
        self.may_be_cut() && other.may_be_cut() && alike(&self.inputs, &other.inputs)
    }
}

/// Consecutive rows of a job.
#[derive(Clone)]
pub struct Piece {
    pub job: Arc<Job>,
    pub rows: Range<usize>,
}

/// What one run gets: pieces whose rows may stand in one tensor. Never empty.
pub struct Batch(pub Vec<Piece>);

impl Batch {
    /// All of one job, in runs of up to `limit` rows.
    pub fn all_of(job: Job, limit: usize) -> impl Iterator<Item = Self> {
        let rows = job.work.total_rows();
        let step = if job.work.may_be_cut() { limit } else { rows }.max(1);
        let job = Arc::new(job);
        // Work without rows is still work.
        (0..rows.max(1)).step_by(step).map(move |start| {
            let rows = start..rows.min(start + step);
            Self(vec![Piece { job: Arc::clone(&job), rows }])
        })
    }

    /// Rows of all pieces.
    pub fn rows(&self) -> usize {
        self.0.iter().map(|piece| piece.rows.len()).sum()
    }

    /// The batch is run now; says how long the oldest job waited for that.
    pub fn begin(&self, now: Instant) -> Duration {
        for piece in &self.0 {
            piece.job.parts.lock().begun.get_or_insert(now);
        }
        self.0.iter().map(|piece| now - piece.job.since).max().unwrap_or_default()
    }
}

/// Jobs that wait for a session, and sessions (`S`) that wait for jobs.
pub struct Queue<S> {
    delay: Duration,
    waiting: Mutex<Waiting<S>>,
    changed: Condvar,
}

struct Waiting<S> {
    jobs: VecDeque<Piece>,
    rows: usize,
    idle: Vec<S>,
    closed: bool,
}

/// A session in use; back in its queue when dropped.
pub struct Busy<'a, S> {
    queue: &'a Queue<S>,
    session: Option<S>,
}

impl<S> Queue<S> {
    /// A queue in front of `sessions`, in which a batch that is not full may wait `delay` for more rows.
    pub fn new(sessions: Vec<S>, delay: Duration) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), rows: 0, idle: sessions, closed: false };
        Self { delay, waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Adds a job.
    pub fn push(&self, job: Job) {
        let rows = 0..job.work.total_rows();
        let mut waiting = self.waiting.lock();
        waiting.rows += rows.len();
        waiting.jobs.push_back(Piece { job: Arc::new(job), rows });
        let can_run = !waiting.idle.is_empty();
        drop(waiting);
        if can_run {
            self.changed.notify_one();
        }
    }

    /// Rows that wait.
    pub fn waiting_rows(&self) -> usize {
        self.waiting.lock().rows
    }

    /// Ends the sessions' threads when everything that waits has been taken.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }

    /// An idle session, for work that need not wait for company, if nothing waits already.
    pub fn idle(&self) -> Option<Busy<'_, S>> {
        if !self.delay.is_zero() {
            return None;
        }
        let mut waiting = self.waiting.lock();
        let session = if waiting.jobs.is_empty() { waiting.idle.pop() } else { None };
        session.map(|session| Busy { queue: self, session: Some(session) })
    }

    /// The next batch of up to `limit` rows and a session to run it; waits for both. `None` once the queue is closed and
    /// empty.
    pub fn next(&self, limit: impl Fn() -> usize) -> Option<(Batch, Busy<'_, S>)> {
        let mut waiting = self.waiting.lock();
        loop {
            let Some(front) = waiting.jobs.front() else {
                if waiting.closed {
                    return None;
                }
                self.changed.wait(&mut waiting);
                continue;
            };
            if waiting.idle.is_empty() {
                self.changed.wait(&mut waiting);
                continue;
            }
            let due = front.job.since + self.delay;
            if self.delay.is_zero() || waiting.closed || waiting.rows >= limit() || Instant::now() >= due {
                let session = waiting.idle.pop();
                return Some((waiting.take(limit()), Busy { queue: self, session }));
            }
            self.changed.wait_until(&mut waiting, due);
        }
    }
}

impl<S> Deref for Busy<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.session.as_ref().expect("it is there until it is dropped")
    }
}

impl<S> DerefMut for Busy<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        self.session.as_mut().expect("it is there until it is dropped")
    }
}

impl<S> Drop for Busy<'_, S> {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.lock();
        waiting.idle.extend(self.session.take());
        // Whoever waits came while this session was away; a thread that takes its next batch itself needs no call.
        let is_awaited = !waiting.jobs.is_empty();
        drop(waiting);
        if is_awaited {
            self.queue.changed.notify_one();
        }
    }
}

impl<S> Waiting<S> {
    /// Takes the front job, or as much of it as a run may have, and the jobs behind it that may join.
    fn take(&mut self, limit: usize) -> Batch {
        let mut batch = Batch(Vec::new());
        let mut room = limit;
        while let Some(front) = self.jobs.front_mut() {
            let joins = batch.0.first().is_none_or(|first: &Piece| first.job.work.joins(&front.job.work));
            let cut = front.job.work.may_be_cut();
            if !joins || (room == 0 && !batch.0.is_empty()) {
                break;
            }
            let rows = if cut { front.rows.len().min(room) } else { front.rows.len() };
            let piece = Piece { job: Arc::clone(&front.job), rows: front.rows.start..front.rows.start + rows };
            front.rows.start += rows;
            if front.rows.is_empty() {
                self.jobs.pop_front();
            }
            room = room.saturating_sub(rows);
            self.rows -= rows;
            batch.0.push(piece);
        }
        batch
    }
}
