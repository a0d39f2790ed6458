//! Records to the client: in one call a partition for those without headers, one by one for those with.

use std::{
    ffi::{CString, c_void},
    ptr,
    sync::Arc,
};

use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{BaseProducer, Producer, ProducerContext},
};
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

use super::{
    HeaderList, Keep,
    partitions::{Partitions, hash_of, partition_of, sorted},
};

/// Lets the client's partitioner choose (`RD_KAFKA_PARTITION_UA`).
const UNASSIGNED: i32 = -1;

/// Payloads up to so many bytes on average are copied by the client. A copy that stands beside the client's own record is
/// made while the payload is still in this core's cache, and found by the client's thread in one place with the record; an
/// answer of 250 bytes costs 0.15 CPU-µs less for it. Of large ones a copy would only be a copy.
const COPIED: usize = 4096;

/// A topic to produce to.
pub struct OutputTopic {
    topic: *mut sys::rd_kafka_topic_t,
    client: *mut sys::rd_kafka_t,
    partitions: Arc<Partitions>,
    _keep: Keep,
}

// SAFETY: topic handles may be used from any thread; `_keep` outlives them.
unsafe impl Send for OutputTopic {}
// SAFETY: as above.
unsafe impl Sync for OutputTopic {}

/// One record to produce. Key and value must stay where they are until its delivery report.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub place: Place,
    /// What its delivery report carries.
    pub opaque: *mut c_void,
}

/// Which partition of its topic a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By its key; any, if it has none.
    Key,
    /// This number modulo the number of partitions.
    Modulo(u32),
    /// This one; as `Key` if the topic has no such partition.
    Exactly(u32),
}

impl Place {
    /// Where a record with this key would go.
    pub fn like(key: &[u8]) -> Self {
        Self::Modulo(hash_of(key))
    }

    /// The partition among so many; `None` if the client is to choose it.
    fn of(self, key: Option<&[u8]>, count: usize) -> Option<usize> {
        if count == 0 {
            return None;
        }
        match self {
            Self::Modulo(number) => Some(number as usize % count),
            Self::Exactly(partition) if (partition as usize) < count => Some(partition as usize),
            Self::Key | Self::Exactly(_) => key.map(|key| partition_of(key, count)),
        }
    }
}

fn pointer(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}

fn raw(record: Outgoing<'_>) -> sys::rd_kafka_message_t {
    let (payload, len) = pointer(record.value);
    let (key, key_len) = pointer(record.key);
    let (rkt, err) = (ptr::null_mut(), OK);
    sys::rd_kafka_message_t { err, rkt, partition: 0, payload, len, key, key_len, offset: 0, _private: record.opaque }
}

