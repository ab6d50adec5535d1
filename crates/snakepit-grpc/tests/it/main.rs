//! The link against a scripted worker on a socket pair, and the gRPC service.
#![cfg_attr(
    any(feature = "client", feature = "service"),
    expect(clippy::unwrap_used, reason = "a test fails by panicking")
)]

#[cfg(feature = "client")]
mod ahead;
#[cfg(feature = "client")]
mod answer_sizes;
#[cfg(feature = "client")]
mod bridge;
#[cfg(feature = "client")]
mod calls;
#[cfg(feature = "client")]
mod codec;
#[cfg(feature = "client")]
mod control;
#[cfg(feature = "client")]
mod fuzzing;
#[cfg(feature = "client")]
mod hosting;
#[cfg(feature = "client")]
mod limits;
#[cfg(feature = "client")]
mod many;
#[cfg(feature = "client")]
mod masks;
#[cfg(feature = "client")]
mod peer;
#[cfg(feature = "client")]
mod requests;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "client")]
mod shared;
#[cfg(feature = "client")]
mod spans;
#[cfg(feature = "client")]
mod streams;
#[cfg(feature = "client")]
mod telemetry;
#[cfg(feature = "client")]
mod unread;
