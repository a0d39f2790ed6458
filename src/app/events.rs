//! What the consumer tells becomes tasks, metrics and status.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Once},
    time::Instant,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::tasks::Tasks;
use crate::{
    admin::Status,
    broker::{
        Chunk,
        kafka::{consumer::ConsumerEvents, ticket::Ticket},
    },
    error::WorkerError,
    metrics::{LagMetrics, RebalanceEvent, WorkerMetrics},
    worker::Worker,
};

/// The consumer's surroundings.
pub struct Events {
    worker: Arc<Worker>,
    tasks: Tasks,
    failures: mpsc::UnboundedSender<WorkerError>,
    status: Arc<Status>,
    metrics: WorkerMetrics,
    lag: Mutex<LagMetrics>,
    started: Instant,
    ready: Once,
}

impl Events {
    /// Chunks become `tasks` of `worker`; what makes one fail goes to `failures`. `started` is when the process began.
    pub fn new(
        worker: Arc<Worker>,
        tasks: Tasks,
        failures: mpsc::UnboundedSender<WorkerError>,
        status: Arc<Status>,
        started: Instant,
    ) -> Self {
        let (metrics, lag) = (WorkerMetrics::new(), Mutex::default());
        Self { worker, tasks, failures, status, metrics, lag, started, ready: Once::new() }
    }
}

impl ConsumerEvents for Events {
    fn chunk(&self, chunk: Chunk, ticket: Ticket) {
        let in_flight = ticket.in_flight();
        self.metrics.chunk(chunk.len(), chunk.bytes());
        self.metrics.in_flight(in_flight.messages, in_flight.bytes);
        let (worker, failures) = (Arc::clone(&self.worker), self.failures.clone());
        // A chunk is mostly of one topic; the first message's stands for all.
        let (topic, bytes) = (chunk.message(0).topic, chunk.bytes());
        self.tasks.begin(topic, bytes, async move {
            let milled = AssertUnwindSafe(worker.mill(chunk, &ticket.turn())).catch_unwind().await;
            let failure = match milled {
                Ok(Ok(())) => return ticket.ack(),
                Ok(Err(error)) => error,
                Err(_) => WorkerError::PartEnded("the task of a chunk"),
            };
            // The receiver is gone once the worker stops: then nobody needs to be told.
            let _stopping = failures.send(failure);
        });
    }

    fn hurry(&self) {
        self.worker.outbox.hurry();
    }

    fn idle(&self) {
        self.metrics.in_flight(0, 0);
    }

    fn rebalanced(&self, event: RebalanceEvent, partitions: usize) {
        self.metrics.rebalanced(event);
        self.status.set_assigned(partitions);
        if event == RebalanceEvent::Assigned {
            let took = self.started.elapsed();
            self.ready.call_once(|| tracing::info!(partitions, ?took, "ready"));
        }
    }

    fn committed(&self, ok: bool) {
        self.metrics.committed(ok);
    }

    fn lag(&self, topic: &str, partition: i32, records: i64) {
        self.lag.lock().set(topic, partition, records.unsigned_abs());
    }

    fn forget(&self, topic: &str, partition: i32) {
        self.lag.lock().forget(topic, partition);
    }
}
