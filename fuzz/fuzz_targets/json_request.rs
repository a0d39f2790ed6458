//! Whole bodies, one or several.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::claims::bodies(data));
