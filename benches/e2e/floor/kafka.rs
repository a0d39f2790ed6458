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

    /// Up to `most` records: waits up to 100 ms for one and takes what is there. They live until the next call.
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
    in_flight: usize,
}

impl Producer {
    /// For `topic`, with at most about `in_flight` records on their way.
    pub fn new(brokers: &str, topic: &str, in_flight: usize) -> Self {
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
        let client = client(RD_KAFKA_PRODUCER, &properties);
        let topic = CString::new(topic).unwrap();
        // SAFETY: the client is live, and lives as long as the process.
        let topic = unsafe { sys::rd_kafka_topic_new(client, topic.as_ptr(), ptr::null_mut()) };
        let waiting = vec![Vec::new(); partitions(client, topic)];
        Self { client, topic, waiting, in_flight }
    }

    /// Puts a record in line, with a list of headers that is the client's from then on, or null. Key and value must stay where
    /// they are until [`Self::send`].
    #[inline]
    pub fn push(&mut self, key: &[u8], value: &[u8], headers: *mut sys::rd_kafka_headers_t) {
        self.push_to(murmur2(key) as usize % self.waiting.len(), key, value, headers);
    }

    /// As [`Self::push`], to one of the topic's partitions.
    #[inline]
    pub fn push_to(&mut self, partition: usize, key: &[u8], value: &[u8], headers: *mut sys::rd_kafka_headers_t) {
        self.waiting[partition].push(Record {
            err: OK,
            rkt: ptr::null_mut(),
            partition: partition as i32,
            payload: value.as_ptr().cast_mut().cast(),
            len: value.len(),
            key: key.as_ptr().cast_mut().cast(),
            key_len: key.len(),
            offset: 0,
            _private: headers.cast(),
        });
    }

    /// Sends what stands in line, one partition after the other. Left to the client's partitioner, records go back and forth
    /// between partitions, its thread is woken for the first of each and sends what is there: few at a time.
    pub fn send(&mut self) {
        for records in self.waiting.iter_mut().filter(|records| !records.is_empty()) {
            if !records[0]._private.is_null() {
                // SAFETY: key and value are there, and the headers the record's own.
                records.drain(..).for_each(|record| unsafe { send_one(self.client, self.topic, &record) });
                continue;
            }
            let (partition, len) = (records[0].partition, records.len() as i32);
            let (copy, start) = (sys::RD_KAFKA_MSG_F_COPY, records.as_mut_ptr());
            // SAFETY: the client copies keys and values.
            let taken = unsafe { sys::rd_kafka_produce_batch(self.topic, partition, copy, start, len) };
            assert_eq!(taken, len, "{:?}", records.iter().map(|record| record.err).find(|error| *error != OK));
            records.clear();
        }
    }

    /// Waits while `count` more would be too many on their way.
    pub fn wait_for_room(&self, count: usize) {
        // SAFETY: the client is live.
        unsafe {
            sys::rd_kafka_poll(self.client, 0);
            if sys::rd_kafka_outq_len(self.client) as usize + count <= self.in_flight {
                return;
            }
            // Not for each that is acknowledged: for a good part.
            while sys::rd_kafka_outq_len(self.client) as usize > self.in_flight / 2 {
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

/// Sends a record with headers, which no batch call takes.
///
/// # Safety
/// Key and value are live, and the list in the record's private place is the caller's.
unsafe fn send_one(client: *mut sys::rd_kafka_t, topic: *mut sys::rd_kafka_topic_t, record: &Record) {
    use sys::{rd_kafka_vtype_t::*, rd_kafka_vu_s__bindgen_ty_1 as Value};
    let bytes = |ptr, size| Value { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size } };
    let arguments = [
        (RD_KAFKA_VTYPE_RKT, Value { rkt: topic }),
        (RD_KAFKA_VTYPE_PARTITION, Value { i32_: record.partition }),
        (RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY }),
        (RD_KAFKA_VTYPE_VALUE, bytes(record.payload, record.len)),
        (RD_KAFKA_VTYPE_KEY, bytes(record.key, record.key_len)),
        (RD_KAFKA_VTYPE_HEADERS, Value { headers: record._private.cast() }),
    ];
    let arguments = arguments.map(|(vtype, u)| sys::rd_kafka_vu_t { vtype, u });
    // SAFETY: key and value are copied, and the list is taken over.
    let error = unsafe { sys::rd_kafka_produceva(client, arguments.as_ptr(), arguments.len()) };
    assert!(error.is_null(), "the client takes a record for which there is room");
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
