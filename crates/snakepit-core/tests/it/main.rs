//! Integration tests of the pool, all on a paused clock with scripted workers.

mod close;
mod execute;
mod gates;
mod many;
mod queue;
mod service;
mod stream;
mod supervisor;
mod support;
mod value;
