//! The frame parser, fed in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snakepit_fuzz::frames(data));
