//! The table `recycle` of a pool.

use serde::Deserialize;

use super::raw::{Size, Span};
use crate::{PoolConfig, RecycleMode};

macro_rules! table {
    ($($key:ident: $kind:ty => |$value:ident| $plain:expr,)*) => {
        /// Its keys.
        #[derive(Clone, Copy, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct RawRecycle {
            $($key: Option<$kind>,)*
        }

        impl RawRecycle {
            /// Fills what is not set with what the defaults set.
            pub(super) fn over(self, defaults: Self) -> Self {
                Self {
                    $($key: self.$key.or(defaults.$key),)*
                }
            }

            /// Writes what is set into the settings of a pool.
            pub(super) fn apply(self, config: &mut PoolConfig) {
                $(if let Some($value) = self.$key {
                    config.recycle.$key = $plain;
                })*
            }
        }
    };
}

table! {
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
