//! Files of databases that other runs have left.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snakepit_fuzz::databases(data));
