//! The table `heartbeat` of a pool.

use super::maybe::Maybe;
use super::raw::Span;
use super::table::table;

table! {
    /// Keys of the table `heartbeat`.
    RawHeartbeat for heartbeat {
        enabled: bool => |value| value,
        interval: Span => |value| value.0,
        timeout: Span => |value| value.0,
        misses: u32 => |value| value,
        initial_delay: Span => |value| value.0,
        stall_timeout: Maybe<Span> => |value| value.0.map(|it| it.0),
        kill_when_queued: bool => |value| value,
    }
}
