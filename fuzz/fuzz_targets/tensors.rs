//! The data and shapes of tensors of every datatype: numbers, strings, nesting.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::claims::tensors(data));
