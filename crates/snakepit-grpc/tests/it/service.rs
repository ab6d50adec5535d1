//! The bridge service, through the generated client on real sockets.

mod amplified;
mod answer_sizes;
mod client;
mod crowds;
mod gateway;
mod grpc_worker;
mod host;
mod host_tools;
mod peers;
mod raw;
mod scope;
mod serve;
mod sessions;
#[cfg(feature = "tls")]
mod tls;
mod variables;
mod watching;
mod worker_events;
