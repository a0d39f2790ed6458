//! What the fuzz targets share: the claims and the oracle of modelmill's own tests, compiled here against its public door.

use modelmill::{broker, codec, config, error, request, tensor};

#[path = "../../src/codec/json/tests/claims.rs"]
pub mod claims;
#[path = "../../src/codec/json/tests/found.rs"]
pub mod found;
#[path = "../../src/codec/json/tests/oracle.rs"]
pub mod oracle;

/// The claims of what has its schema in a registry.
#[path = "../../src/codec/framed/tests"]
pub mod framed {
    pub mod claims;
    pub mod oracle;
}

/// The claims of CloudEvents.
#[path = "../../src/codec/cloudevents/tests/claims.rs"]
pub mod cloudevents;

/// The claims of compressed bodies.
#[path = "../../src/codec/inflate/tests/claims.rs"]
pub mod inflate;

/// The claims of settings.
#[path = "../../src/config/claims.rs"]
pub mod settings;

/// The claims of tables.
#[path = "../../src/codec/csv/tests/claims.rs"]
pub mod tables;

/// The same of protobuf.
#[path = "../../src/codec/protobuf/tests"]
pub mod protobuf {
    pub mod claims;
    pub mod messages;
}
