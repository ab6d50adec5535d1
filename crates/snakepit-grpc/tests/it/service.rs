//! The bridge service, through the generated client on real sockets.

mod client;
mod gateway;
mod host;
mod host_tools;
mod raw;
mod serve;
mod sessions;
mod variables;
mod watching;
