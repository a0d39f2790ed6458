//! Whole bodies as tables.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::tables::csv(data));
