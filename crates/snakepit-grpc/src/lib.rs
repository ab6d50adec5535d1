//! The wire of snakepit: messages, the gRPC service, and the framed link to native workers.
//!
//! - [`pb`]: the messages of `proto/snakepit_bridge.proto`.
//! - [`frame`] and [`preamble`]: the bytes of a link, as `proto/README.md` specifies them. They
//!   need neither tokio nor `snakepit-core`: the worker uses them too (no features).
//! - [`worker_env`]: the environment variables through which a host starts a worker.
//! - `link` (feature `client`): the host's end of a link. `LinkClient` is one slot connection,
//!   `ControlClient` the control connection.
//! - `bridge` (feature `client`): what the host answers to the tools that run in its workers.
//! - `records` (feature `client`): the records of a worker's code, read within budgets.
//! - `convert` (feature `client`): messages to and from the types of `snakepit-core`.
//! - `service` (feature `service`): `BridgeServer`, the host as a gRPC server.
//!
//! With feature `service`, [`pb`] also has the gRPC `BridgeService`, client and server.
#![forbid(unsafe_code)]

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

// The examples of the README compile.
#[cfg(all(doctest, feature = "service"))]
#[doc = include_str!("../README.md")]
mod readme {}
