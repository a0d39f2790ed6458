//! Whole records in Avro.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::framed::claims::avro(data));
