//! Starts, calls and ends of real Python processes that speak a scripted link.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod starts;
mod stub;
