//! Hostile workers: a worker in plain Python misbehaves in one way after the other. In each case
//! its host survives within 1 GB of memory, every call has one outcome, and an innocent call on a
//! worker of another pool is answered meanwhile.
#![cfg(all(feature = "process", feature = "prometheus", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![expect(clippy::print_stdout, reason = "the host reports on stdout")]

mod host;
mod modes;
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../e2e/support.rs"]
mod support;
mod values;
