//! Tests against real processes, real files and the real kernel.
//!
//! A test that needs a dying host starts this binary again (see `host`). The names of tests contain
//! the rows of the fault matrix.

mod amplified;
mod cleared;
mod copies;
mod crash;
mod cycles;
mod damage;
mod data_dir;
mod heir;
mod host;
mod host_runs;
mod identity;
mod killer;
mod living;
mod plan;
mod readers;
mod reuse;
mod roles;
mod shim;
mod spawn;
mod store;
mod strict;
mod support;
mod sweep;
mod sweeper;
mod trust;
mod unreadable;
