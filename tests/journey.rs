//! The journey, from outside: real workers as processes, a real Apache Kafka, real models, and a client at the other end.
//!
//! `make test` starts the Kafka; `MODELMILL_TEST_KAFKA` names one that runs already. ONNX Runtime is found as the program finds
//! it (`ORT_DYLIB_PATH`). Everything is one program, so that it is linked once, and its tests run side by side.

#[path = "journey/answers.rs"]
mod answers;
#[path = "support/apicurio.rs"]
mod apicurio;
#[path = "journey/avro.rs"]
mod avro;
#[path = "journey/bad_input.rs"]
mod bad_input;
#[path = "journey/beginning.rs"]
mod beginning;
#[path = "journey/binary.rs"]
mod binary;
#[path = "journey/bucket.rs"]
mod bucket;
#[path = "journey/cloudevents.rs"]
mod cloudevents;
#[path = "journey/compressed.rs"]
mod compressed;
#[path = "journey/crash.rs"]
mod crash;
#[path = "journey/csv.rs"]
mod csv;
#[path = "journey/disk_cache.rs"]
mod disk_cache;
#[path = "journey/documented.rs"]
mod documented;
#[path = "journey/examples.rs"]
mod examples;
#[path = "support/faults.rs"]
mod faults;
#[path = "journey/formats.rs"]
mod formats;
#[path = "journey/forms.rs"]
mod forms;
#[path = "journey/frozen.rs"]
mod frozen;
#[path = "journey/goldens.rs"]
mod goldens;
#[path = "journey/headers.rs"]
mod headers;
#[path = "journey/kept.rs"]
mod kept;
#[path = "journey/lifecycle.rs"]
mod lifecycle;
#[path = "journey/live.rs"]
mod live;
#[path = "journey/load.rs"]
mod load;
#[path = "journey/membership.rs"]
mod membership;
#[allow(dead_code, reason = "the codec's own tests use more of it")]
#[path = "../src/codec/protobuf/tests/messages.rs"]
mod messages;
#[path = "journey/metrics.rs"]
mod metrics;
#[path = "journey/mixed.rs"]
mod mixed;
#[path = "journey/models.rs"]
mod models;
#[path = "journey/notifications.rs"]
mod notifications;
#[path = "journey/ordering.rs"]
mod ordering;
#[path = "journey/outage.rs"]
mod outage;
#[path = "journey/pipelines.rs"]
mod pipelines;
#[path = "journey/places.rs"]
mod places;
#[path = "journey/poison.rs"]
mod poison;
#[path = "journey/protobuf.rs"]
mod protobuf;
#[path = "journey/protobuf_schema.rs"]
mod protobuf_schema;
#[path = "journey/publishing.rs"]
mod publishing;
#[allow(dead_code, reason = "the chaos harness, whose it is, uses more of it")]
#[path = "chaos/random.rs"]
mod random;
#[path = "journey/raw.rs"]
mod raw;
#[path = "journey/registered.rs"]
mod registered;
#[path = "journey/replies.rs"]
mod replies;
#[path = "support/s3.rs"]
mod s3;
#[path = "journey/said.rs"]
mod said;
#[path = "journey/scale.rs"]
mod scale;
#[path = "journey/security.rs"]
mod security;
#[path = "journey/servers.rs"]
mod servers;
#[path = "journey/sizes.rs"]
mod sizes;
#[path = "journey/spring.rs"]
mod spring;
#[path = "journey/stand_in.rs"]
mod stand_in;
#[path = "journey/start.rs"]
mod start;
#[path = "journey/store_faults.rs"]
mod store_faults;
#[path = "support/mod.rs"]
mod support;
#[path = "journey/traffic.rs"]
mod traffic;
