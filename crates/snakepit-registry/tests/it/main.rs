//! Tests against real processes, real files and the real kernel.
//!
//! A test that needs a host that dies starts this very binary again (see `host`). Rows of the
//! fault matrix are named in the tests' names.

mod crash;
mod damage;
mod data_dir;
mod host;
mod identity;
mod killer;
mod plan;
mod spawn;
mod store;
mod support;
mod sweep;
