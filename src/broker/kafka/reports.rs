//! The thread that hears from the broker that answers arrived.
//!
//! Nobody waits for a single delivery report: it lets offsets be committed, and room be given back. So the thread sleeps until
//! there is one, serves all there are, and then lets some more gather before it looks again: at 3,000 answers a second it is
//! woken 200 times and not 3,000. With nothing under way it is not woken at all.

use std::{
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::native::EventQueue;

/// The least time between two looks while reports are few.
const GATHER: Duration = Duration::from_millis(5);

/// With more records than this under way, a pause costs more than it saves: their memory has left the caches when it is given
/// back, and what is in flight waits for room.
const MANY: i32 = 1_000;

/// Serves a producer's delivery reports until it is dropped.
pub struct DeliveryReports {
    stop: Arc<AtomicBool>,
    alarm: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl DeliveryReports {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread or pair of sockets for it.
    pub fn serve<C: ProducerContext + 'static>(producer: Arc<BaseProducer<C>>) -> io::Result<Self> {
        // The client writes a byte when a first event comes into the empty queue; so does whoever wants the thread to end.
        let (alarm, bell) = UnixStream::pair()?;
        alarm.set_nonblocking(true)?;
        let queue = EventQueue::of_producer(&producer);
        queue.ring(alarm.as_raw_fd());
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            let serve = move || {
                // What came before there was a bell is served before the first wait for it.
                while !stop.load(Ordering::Acquire) {
                    let looked = Instant::now();
                    drain(&producer, &queue);
                    if producer.in_flight_count() < MANY {
                        std::thread::sleep(GATHER.saturating_sub(looked.elapsed()));
                    }
                    if !is_rung(&bell) {
                        break;
                    }
                }
                queue.mute();
            };
            std::thread::Builder::new().name("delivery-reports".to_owned()).spawn(serve)?
        };
        Ok(Self { stop, alarm, thread: Some(thread) })
    }
}

/// Sleeps until the bell is rung; several rings count as one.
fn is_rung(mut bell: &UnixStream) -> bool {
    let mut rings = [0; 64];
    loop {
        match bell.read(&mut rings) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.is_ok_and(|bytes| bytes > 0),
        }
    }
}

/// Serves what is in the queue.
fn drain<C: ProducerContext>(producer: &BaseProducer<C>, queue: &EventQueue) {
    while queue.len() > 0 {
        // One event a call: with no time to wait, it does not look for a second.
        producer.poll(Duration::ZERO);
    }
}

impl Drop for DeliveryReports {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // If it cannot be written, rings are waiting already.
        drop(self.alarm.write(&[1]));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that serves delivery reports has panicked");
        }
    }
}
