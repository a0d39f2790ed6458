//! Whole bodies as CloudEvents in structured mode.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelmill_fuzz::cloudevents::cloudevents(data));
