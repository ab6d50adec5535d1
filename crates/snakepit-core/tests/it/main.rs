//! Integration tests, nearly all on a paused clock, and those of pools with scripted workers.

mod affinity;
mod close;
mod execute;
mod gates;
mod host_tools;
mod many;
mod queue;
mod service;
mod sessions;
mod state_model;
mod stream;
mod supervisor;
mod support;
mod value;
mod variables;
mod watch;
