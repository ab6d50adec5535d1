//! The bridge service, through the generated client on real sockets.

mod amplified;
mod answer_sizes;
mod client;
mod crowds;
mod gateway;
mod host;
mod host_tools;
mod raw;
mod scope;
mod serve;
mod sessions;
mod variables;
mod watching;
mod worker_events;
