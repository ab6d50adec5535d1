//! Successive reports of a running host, the changes between them, and their recording in a file.

mod meter;
mod reel;
mod watch;

/// Time that a worker has to report its stacks.
#[cfg(any(feature = "top", feature = "web"))]
pub(crate) const STACKS: std::time::Duration = std::time::Duration::from_secs(2);

/// Maximum number of lines of a worker that are shown.
#[cfg(any(feature = "top", feature = "web"))]
pub(crate) const LOGS: u32 = 1000;

pub use meter::Meter;
pub use reel::{ReelReader, ReelWriter};
pub use watch::{Trend, Watch};
