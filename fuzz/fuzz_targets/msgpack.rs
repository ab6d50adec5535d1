//! MessagePack to values, back, and to JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snakepit_fuzz::msgpack(data));
