//! A body that ends too soon, at every place.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::claims::cut(data));
