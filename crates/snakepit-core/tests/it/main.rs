//! Integration tests, nearly all on a paused clock, and those of pools with scripted workers.

mod affinity;
mod breaker;
mod close;
mod execute;
mod gates;
mod host_tools;
mod many;
mod quarantine;
mod queue;
mod recycle;
mod recycle_load;
mod retry;
mod service;
mod sessions;
mod state_model;
mod stream;
mod supervisor;
mod support;
mod value;
mod variables;
mod watch;
