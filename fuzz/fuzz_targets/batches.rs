//! Bodies of batches.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snakepit_fuzz::batches(data));
