//! The echo: takes records in batches and gives each one back, byte for byte. No product code.
//!
//! What any worker between two topics pays to Kafka's client before it does anything of its own, over the same client calls
//! as the floor: a batch consume, a batch produce (`acks=all`, idempotent, murmur2), and once a second a flush and a commit.

use std::{
    ptr, slice,
    time::{Duration, Instant},
};

use crate::floor::kafka::{Consumer, Producer, Record};

const BATCH: usize = 1000;
/// As many answers on their way as the floor has.
const IN_FLIGHT: usize = 20_000;

/// Echoes `requests` into `results` until it is killed.
pub fn run(brokers: &str, group: &str, requests: &str, results: &str) -> ! {
    let mut producer = Producer::new(brokers, results, IN_FLIGHT);
    let mut consumer = Consumer::new(brokers, group, requests);
    let mut committed = Instant::now();
    loop {
        let records = consumer.take(BATCH);
        producer.wait_for_room(records.len());
        for record in records.iter() {
            // SAFETY: the record lives until the next take.
            let record: &Record = unsafe { &**record };
            let value = unsafe { slice::from_raw_parts(record.payload.cast(), record.len) };
            if record.key.is_null() {
                producer.push_to(record.partition as usize, &[], value, ptr::null_mut());
            } else {
                let key = unsafe { slice::from_raw_parts(record.key.cast(), record.key_len) };
                producer.push(key, value, ptr::null_mut());
            }
        }
        producer.send();
        if committed.elapsed() > Duration::from_secs(1) {
            producer.flush();
            consumer.commit();
            committed = Instant::now();
        }
    }
}
