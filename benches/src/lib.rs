//! Benchmarks of snakepit: every figure is measured beside its floor and its peers, in the same
//! minute, alternating.
//!
//! Each file under `run/` answers one question; `work` is shared by the criterion benches and the
//! driver.

mod cli;
mod contest;
mod floor;
mod host;
mod load;
mod peer;
mod placement;
mod row;
mod run;
mod table;
pub mod work;

pub use cli::main;

/// Any failure of a measurement, whose text ends the run.
pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// The directory of this package in the checkout, for the scripts beside it.
pub(crate) const HOME: &str = env!("CARGO_MANIFEST_DIR");
