//! Starts, calls and shutdowns of real Python processes with a scripted runtime.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod starts;
mod stub;
