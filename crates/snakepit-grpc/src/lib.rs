//! The wire of snakepit: messages, the gRPC service, and the framed link to native workers.
//!
//! - [`pb`]: the messages of `proto/snakepit_bridge.proto`.
//! - [`frame`] and [`preamble`]: the bytes of a link, as `proto/README.md` specifies them. They
//!   need neither tokio nor `snakepit-core`: the worker uses them too (no features).
//! - `link` (feature `client`): the host's end of a link. `LinkClient` is one slot connection,
//!   `ControlClient` the control connection.
//! - `convert` (feature `client`): messages to and from the types of `snakepit-core`.
//!
//! With feature `service`, [`pb`] also has the gRPC `BridgeService`. The host is its client towards
//! a worker that is an ordinary gRPC server, and its server for workers that call back.
#![forbid(unsafe_code)]

pub mod frame;
pub mod pb;
pub mod preamble;

#[cfg(feature = "client")]
pub mod convert;
#[cfg(feature = "client")]
pub mod link;
