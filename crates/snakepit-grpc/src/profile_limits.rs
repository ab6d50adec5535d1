//! Bounds of profiles, which host and worker share.

use std::time::Duration;

/// Samples in a second at most.
pub const MAX_HZ: u32 = 1000;

/// Longest sampling.
pub const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Largest profile in bytes.
pub const MAX_BYTES: usize = 16 << 20;

#[cfg(feature = "client")]
const _: () = assert!(
    MAX_HZ == snakepit_core::profiling::MAX_HZ,
    "the public bound is this one"
);
