//! Where a chunk is worked on: a small one at once, on the thread that took it; every other on the compute pool.
//!
//! At low load the price of a request is that of waking threads. So a chunk of a few requests is begun where it was taken and
//! goes as far as it can without waiting, which for a small model is until its answers are on their way; the pool does the
//! rest. What is larger, or has lately taken longer than a wake-up costs, goes to the pool from its beginning: the thread that
//! serves the group is never held up.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::runtime;

use crate::model::estimate::Estimate;

/// A chunk of more bytes than this, keys, values and bookkeeping, is not small.
const SMALL: usize = 16 << 10;

/// The first part of a small chunk's work is done at once if it is expected to take no longer: about what it costs to wake
/// the pool and a session's thread when all cores are idle, and little against the 20 ms after which the group is served.
const AT_ONCE: Duration = Duration::from_micros(500);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Begins the work on chunks.
pub struct Tasks {
    compute: runtime::Handle,
    /// What the first part of a small chunk takes, by request topic.
    small: Arc<[Estimate]>,
}

impl Tasks {
    /// Tasks on `compute` for chunks of so many request topics.
    pub fn new(compute: runtime::Handle, topics: usize) -> Self {
        Self { compute, small: (0..topics).map(|_| Estimate::default()).collect() }
    }

    /// Begins the work on a chunk of `bytes`, mostly of the request topic `topic`: here if that is a matter of microseconds.
    pub fn begin(&self, topic: usize, bytes: usize, work: impl Future<Output = ()> + Send + 'static) {
        if bytes > SMALL {
            self.compute.spawn(work);
            return;
        }
        let is_short = self.small[topic].expected().is_some_and(|time| time <= AT_ONCE);
        let work = Timed { work: Box::pin(work), topic: Some(topic), small: Arc::clone(&self.small) };
        if is_short {
            // Timers belong to the pool's runtime.
            let _pool = self.compute.enter();
            begin_here(&self.compute, Box::pin(work));
        } else {
            self.compute.spawn(work);
        }
    }
}

/// Notes how long the first part of some work takes.
struct Timed {
    work: Work,
    topic: Option<usize>,
    small: Arc<[Estimate]>,
}

impl Future for Timed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(topic) = self.topic.take() else { return self.work.as_mut().poll(context) };
        let started = Instant::now();
        let polled = self.work.as_mut().poll(context);
        self.small[topic].learn(started.elapsed());
        polled
    }
}

/// Work that was begun here, and goes to the pool when what it waits for has come.
struct Rest {
    compute: runtime::Handle,
    state: Mutex<State>,
}

enum State {
    /// It is being worked on; `true` if what it waits for has come meanwhile.
    Here(bool),
    Waiting(Work),
    Gone,
}

fn begin_here(compute: &runtime::Handle, mut work: Work) {
    let rest = Arc::new(Rest { compute: compute.clone(), state: Mutex::new(State::Here(false)) });
    let waker = Waker::from(Arc::clone(&rest));
    if work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
        return;
    }
    let mut state = rest.state.lock();
    if matches!(*state, State::Here(true)) {
        *state = State::Gone;
        compute.spawn(work);
    } else {
        *state = State::Waiting(work);
    }
}

impl Wake for Rest {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Gone) {
            State::Here(_) => *state = State::Here(true),
            State::Waiting(work) => {
                drop(state);
                self.compute.spawn(work);
            }
            State::Gone => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use tokio::sync::oneshot;

    use super::*;

    fn pool() -> runtime::Runtime {
        runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    /// Where the parts of some work were done: before what it waits for, and after.
    async fn work(gate: oneshot::Receiver<()>, seen: mpsc::Sender<thread::ThreadId>, slow: bool) {
        seen.send(thread::current().id()).unwrap();
        if slow {
            thread::sleep(AT_ONCE * 2);
        }
        gate.await.unwrap();
        seen.send(thread::current().id()).unwrap();
    }

    /// Does one piece of work and says whether its first part was done here, and whether its second.
    fn does(tasks: &Tasks, bytes: usize, slow: bool) -> [bool; 2] {
        let (open, gate) = oneshot::channel();
        let (sender, seen) = mpsc::channel();
        tasks.begin(0, bytes, work(gate, sender, slow));
        let first = seen.recv().unwrap();
        open.send(()).unwrap();
        [first, seen.recv().unwrap()].map(|thread| thread == thread::current().id())
    }

    /// However busy the machine is, at some time work of nothing is seen to be short.
    fn used_to_short_work(tasks: &Tasks) {
        while does(tasks, 100, false) != [true, false] {}
    }

    #[test]
    fn small_short_work_begins_here_and_what_comes_after_a_wait_is_the_pools() {
        let pool = pool();
        let tasks = Tasks::new(pool.handle().clone(), 1);
        assert_eq!(does(&tasks, 100, false), [false, false], "nothing was known of it");
        used_to_short_work(&tasks);
    }

    #[test]
    fn large_work_and_work_that_took_long_are_the_pools_from_the_beginning() {
        let pool = pool();
        let tasks = Tasks::new(pool.handle().clone(), 1);
        used_to_short_work(&tasks);
        assert_eq!(does(&tasks, SMALL + 1, false), [false, false]);
        // The first ones come as a surprise; soon they are expected.
        while does(&tasks, 100, true) != [false, false] {}
        assert_eq!(does(&tasks, 100, true), [false, false]);
    }

    #[test]
    fn what_comes_while_the_work_is_begun_here_is_not_missed() {
        let pool = pool();
        let (sender, done) = mpsc::channel();
        let work = async move {
            tokio::task::yield_now().await;
            sender.send(()).unwrap();
        };
        begin_here(pool.handle(), Box::pin(work));
        done.recv().unwrap();
    }

    #[test]
    fn work_that_never_waits_is_done_when_it_has_begun() {
        let pool = pool();
        let (sender, done) = mpsc::channel();
        begin_here(pool.handle(), Box::pin(async move { sender.send(()).unwrap() }));
        done.try_recv().unwrap();
    }
}
