//! The admin service over real sockets, with scripted workers.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod actions;
mod bad_hosts;
mod crowds;
mod fake_hosts;
mod looks;
mod other_users;
mod recordings;
mod support;
