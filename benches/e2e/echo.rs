//! The bare loop: takes records in batches and gives each one back, byte for byte. No product code.
//!
//! What any worker between two topics pays to Kafka's client before it does anything of its own: a batch consume from one
//! queue, a batch produce (`acks=all`, idempotent, murmur2) with delivery reports, and once a second a flush and a commit:
//! at least once, as the worker.

use std::{
    ffi::{CStr, CString, c_void},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::{self as code, RD_KAFKA_RESP_ERR_NO_ERROR as OK};

const BATCH: usize = 1000;

/// Records that the broker did not take; the loop stops at the first.
static LOST: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn delivered(_: *mut sys::rd_kafka_t, message: *const sys::rd_kafka_message_t, _: *mut c_void) {
    // SAFETY: the client hands over a live message.
    if unsafe { (*message).err } != OK {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe fn client(kind: sys::rd_kafka_type_t, properties: &[(&str, &str)]) -> *mut sys::rd_kafka_t {
    let mut error = [0_i8; 512];
    // SAFETY: all strings outlive the calls; the configuration is handed over to the client.
    unsafe {
        let conf = sys::rd_kafka_conf_new();
        for (name, value) in properties {
            let (name, value) = (CString::new(*name).unwrap(), CString::new(*value).unwrap());
            let set = sys::rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), error.as_mut_ptr(), error.len());
            assert_eq!(set as i32, 0, "{name:?}");
        }
        if kind == sys::rd_kafka_type_t::RD_KAFKA_PRODUCER {
            sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(delivered));
        }
        let client = sys::rd_kafka_new(kind, conf, error.as_mut_ptr(), error.len());
        assert!(!client.is_null(), "{:?}", CStr::from_ptr(error.as_ptr()));
        client
    }
}

/// Echoes `requests` into `results` until it is killed.
pub fn run(brokers: &str, group: &str, requests: &str, results: &str) -> ! {
    let common = [("bootstrap.servers", brokers), ("socket.nagle.disable", "true")];
    let consumer = [
        &common[..],
        &[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("fetch.queue.backoff.ms", "10"),
            ("queued.min.messages", "4000"),
        ],
    ]
    .concat();
    let producer = [
        &common[..],
        &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "0"),
            // As many in flight as the worker has at the most: a loop that ran ahead of its answers would be measured by
            // answers whose work lay before the measurement.
            ("queue.buffering.max.messages", "20000"),
        ],
    ]
    .concat();
    // SAFETY: the calls follow librdkafka's documentation; the process is the only user of both clients.
    unsafe {
        let consumer = client(sys::rd_kafka_type_t::RD_KAFKA_CONSUMER, &consumer);
        let producer = client(sys::rd_kafka_type_t::RD_KAFKA_PRODUCER, &producer);
        sys::rd_kafka_poll_set_consumer(consumer);
        let topics = sys::rd_kafka_topic_partition_list_new(1);
        let requests = CString::new(requests).unwrap();
        sys::rd_kafka_topic_partition_list_add(topics, requests.as_ptr(), -1);
        assert_eq!(sys::rd_kafka_subscribe(consumer, topics), OK);
        let results = CString::new(results).unwrap();
        let results = sys::rd_kafka_topic_new(producer, results.as_ptr(), ptr::null_mut());
        echo(consumer, producer, results)
    }
}

unsafe fn echo(
    consumer: *mut sys::rd_kafka_t,
    producer: *mut sys::rd_kafka_t,
    results: *mut sys::rd_kafka_topic_t,
) -> ! {
    // SAFETY: as in `run`; a batch's messages are destroyed only after the producer has copied them.
    unsafe {
        let queue = sys::rd_kafka_queue_get_consumer(consumer);
        let mut batch: Vec<*mut sys::rd_kafka_message_t> = Vec::with_capacity(BATCH);
        let mut out: Vec<sys::rd_kafka_message_t> = Vec::with_capacity(BATCH);
        let mut committed = Instant::now();
        loop {
            let mut count = sys::rd_kafka_consume_batch_queue(queue, 100, batch.as_mut_ptr(), 1);
            if count == 1 {
                count += sys::rd_kafka_consume_batch_queue(queue, 0, batch.as_mut_ptr().add(1), BATCH - 1).max(0);
            }
            batch.set_len(usize::try_from(count).unwrap_or(0));
            out.clear();
            for message in &batch {
                let message = **message;
                if message.err == OK {
                    out.push(sys::rd_kafka_message_t { partition: 0, _private: ptr::null_mut::<c_void>(), ..message });
                }
            }
            let mut rest = &mut out[..];
            while !rest.is_empty() {
                let (copy, len) = (sys::RD_KAFKA_MSG_F_COPY, rest.len() as i32);
                let taken = sys::rd_kafka_produce_batch(results, -1, copy, rest.as_mut_ptr(), len);
                // With its queue full, the client says when there is room again.
                sys::rd_kafka_poll(producer, if taken < len { 10 } else { 0 });
                assert!(rest.iter().all(|m| m.err == OK || m.err == code::RD_KAFKA_RESP_ERR__QUEUE_FULL));
                rest = &mut rest[usize::try_from(taken).unwrap_or(0)..];
            }
            for message in batch.drain(..) {
                sys::rd_kafka_message_destroy(message);
            }
            if committed.elapsed() > Duration::from_secs(1) {
                sys::rd_kafka_flush(producer, 60_000);
                assert_eq!(LOST.load(Ordering::Relaxed), 0, "the broker took every record");
                sys::rd_kafka_commit(consumer, ptr::null(), 1);
                committed = Instant::now();
            }
        }
    }
}
