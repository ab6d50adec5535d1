//! The admin service: a host answers questions about itself on a socket in its run directory.

mod client;
mod client_profile;
mod entries;
mod error;
mod history;
mod host;
mod hosts;
mod incoming;
mod pb;
mod places;
mod profile;
mod recorded;
mod server;
mod service;
mod unread;

pub use client::Client;
pub use client_profile::Profiled;
pub use entries::{EventEntry, LogEntry, WorkerStacks};
pub use error::AdminError;
pub use host::AdminHost;
pub use hosts::{Found, Hosts, RunningHost};
pub use recorded::{EndedHost, Recorded};
pub use server::AdminServer;

/// Version of the protocol. Client and server must have the same.
pub const PROTOCOL: u32 = 1;

/// Name of the socket in a run's socket directory.
const SOCKET: &str = "admin";
