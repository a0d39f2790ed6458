//! librdkafka's clients, called as directly as they can be.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rdkafka_sys as sys;
use sys::{rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK, rd_kafka_type_t::*};

/// A record as librdkafka hands it over and takes it.
pub type Record = sys::rd_kafka_message_t;

/// As many answers on their way as the worker has at the most: a loop that ran ahead of its answers would be measured by
/// answers whose work lay before the measurement.
const IN_FLIGHT: usize = 20_000;

/// Records that the broker did not take.
static LOST: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn reported(_: *mut sys::rd_kafka_t, message: *const Record, _: *mut c_void) {
    // SAFETY: the client hands over a live message.
    if unsafe { (*message).err } != OK {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

fn client(kind: sys::rd_kafka_type_t, properties: &[(&str, &str)]) -> *mut sys::rd_kafka_t {
    let mut error = [0 as c_char; 512];
    // SAFETY: all strings outlive the calls; the configuration is handed over to the client.
    unsafe {
        let conf = sys::rd_kafka_conf_new();
        for (name, value) in properties {
            let (name, value) = (CString::new(*name).unwrap(), CString::new(*value).unwrap());
            let set = sys::rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), error.as_mut_ptr(), error.len());
            assert_eq!(set as i32, 0, "{name:?}");
        }
        if kind == RD_KAFKA_PRODUCER {
            sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(reported));
        }
        let client = sys::rd_kafka_new(kind, conf, error.as_mut_ptr(), error.len());
        assert!(!client.is_null(), "{:?}", CStr::from_ptr(error.as_ptr()));
        client
    }
}

/// A member of the group, the one reader of its topic.
pub struct Consumer {
    client: *mut sys::rd_kafka_t,
    queue: *mut sys::rd_kafka_queue_t,
    records: Vec<*mut Record>,
}

impl Consumer {
    pub fn new(brokers: &str, group: &str, topic: &str) -> Self {
        let properties = [
            ("bootstrap.servers", brokers),
            ("socket.nagle.disable", "true"),
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("fetch.queue.backoff.ms", "10"),
            ("queued.min.messages", "4000"),
        ];
        let mut properties = properties.to_vec();
        let extra = std::env::var("FLOOR_C").unwrap_or_default();
        for p in extra.split_whitespace() {
            properties.push(p.split_once('=').unwrap());
        }
        let client = client(RD_KAFKA_CONSUMER, &properties);
        // SAFETY: the client is live, and lives as long as the process; strings and lists are copied.
        unsafe {
            sys::rd_kafka_poll_set_consumer(client);
            let topics = sys::rd_kafka_topic_partition_list_new(1);
            let topic = CString::new(topic).unwrap();
            sys::rd_kafka_topic_partition_list_add(topics, topic.as_ptr(), -1);
            assert_eq!(sys::rd_kafka_subscribe(client, topics), OK);
            sys::rd_kafka_topic_partition_list_destroy(topics);
            Self { client, queue: sys::rd_kafka_queue_get_consumer(client), records: Vec::new() }
        }
    }

    /// Up to `most` records: waits for one and takes what is there. They live until the next call.
    pub fn take(&mut self, most: usize) -> &mut [*mut Record] {
        for record in self.records.drain(..) {
            // SAFETY: the records are ours.
            unsafe { sys::rd_kafka_message_destroy(record) };
        }
        self.records.reserve(most);
        // SAFETY: there is room for `most` pointers; what was written is ours.
        unsafe {
            let start = self.records.as_mut_ptr();
            let mut count = sys::rd_kafka_consume_batch_queue(self.queue, 100, start, 1);
            if count == 1 {
                count += sys::rd_kafka_consume_batch_queue(self.queue, 0, start.add(1), most - 1).max(0);
            }
            self.records.set_len(usize::try_from(count).unwrap_or(0));
            for record in &self.records {
                let error = (**record).err;
                assert_eq!(error, OK, "{:?}", CStr::from_ptr(sys::rd_kafka_err2str(error)));
            }
        }
        &mut self.records
    }

    /// Asks the broker to keep in mind what was taken up to now.
    pub fn commit(&self) {
        // SAFETY: the client is live; without a list, what was handed over last is committed.
        unsafe { sys::rd_kafka_commit(self.client, ptr::null(), 1) };
    }
}

