//! The preamble of a connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snakepit_fuzz::preamble(data));
