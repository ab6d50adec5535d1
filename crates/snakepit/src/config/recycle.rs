//! The table `recycle` of a pool.

use super::raw::{Size, Span};
use super::table::table;
use crate::RecycleMode;

table! {
    /// Its keys.
    RawRecycle for recycle {
        max_age: Span => |value| Some(value.0),
        max_requests: u64 => |value| Some(value),
        max_memory: Size => |value| Some(value.0 as u64),
        memory_interval: Span => |value| value.0,
        memory_samples: u32 => |value| value,
        jitter: f64 => |value| value,
        min_lifetime: Span => |value| value.0,
        max_drain: Span => |value| value.0,
        mode: RecycleMode => |value| value,
    }
}
