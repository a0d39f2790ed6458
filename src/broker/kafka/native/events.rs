//! A client's queue of events, as far as its length and a bell are concerned: the wrapper serves what is in it.

use std::{ffi::c_int, os::fd::RawFd, ptr, sync::Arc};

use rdkafka::{
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    producer::{BaseProducer, Producer, ProducerContext},
};
use rdkafka_sys as sys;

use super::Keep;

/// Events that wait for [`BaseConsumer::poll`], which serves one a call if it is given no time to wait.
pub fn events_waiting<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> usize {
    // SAFETY: the client is live; the reference to its queue, or to the one that it leads to, is ours to give back.
    unsafe {
        let queue = sys::rd_kafka_queue_get_main(consumer.client().native_ptr());
        let length = sys::rd_kafka_queue_length(queue);
        sys::rd_kafka_queue_destroy(queue);
        length
    }
}

/// The queue of a producer's events.
pub struct EventQueue {
    queue: *mut sys::rd_kafka_queue_t,
    _keep: Keep,
}

// SAFETY: librdkafka's queues may be used from any thread; `_keep` outlives this one.
unsafe impl Send for EventQueue {}

impl EventQueue {
    /// The queue that [`BaseProducer::poll`] serves.
    pub fn of_producer<C: ProducerContext + 'static>(producer: &Arc<BaseProducer<C>>) -> Self {
        // SAFETY: the client is live, and `_keep` keeps it so; the reference to its queue is ours to give back.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        Self { queue, _keep: Arc::clone(producer) as Keep }
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_length(self.queue) }
    }

    /// From now on, a byte is written to `bell` with the first event that comes after the queue was served. The descriptor
    /// must stay open until [`Self::mute`], and not block.
    pub fn ring(&self, bell: RawFd) {
        const BYTE: &[u8] = &[1];
        // SAFETY: the queue is live; the client copies the byte.
        unsafe { sys::rd_kafka_queue_io_event_enable(self.queue, bell, BYTE.as_ptr().cast(), BYTE.len()) }
    }

    /// Nothing is written any more.
    pub fn mute(&self) {
        const NONE: c_int = -1;
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_io_event_enable(self.queue, NONE, ptr::null(), 0) }
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours; the client is still live.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) }
    }
}
