//! Successive looks at a running host, the changes between them, and their recording in a file.

mod meter;
mod reel;
mod watch;

pub use meter::Meter;
pub use reel::{ReelReader, ReelWriter};
pub use watch::{Trend, Watch};