impl OutputTopic {
    /// A handle for `name`.
    ///
    /// # Errors
    /// If the client refuses the name.
    pub fn new<C: ProducerContext + 'static>(
        producer: &Arc<BaseProducer<C>>,
        name: &str,
    ) -> Result<Self, RDKafkaErrorCode> {
        let client = producer.client().native_ptr();
        let c_name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        // SAFETY: the client is live; a null configuration means the client's own.
        let topic = unsafe { sys::rd_kafka_topic_new(client, c_name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(RDKafkaErrorCode::InvalidTopic);
        }
        Ok(Self { topic, client, partitions: Arc::default(), _keep: Arc::clone(producer) as Keep })
    }

    /// Asks a broker how many partitions the topic has, and says where to note it when that changes. Unless it is known, the
    /// client chooses the partition of each record. Blocks for as long as no broker answers, though not for ever.
    pub fn ask_partitions(&self) -> Arc<Partitions> {
        // SAFETY: `_keep` keeps the client live, and the topic is ours.
        unsafe { self.partitions.ask(self.client, self.topic) }
        Arc::clone(&self.partitions)
    }

    /// It has so many partitions.
    pub fn set_partitions(&self, partitions: i32) {
        self.partitions.set(usize::try_from(partitions).unwrap_or(0));
    }

    /// Hands records without headers to the client in one call. Returns the
    /// index and error of each record that was not taken.
    ///
    /// # Safety
    /// The bytes of `records` must live until their delivery reports, and each `opaque` must be what the producer's context
    /// expects.
    pub unsafe fn produce_batch<'a>(
        &self,
        records: impl ExactSizeIterator<Item = Outgoing<'a>>,
    ) -> Vec<(usize, RDKafkaErrorCode)> {
        let count = self.partitions.count();
        let mut partitions = Vec::with_capacity(records.len());
        let take = |record: Outgoing<'a>| {
            partitions.extend(record.place.of(record.key, count).map(|partition| partition as u32));
            raw(record)
        };
        let mut batch: Vec<_> = records.map(take).collect();
        if partitions.len() < batch.len() {
            // SAFETY: as the caller says.
            return unsafe { self.hand_over(UNASSIGNED, &mut batch) };
        }
        let (order, starts) = sorted(&partitions, count);
        let mut ordered: Vec<_> = order.iter().map(|&position| batch[position as usize]).collect();
        let mut refused = Vec::new();
        for partition in 0..count {
            let range = starts[partition]..starts[partition + 1];
            if range.is_empty() {
                continue;
            }
            // SAFETY: as the caller says.
            let failed = unsafe { self.hand_over(partition as i32, &mut ordered[range.clone()]) };
            if failed.iter().any(|(_, error)| *error == RDKafkaErrorCode::UnknownPartition) {
                // The topic was made anew with fewer; the client knows how many, and chooses from now on.
                self.partitions.set(0);
            }
            refused.extend(failed.into_iter().map(|(index, error)| (order[range.start + index] as usize, error)));
        }
        refused
    }

    /// One call for records of one partition, or for records whose partitions the client chooses.
    unsafe fn hand_over(
        &self,
        partition: i32,
        batch: &mut [sys::rd_kafka_message_t],
    ) -> Vec<(usize, RDKafkaErrorCode)> {
        let count = i32::try_from(batch.len()).expect("a chunk is far below 2^31 records");
        let bytes: usize = batch.iter().map(|message| message.len).sum();
        let flags = if bytes <= COPIED * batch.len() { sys::RD_KAFKA_MSG_F_COPY } else { 0 };
        // SAFETY: the topic is live; the client copies the payloads or only reads them, and the caller keeps them until the
        // reports.
        let taken = unsafe { sys::rd_kafka_produce_batch(self.topic, partition, flags, batch.as_mut_ptr(), count) };
        if taken == count {
            return Vec::new();
        }
        let failed = batch.iter().enumerate().filter(|(_, message)| message.err != OK);
        failed.map(|(index, message)| (index, message.err.into())).collect()
    }

    /// Hands one record with headers to the client.
    ///
    /// # Errors
    /// The client's error if the record was not taken.
    ///
    /// # Safety
    /// As [`Self::produce_batch`].
    pub unsafe fn produce(&self, record: Outgoing<'_>, headers: HeaderList) -> Result<(), RDKafkaErrorCode> {
        use sys::{rd_kafka_vtype_t as vtype, rd_kafka_vu_s__bindgen_ty_1 as Value};
        let mem = |bytes| {
            let (ptr, size) = pointer(bytes);
            Value { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size } }
        };
        let partition = match record.place {
            Place::Key => UNASSIGNED,
            place => place.of(record.key, self.partitions.count()).map_or(UNASSIGNED, |partition| partition as i32),
        };
        let vu = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
        let arguments = [
            vu(vtype::RD_KAFKA_VTYPE_RKT, Value { rkt: self.topic }),
            vu(vtype::RD_KAFKA_VTYPE_PARTITION, Value { i32_: partition }),
            vu(vtype::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: 0 }),
            vu(vtype::RD_KAFKA_VTYPE_VALUE, mem(record.value)),
            vu(vtype::RD_KAFKA_VTYPE_KEY, mem(record.key)),
            vu(vtype::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: record.opaque }),
            vu(vtype::RD_KAFKA_VTYPE_HEADERS, Value { headers: headers.raw() }),
        ];
        // SAFETY: the headers are ours until the call takes them, which it does unless it fails; everything else lives at
        // least as long as the call, and key and value as long as the caller says.
        unsafe {
            let error = sys::rd_kafka_produceva(self.client, arguments.as_ptr(), arguments.len());
            if error.is_null() {
                std::mem::forget(headers);
                return Ok(());
            }
            let code = sys::rd_kafka_error_code(error);
            sys::rd_kafka_error_destroy(error);
            Err(code.into())
        }
    }
}

impl Drop for OutputTopic {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and its client is still live.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_goes_where_it_is_told_by_its_key_if_that_is_nowhere_and_where_the_client_says_if_nothing_is_known() {
        let by_key = Place::Key.of(Some(b"21"), 8);
        assert!(by_key.is_some());
        assert_eq!(Place::like(b"21").of(Some(b"other"), 8), by_key, "one key, one partition");
        assert_eq!((Place::Modulo(9).of(None, 8), Place::Exactly(7).of(None, 8)), (Some(1), Some(7)));
        assert_eq!(Place::Exactly(8).of(Some(b"21"), 8), by_key);
        assert_eq!((Place::Key.of(None, 8), Place::Modulo(9).of(Some(b"21"), 0)), (None, None));
    }
}
