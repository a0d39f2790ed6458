//! Whole bodies in protobuf.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::protobuf::claims::protobuf(data));
