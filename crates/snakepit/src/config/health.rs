//! The table `health` of a pool.

use super::raw::Span;
use super::table::table;

table! {
    /// Its keys.
    RawHealth for health {
        enabled: bool => |value| value,
        interval: Span => |value| value.0,
        timeout: Span => |value| value.0,
        failures: u32 => |value| value,
    }
}
