//! Whole protobuf messages whose schema is in a registry.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::framed::claims::protobuf_schema(data));
