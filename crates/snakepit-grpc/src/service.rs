//! The bridge: the state of a host and the tools of its workers, for gRPC clients and workers in
//! any language.
//!
//! [`BridgeServer`] answers every rpc of `proto/snakepit_bridge.proto`;
//! [`BridgeServer::serve_unix`] and [`BridgeServer::serve_tcp`] serve it on a socket. A [`Gateway`]
//! runs the tools of workers; without one, clients can use only the host's state and tools.
//!
//! Conventions of the wire: the failure of a tool is part of the answer (`success`,
//! `error_message`, `error`). Every other error is a gRPC status, with the whole error as a
//! `snakepit.bridge.ToolError` in `grpc-status-details-bin`.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use snakepit_core::host_tools::{HostState, HostStateConfig};
//! use snakepit_grpc::service::{BridgeServer, ServeOptions, Token};
//!
//! let server = BridgeServer::new(HostState::new(HostStateConfig::new())?);
//! let token = Token::generate()?;
//! let serving = server
//!     .serve_tcp(([127, 0, 0, 1], 0).into(), token.clone(), &ServeOptions::new())
//!     .await?;
//! println!("{} {}", serving.address(), token.secret());
//! # Ok(())
//! # }
//! ```
//!
//! [`GrpcWorker`] is the other direction: the client of a worker that serves `BridgeService`
//! itself. [`WorkerEvents`] reads the events of such a worker, and [`WorkerServer`] is one in Rust.
//!
//! *Limits*: without the feature `tls`, TCP is for loopback addresses only. The host itself does
//! not serve `StreamTelemetry`. By default gRPC clients accept answers of up to 4 MiB.

mod any;
mod arguments;
mod caller;
mod chunks;
mod deadline;
mod execute;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod host_tools;
mod json;
mod peer;
mod peer_tools;
mod programs;
mod serve;
mod server;
mod sessions;
mod status;
mod tool_specs;
mod values;
mod variables;
mod watch;
mod worker;
mod worker_events;
mod worker_server;

pub use gateway::{Gateway, GatewayCall, GatewayStream, PeerTool};
pub use serve::{Address, Scope, ServeError, ServeOptions, Serving, Token, TokenError};
#[cfg(feature = "tls")]
pub use serve::{TlsError, TlsIdentity};
pub use server::{BridgeServer, FindWorker};
pub use worker::{Capabilities, ConnectError, GrpcWorker, LOST, PeerCheck};
pub use worker_events::{EventsEnd, WorkerEvents};
pub use worker_server::{WorkerChunks, WorkerServer, WorkerTools};
