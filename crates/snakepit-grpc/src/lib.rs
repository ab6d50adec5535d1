//! The wire of snakepit: messages, the gRPC service, and the framed link to native workers.
//!
//! - [`pb`]: the messages of `proto/snakepit_bridge.proto`.
//! - [`frame`], [`call_head`] and [`preamble`]: the bytes of a link, as `proto/README.md` specifies
//!   them. They need neither tokio nor `snakepit-core`, because the worker uses them too (without
//!   features).
//! - [`worker_env`]: the environment variables through which a host starts a worker.
//! - `link` (feature `client`): the host's end of a link. `LinkClient` is one slot connection,
//!   `ControlClient` the control connection.
//! - `bridge` (feature `client`): the host's answers to the tools that run in its workers.
//! - `records` (feature `client`): the records of a worker's code, read within limits.
//! - `convert` (feature `client`): conversion of messages to and from the types of `snakepit-core`.
//! - `service` (feature `service`): `BridgeServer`, the host as a gRPC server.
//!
//! With feature `service`, [`pb`] also contains the client and server of the gRPC `BridgeService`.
#![forbid(unsafe_code)]

pub mod call_head;
pub mod frame;
pub mod pb;
pub mod preamble;
pub mod profile_limits;
pub mod worker_env;

#[cfg(feature = "client")]
pub mod bridge;
#[cfg(feature = "client")]
mod budget;
#[cfg(feature = "client")]
pub mod convert;
#[cfg(feature = "client")]
pub mod link;
#[cfg(feature = "client")]
pub mod records;
#[cfg(feature = "service")]
pub mod service;

// Compiles the examples of the README.
#[cfg(all(doctest, feature = "service"))]
#[doc = include_str!("../README.md")]
mod readme {}
