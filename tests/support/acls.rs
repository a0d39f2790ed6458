//! Rights on a Kafka with an authorizer, granted and taken away through librdkafka's admin calls, which its Rust wrapper lacks.

use std::{
    ffi::{CStr, CString},
    time::Duration,
};

use rdkafka::{ClientConfig, bindings as sys, producer::BaseProducer, producer::Producer};
use sys::{
    rd_kafka_AclOperation_t::{self as Operation, *},
    rd_kafka_AclPermissionType_t::{self as Permission, *},
    rd_kafka_ResourcePatternType_t::{self as Pattern, *},
    rd_kafka_ResourceType_t::{self as Kind, *},
};

/// How long the broker may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a user may do with a topic, a group or a transactional id, or with all whose names begin alike.
#[derive(Clone, Debug)]
pub struct Right {
    kind: Kind,
    name: String,
    pattern: Pattern,
    operation: Operation,
}

impl Right {
    /// As kafka-acls.sh names them: `Read` or `Write`, `--topic`, `--group` or `--transactional-id`.
    pub fn new(operation: &str, kind: &str, name: &str) -> Self {
        let kind = match kind {
            "--topic" => RD_KAFKA_RESOURCE_TOPIC,
            "--group" => RD_KAFKA_RESOURCE_GROUP,
            "--transactional-id" => RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
            other => panic!("no kind of resource: {other}"),
        };
        let operation = match operation {
            "Read" => RD_KAFKA_ACL_OPERATION_READ,
            "Write" => RD_KAFKA_ACL_OPERATION_WRITE,
            "Describe" => RD_KAFKA_ACL_OPERATION_DESCRIBE,
            other => panic!("no operation: {other}"),
        };
        Self { kind, name: name.to_owned(), pattern: RD_KAFKA_RESOURCE_PATTERN_LITERAL, operation }
    }

    /// The same for all whose names begin with this one.
    pub fn prefixed(self) -> Self {
        Self { pattern: RD_KAFKA_RESOURCE_PATTERN_PREFIXED, ..self }
    }
}

/// Lets `principal` do these things; `brokers` take the caller for an administrator.
pub fn allow(brokers: &str, principal: &str, rights: &[Right]) {
    rights.iter().for_each(|right| add(brokers, principal, right, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW));
}

/// Forbids `principal` a thing, whatever else allows it.
pub fn deny(brokers: &str, principal: &str, right: &Right) {
    add(brokers, principal, right, RD_KAFKA_ACL_PERMISSION_TYPE_DENY);
}

fn add(brokers: &str, principal: &str, right: &Right, permission: Permission) {
    let client: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let client = client.client().native_ptr();
    let [name, principal, host] = [&right.name, principal, "*"].map(|text| CString::new(text).unwrap());
    // SAFETY: the client lives to the end; everything else is made and destroyed here.
    unsafe {
        let mut binding = sys::rd_kafka_AclBinding_new(
            right.kind,
            name.as_ptr(),
            right.pattern,
            principal.as_ptr(),
            host.as_ptr(),
            right.operation,
            permission,
            std::ptr::null_mut(),
            0,
        );
        assert!(!binding.is_null(), "{right:?}");
        let queue = sys::rd_kafka_queue_new(client);
        sys::rd_kafka_CreateAcls(client, &mut binding, 1, std::ptr::null(), queue);
        let event = sys::rd_kafka_queue_poll(queue, TIMEOUT.as_millis() as i32);
        assert!(!event.is_null(), "no word of {right:?} within {TIMEOUT:?}");
        let error = CStr::from_ptr(sys::rd_kafka_event_error_string(event));
        let code = sys::rd_kafka_event_error(event);
        assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR, "{right:?}: {error:?}");
        let (result, mut count) = (sys::rd_kafka_event_CreateAcls_result(event), 0);
        let results = sys::rd_kafka_CreateAcls_result_acls(result, &mut count);
        for &created in std::slice::from_raw_parts(results, count) {
            let refused = sys::rd_kafka_acl_result_error(created);
            assert!(refused.is_null(), "{right:?}: {:?}", CStr::from_ptr(sys::rd_kafka_error_string(refused)));
        }
        sys::rd_kafka_event_destroy(event);
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AclBinding_destroy(binding);
    }
}
