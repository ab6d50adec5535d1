//! The table `recycle` of a pool.

use super::maybe::Maybe;
use super::raw::{Size, Span};
use super::table::table;
use crate::RecycleMode;

table! {
    /// Keys of the table `recycle`.
    RawRecycle for recycle {
        max_age: Maybe<Span> => |value| value.0.map(|it| it.0),
        max_requests: Maybe<u64> => |value| value.0,
        max_memory: Maybe<Size> => |value| value.0.map(|it| it.0 as u64),
        memory_interval: Span => |value| value.0,
        memory_samples: u32 => |value| value,
        jitter: f64 => |value| value,
        min_lifetime: Span => |value| value.0,
        max_drain: Span => |value| value.0,
        mode: RecycleMode => |value| value,
    }
}
