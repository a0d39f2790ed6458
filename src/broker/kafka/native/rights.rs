//! What the broker lets this client do with topics and with its group, asked before anything is taken or written.
//!
//! Brokers since 2.3 tell it on demand (KIP-430), and nothing is changed by the question. A broker that does not know it
//! leaves the answer open.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    ptr, slice,
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::RDKafkaErrorCode,
};
use rdkafka_sys as sys;
use sys::{
    rd_kafka_AclOperation_t::{RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_OPERATION_WRITE},
    rd_kafka_admin_op_t::{RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS},
};

/// Of all operations, those that a worker needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operations {
    pub read: bool,
    pub write: bool,
}

/// What the broker says of a topic or a group: what is allowed (`None`: it does not tell), or why it says nothing.
pub type Verdict = Result<Option<Operations>, RDKafkaErrorCode>;

/// What the broker said; what is missing was not answered in time.
#[derive(Debug, Default)]
pub struct Rights {
    pub topics: BTreeMap<String, Verdict>,
    pub group: Option<Verdict>,
}

/// How long a wait is before it is looked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

/// Asks what this client may do with `topics` and with the group `group`. Blocks for `patience` at the most, and no longer
/// than `go_on` says.
pub fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &[&str],
    group: &str,
    patience: Duration,
    go_on: &dyn Fn() -> bool,
) -> Rights {
    let client = consumer.client().native_ptr();
    let mut rights = Rights::default();
    let deadline = Instant::now() + patience;
    // SAFETY: the client is live; the queue is ours, and destroyed when nothing is read from it any more.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let mut open = usize::from(describe_topics(client, topics, patience, queue));
        open += usize::from(describe_group(client, group, patience, queue));
        while open > 0 && Instant::now() < deadline && go_on() {
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(SLICE));
            if !event.is_null() {
                rights.read(event);
                sys::rd_kafka_event_destroy(event);
                open -= 1;
            }
        }
        sys::rd_kafka_queue_destroy(queue);
    }
    rights
}

impl Rights {
    /// # Safety
    /// `event` is live, and the result of one of the two questions.
    unsafe fn read(&mut self, event: *mut sys::rd_kafka_event_t) {
        // SAFETY: everything that is read here lives as long as the event.
        unsafe {
            let topics = sys::rd_kafka_event_DescribeTopics_result(event);
            let groups = sys::rd_kafka_event_DescribeConsumerGroups_result(event);
            let mut count = 0;
            if !topics.is_null() {
                let described = sys::rd_kafka_DescribeTopics_result_topics(topics, &mut count);
                for &topic in entries(described, count) {
                    let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
                    let error = sys::rd_kafka_TopicDescription_error(topic);
                    let allowed =
                        |count: &mut usize| sys::rd_kafka_TopicDescription_authorized_operations(topic, count);
                    self.topics.insert(name.to_string_lossy().into_owned(), verdict(error, allowed));
                }
            } else if !groups.is_null() {
                let described = sys::rd_kafka_DescribeConsumerGroups_result_groups(groups, &mut count);
                for &group in entries(described, count) {
                    let error = sys::rd_kafka_ConsumerGroupDescription_error(group);
                    self.group = Some(verdict(error, |count| {
                        sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, count)
                    }));
                }
            }
        }
    }
}

/// # Safety
/// `list` holds `count` live pointers, or is null.
unsafe fn entries<'a, T>(list: *mut *const T, count: usize) -> &'a [*const T] {
    // SAFETY: as the caller says.
    if list.is_null() { &[] } else { unsafe { slice::from_raw_parts(list, count) } }
}

/// # Safety
/// `error` and what `allowed` gives live, or are null.
unsafe fn verdict(
    error: *const sys::rd_kafka_error_t,
    allowed: impl FnOnce(&mut usize) -> *const sys::rd_kafka_AclOperation_t,
) -> Verdict {
    // SAFETY: as the caller says; the client knows every operation that it names.
    unsafe {
        // A null pointer stands for no error.
        let code = sys::rd_kafka_error_code(error);
        if code != super::OK {
            return Err(code.into());
        }
        let mut count = 0;
        let list = allowed(&mut count);
        if list.is_null() {
            return Ok(None);
        }
        let list = slice::from_raw_parts(list, count);
        let (read, write) = (RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_OPERATION_WRITE);
        Ok(Some(Operations { read: list.contains(&read), write: list.contains(&write) }))
    }
}

/// Asks about topics; says whether there will be an answer.
///
/// # Safety
/// `client` and `queue` live.
unsafe fn describe_topics(
    client: *mut sys::rd_kafka_t,
    topics: &[&str],
    patience: Duration,
    queue: *mut sys::rd_kafka_queue_t,
) -> bool {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    if pointers.is_empty() {
        return false;
    }
    // SAFETY: as the caller says; the client copies the names, and the collection and the options are ours to destroy.
    unsafe {
        let options = options(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, patience);
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        sys::rd_kafka_TopicCollection_destroy(topics);
        sys::rd_kafka_AdminOptions_destroy(options);
    }
    true
}

/// The same about a group.
///
/// # Safety
/// `client` and `queue` live.
unsafe fn describe_group(
    client: *mut sys::rd_kafka_t,
    group: &str,
    patience: Duration,
    queue: *mut sys::rd_kafka_queue_t,
) -> bool {
    let Ok(name) = CString::new(group) else { return false };
    // SAFETY: as the caller says; the client copies the name, and the options are ours to destroy.
    unsafe {
        let options = options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, patience);
        sys::rd_kafka_DescribeConsumerGroups(client, &mut name.as_ptr(), 1, options, queue);
        sys::rd_kafka_AdminOptions_destroy(options);
    }
    true
}

/// # Safety
/// `client` lives; the options are the caller's to destroy.
unsafe fn options(
    client: *mut sys::rd_kafka_t,
    question: sys::rd_kafka_admin_op_t,
    patience: Duration,
) -> *mut sys::rd_kafka_AdminOptions_t {
    // SAFETY: as the caller says. Both settings fit both questions, so that they are not refused.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(client, question);
        let timeout = milliseconds(patience).max(1);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout, ptr::null_mut(), 0);
        let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        if !refused.is_null() {
            sys::rd_kafka_error_destroy(refused);
        }
        options
    }
}

fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
