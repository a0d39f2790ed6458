//! Bodies that say they are gzip or zstd.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::inflate::compressed(data));
