//! Messages in heads of frames: errors, descriptions, requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snakepit_fuzz::heads(data));
