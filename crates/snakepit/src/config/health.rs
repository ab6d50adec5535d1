//! The table `health` of a pool.

use super::raw::Span;
use super::table::table;

table! {
    /// Keys of the table `health`.
    RawHealth for health {
        enabled: bool => |value| value,
        interval: Span => |value| value.0,
        timeout: Span => |value| value.0,
        failures: u32 => |value| value,
    }
}