/// The answers' way out.
pub struct Producer {
    client: *mut sys::rd_kafka_t,
    topic: *mut sys::rd_kafka_topic_t,
    /// What is to be sent, by partition.
    waiting: Vec<Vec<Record>>,
    count: usize,
}

impl Producer {
    pub fn new(brokers: &str, topic: &str) -> Self {
        let properties = [
            ("bootstrap.servers", brokers),
            ("socket.nagle.disable", "true"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "0"),
            ("message.timeout.ms", "0"),
            // A report for each record costs a walk through memory that has left the caches; here, only failures matter.
            ("delivery.report.only.error", "true"),
        ];
        let mut properties = properties.to_vec();
        let extra = std::env::var("FLOOR_P").unwrap_or_default();
        for p in extra.split_whitespace() {
            properties.push(p.split_once('=').unwrap());
        }
        let client = client(RD_KAFKA_PRODUCER, &properties);
        let topic = CString::new(topic).unwrap();
        // SAFETY: the client is live, and lives as long as the process.
        let topic = unsafe { sys::rd_kafka_topic_new(client, topic.as_ptr(), ptr::null_mut()) };
        let waiting = vec![Vec::new(); partitions(client, topic)];
        Self { client, topic, waiting, count: 0 }
    }

    /// Puts a record in line. Key and value must stay where they are until [`Self::send`].
    #[inline]
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        let partition = murmur2(key) as usize % self.waiting.len();
        self.count += 1;
        self.waiting[partition].push(Record {
            err: OK,
            rkt: ptr::null_mut(),
            partition: 0,
            payload: value.as_ptr().cast_mut().cast(),
            len: value.len(),
            key: key.as_ptr().cast_mut().cast(),
            key_len: key.len(),
            offset: 0,
            _private: ptr::null_mut(),
        });
    }

    /// Sends what stands in line; waits while too much is on its way.
    pub fn send(&mut self) {
        self.wait_for_room(self.count);
        self.count = 0;
        for (partition, records) in self.waiting.iter_mut().enumerate().filter(|(_, records)| !records.is_empty()) {
            let (copy, len) = (sys::RD_KAFKA_MSG_F_COPY, records.len() as i32);
            // SAFETY: the client copies keys and values.
            let taken =
                unsafe { sys::rd_kafka_produce_batch(self.topic, partition as i32, copy, records.as_mut_ptr(), len) };
            assert_eq!(taken, len, "{:?}", records.iter().find(|record| record.err != OK).map(|record| record.err));
            records.clear();
        }
    }

    fn wait_for_room(&self, count: usize) {
        // SAFETY: the client is live.
        unsafe {
            if sys::rd_kafka_outq_len(self.client) as usize + count <= IN_FLIGHT {
                return;
            }
            // Not for each that is acknowledged: for a good part.
            while sys::rd_kafka_outq_len(self.client) as usize > IN_FLIGHT / 2 {
                sys::rd_kafka_poll(self.client, 1);
            }
        }
    }

    /// Waits until the broker has acknowledged all that was sent.
    ///
    /// # Panics
    /// If it refused something.
    pub fn flush(&self) {
        // SAFETY: the client is live.
        unsafe { sys::rd_kafka_flush(self.client, 60_000) };
        assert_eq!(LOST.load(Ordering::Relaxed), 0, "the broker took every record");
    }
}

/// How many partitions a topic has.
fn partitions(client: *mut sys::rd_kafka_t, topic: *mut sys::rd_kafka_topic_t) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let mut metadata = ptr::null();
        // SAFETY: client and topic are live, and what the client allocates is given back to it.
        unsafe {
            if sys::rd_kafka_metadata(client, 0, topic, &mut metadata, 10_000) == OK {
                let count = (*(*metadata).topics).partition_cnt;
                sys::rd_kafka_metadata_destroy(metadata);
                if count > 0 {
                    return count as usize;
                }
            }
        }
    }
    panic!("the topic of the answers has no partitions after a minute");
}

/// The hash by which Java's clients choose a partition, its sign taken off.
/// <https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/utils/Utils.java>
#[inline]
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word = (word ^ word >> 24).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    (hash ^ hash >> 15) & 0x7fff_ffff
}
