//! Instances of the row form: numbers, strings, lists and objects of features.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::claims::row_form(data));
