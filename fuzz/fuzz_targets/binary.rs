//! JSON with bytes behind it: sizes, shapes and lengths that lie.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::claims::binary(data));
