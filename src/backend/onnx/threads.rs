//! The threads that the runtime starts for a session of more than one: started by a thread of ordinary priority.
//!
//! A thread inherits its priority from the one that starts it, and models are opened by threads that come last; the
//! session's own threads would come last for as long as the model serves. So they are started by one thread that has been
//! there since before.

use std::{
    sync::{
        OnceLock,
        mpsc::{Sender, channel, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

use ort::{Error, environment::ThreadManager};

type Start = Box<dyn FnOnce() + Send>;

static STARTER: OnceLock<Sender<Start>> = OnceLock::new();

/// Starts the thread that starts the others; called before anything comes last.
pub(super) fn init() {
    STARTER.get_or_init(|| {
        let (sender, starts) = channel::<Start>();
        let started =
            Builder::new().name("starter".to_owned()).spawn(move || starts.into_iter().for_each(|start| start()));
        // Without it, threads are started where they are asked for.
        drop(started);
        sender
    });
}

/// Starts the runtime's threads.
pub(super) struct Threads;

impl ThreadManager for Threads {
    type Thread = JoinHandle<()>;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<JoinHandle<()>> {
        let failed = |error: std::io::Error| Error::new(format!("a thread cannot be started: {error}"));
        let (sender, started) = sync_channel(1);
        let start = move || {
            // Whoever asked waits for it.
            drop(sender.send(Builder::new().name("inference".to_owned()).spawn(work)));
        };
        init();
        let starter = STARTER.get().expect("it was just made sure");
        if let Err(refused) = starter.send(Box::new(start)) {
            (refused.0)();
        }
        started.recv().map_err(|_| Error::new("the thread that starts threads has ended"))?.map_err(failed)
    }

    fn join(thread: JoinHandle<()>) -> ort::Result<()> {
        thread.join().map_err(|_| Error::new("a thread of the runtime panicked"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::process;

    #[test]
    #[cfg(target_os = "linux")]
    fn threads_asked_for_by_one_that_comes_last_do_not_come_last() {
        init();
        // SAFETY: it only asks.
        let priority = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let ordinary = priority();
        let (sender, receiver) = mpsc::channel();
        let asking = std::thread::spawn(move || {
            process::come_last();
            let thread = Threads.create(move || sender.send(priority()).unwrap()).unwrap();
            Threads::join(thread).unwrap();
        });
        asking.join().unwrap();
        assert_eq!(receiver.recv().unwrap(), ordinary);
    }
}
