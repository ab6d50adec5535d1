//! The stacks of an interpreter whose memory is damaged and changes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snakepit_fuzz::walker(data));
