//! Limits of profiles, shared by host and worker.

use std::time::Duration;

/// Highest sampling rate in samples per second.
pub const MAX_HZ: u32 = 1000;

/// Longest duration of a sampling.
pub const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Largest profile in bytes.
pub const MAX_BYTES: usize = 16 << 20;

#[cfg(feature = "client")]
const _: () = assert!(
    MAX_HZ == snakepit_core::worker::profiling::MAX_HZ,
    "the public bound is this one"
);
