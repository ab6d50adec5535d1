//! The tables of a pool that enable a policy, and those of single tools.

use serde::Deserialize;

use super::maybe::Maybe;
use super::raw::Span;
use crate::{AutoscalePolicy, BreakerPolicy, QuarantinePolicy, RetryPolicy, ToolConfig};

macro_rules! raw_policy {
    ($(#[$doc:meta])* $name:ident for $policy:ident { $($key:ident: $kind:ty => |$value:ident| $plain:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($key: Option<$kind>,)*
        }

        impl $name {
            /// Returns the policy, with defaults for unset keys.
            pub(super) fn policy(self) -> $policy {
                let mut policy = $policy::default();
                $(if let Some($value) = self.$key {
                    policy.$key = $plain;
                })*
                policy
            }
        }
    };
}

raw_policy! {
    /// Keys of the table `autoscale`.
    RawAutoscale for AutoscalePolicy {
        min: usize => |value| value,
        max: usize => |value| value,
        target_delay: Span => |value| value.0,
        cool_down: Span => |value| value.0,
        idle: Span => |value| value.0,
    }
}

raw_policy! {
    /// Keys of the table `quarantine`.
    RawQuarantine for QuarantinePolicy {
        deaths: u32 => |value| value,
        window: Span => |value| value.0,
        duration: Span => |value| value.0,
    }
}

raw_policy! {
    /// Keys of the tables `breaker` and `tool_breaker`.
    RawBreaker for BreakerPolicy {
        failures: u32 => |value| value,
        window: Span => |value| value.0,
        cool_down: Span => |value| value.0,
        probes: u32 => |value| value,
    }
}

raw_policy! {
    /// Keys of the table `retry`.
    RawRetry for RetryPolicy {
        retries: u32 => |value| value,
        budget: u32 => |value| value,
        burst: u32 => |value| value,
        initial_backoff: Span => |value| value.0,
        max_backoff: Span => |value| value.0,
    }
}

raw_policy! {
    /// Keys of a table of one tool, below `tools`.
    RawTool for ToolConfig {
        timeout: Maybe<Span> => |value| value.0.map(|it| it.0),
        queue_timeout: Maybe<Span> => |value| value.0.map(|it| it.0),
        idempotent: bool => |value| value,
    }
}
