//! The keys of the configuration as they are deserialised.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::magic::RelativePathBuf;
use serde::Deserialize;
use serde::de::{Deserializer, Unexpected, Visitor};
use snakepit_profiles::EventLoop;
use snakepit_profiles::registry::Containment;

use super::health::RawHealth;
use super::heartbeat::RawHeartbeat;
use super::maybe::{Maybe, NONE};
use super::policies::{RawAutoscale, RawBreaker, RawQuarantine, RawRetry, RawTool};
use super::recycle::RawRecycle;
use crate::text::{parse_duration, parse_size, seconds};
use crate::{Affinity, Fairness, HostToolConfig, PoolConfig, SessionConfig, TimeoutProfile};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) default_pool: Option<Maybe<String>>,
    pub(super) data_dir: Option<RelativePathBuf>,
    #[cfg(feature = "diag")]
    pub(super) admin: Option<bool>,
    #[serde(default)]
    pub(super) sessions: RawSessions,
    #[serde(default)]
    pub(super) host_tools: RawHostTools,
    #[cfg(feature = "telemetry")]
    pub(super) telemetry: Option<super::telemetry::RawTelemetry>,
    #[serde(default)]
    pub(super) defaults: RawPool,
    #[serde(default)]
    pub(super) pools: BTreeMap<String, RawPool>,
}

macro_rules! raw_pool {
    ($($name:ident: $kind:ty,)* | $($limit:ident: $limit_kind:ty => $apply:expr,)*) => {
        /// Keys of one pool. Each is optional, so that the defaults can fill it.
        #[derive(Clone, Debug, Default)]
        pub(super) struct RawPool {
            $(pub(super) $name: Option<$kind>,)*
            pub(super) limits: Limits,
        }

        /// Keys that become settings of the scheduler.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Limits {
            $($limit: Option<$limit_kind>,)*
            restart: RawRestart,
            recycle: RawRecycle,
            heartbeat: RawHeartbeat,
            health: RawHealth,
        }

        /// All keys of a pool side by side, as in the file.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            $($name: Option<$kind>,)*
            $($limit: Option<$limit_kind>,)*
            #[serde(default)]
            restart: RawRestart,
            #[serde(default)]
            recycle: RawRecycle,
            #[serde(default)]
            heartbeat: RawHeartbeat,
            #[serde(default)]
            health: RawHealth,
        }

        impl<'de> Deserialize<'de> for RawPool {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let keys = Keys::deserialize(deserializer)?;
                Ok(Self {
                    $($name: keys.$name,)*
                    limits: Limits {
                        $($limit: keys.$limit,)*
                        restart: keys.restart,
                        recycle: keys.recycle,
                        heartbeat: keys.heartbeat,
                        health: keys.health,
                    },
                })
            }
        }

        impl RawPool {
            /// Fills unset keys from the defaults.
            pub(super) fn over(self, defaults: &Self) -> Self {
                Self {
                    $($name: self.$name.or_else(|| defaults.$name.clone()),)*
                    limits: Limits {
                        $($limit: self.limits.$limit.or_else(|| defaults.limits.$limit.clone()),)*
                        restart: self.limits.restart.over(defaults.limits.restart),
                        recycle: self.limits.recycle.over(defaults.limits.recycle),
                        heartbeat: self.limits.heartbeat.over(defaults.limits.heartbeat),
                        health: self.limits.health.over(defaults.limits.health),
                    },
                }
            }
        }

        impl Limits {
            /// Applies the set keys to the settings of a pool.
            pub(super) fn apply(self, config: &mut PoolConfig) {
                $(if let Some(value) = self.$limit {
                    let apply: fn(&mut PoolConfig, $limit_kind) = $apply;
                    apply(config, value);
                })*
                self.restart.apply(config);
                self.recycle.apply(config);
                self.heartbeat.apply(config);
                self.health.apply(config);
            }
        }
    };
}

raw_pool! {
    adapter: RelativePathBuf,
    command: Vec<RelativePathBuf>,
    slots: Maybe<NonZeroU16>,
    ready: Maybe<String>,
    profile: String,
    python: RelativePathBuf,
    working_dir: RelativePathBuf,
    python_path: Vec<RelativePathBuf>,
    env: BTreeMap<String, String>,
    inherit_env: Vec<String>,
    dependent: bool,
    containment: Containment,
    threads: usize,
    threads_per_worker: Maybe<u16>,
    thread_safety_checks: String,
    strict_hints: Maybe<bool>,
    concurrency: Maybe<NonZeroU16>,
    event_loop: EventLoop,
    |
    // Keys are applied in this order: single times override the timeout profile.
    timeout_profile: TimeoutProfile => |config, value| value.apply(config),
    workers: usize => |config, value| config.workers = value,
    autoscale: Maybe<RawAutoscale> => |config, value| config.autoscale = value.0.map(RawAutoscale::policy),
    spares: usize => |config, value| config.spares = value,
    affinity: Affinity => |config, value| config.affinity = value,
    queue_limit: usize => |config, value| config.queue_limit = value,
    queue_bytes: Size => |config, value| config.queue_bytes = value.0,
    session_queue_limit: Maybe<usize> => |config, value| config.session_queue_limit = value.0,
    queue_timeout: Span => |config, value| config.queue_timeout = value.0,
    reject_early: bool => |config, value| config.reject_early = value,
    fairness: Fairness => |config, value| config.fairness = value,
    call_timeout: Maybe<Span> => |config, value| config.call_timeout = value.0.map(|it| it.0),
    stream_timeout: Maybe<Span> => |config, value| config.stream_timeout = value.0.map(|it| it.0),
    tools: BTreeMap<String, RawTool> => |config, value| {
        let tools = value.into_iter();
        config.tools = tools.map(|(name, tool)| (name, tool.policy())).collect();
    },
    start_timeout: Span => |config, value| config.start_timeout = value.0,
    start_concurrency: usize => |config, value| config.start_concurrency = value,
    drain_timeout: Span => |config, value| config.drain_timeout = value.0,
    stop_grace: Span => |config, value| config.stop_grace = value.0,
    cancel_grace: Span => |config, value| config.cancel_grace = value.0,
    timeout_stacks: Span => |config, value| config.timeout_stacks = value.0,
    max_payload: Size => |config, value| config.max_payload = value.0,
    quarantine: Maybe<RawQuarantine> => |config, value| config.quarantine = value.0.map(RawQuarantine::policy),
    breaker: Maybe<RawBreaker> => |config, value| config.breaker = value.0.map(RawBreaker::policy),
    tool_breaker: Maybe<RawBreaker> => |config, value| config.tool_breaker = value.0.map(RawBreaker::policy),
    retry: Maybe<RawRetry> => |config, value| config.retry = value.0.map(RawRetry::policy),
    warm_up: Maybe<String> => |config, value| config.warm_up = value.0,
}

macro_rules! raw_table {
    ($(#[$doc:meta])* $name:ident for $target:ident { $($key:ident: $kind:ty => |$value:ident| $plain:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($key: Option<$kind>,)*
        }

        impl $name {
            /// Applies the set keys to the settings.
            pub(super) fn apply(self, config: &mut $target) {
                $(if let Some($value) = self.$key {
                    config.$key = $plain;
                })*
            }
        }
    };
}

raw_table! {
    /// Keys of the table `sessions`.
    RawSessions for SessionConfig {
        ttl: Span => |value| value.0,
        sweep_interval: Span => |value| value.0,
        max_sessions: usize => |value| value,
        max_variables: usize => |value| value,
        max_programs: usize => |value| value,
        max_global_programs: usize => |value| value,
        max_session_bytes: Size => |value| value.0,
        max_total_bytes: Size => |value| value.0,
        log_changes: usize => |value| value,
        log_bytes: Size => |value| value.0,
    }
}

raw_table! {
    /// Keys of the table `host_tools`.
    RawHostTools for HostToolConfig {
        max_depth: u32 => |value| value,
        max_tools: usize => |value| value,
        max_payload: Size => |value| value.0,
        max_blocking: usize => |value| value,
    }
}

/// Keys of the table `restart` of a pool.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRestart {
    initial_backoff: Option<Span>,
    max_backoff: Option<Span>,
    max_restarts: Option<u32>,
    window: Option<Span>,
    min_lifetime: Option<Span>,
}

impl RawRestart {
    fn over(self, defaults: Self) -> Self {
        Self {
            initial_backoff: self.initial_backoff.or(defaults.initial_backoff),
            max_backoff: self.max_backoff.or(defaults.max_backoff),
            max_restarts: self.max_restarts.or(defaults.max_restarts),
            window: self.window.or(defaults.window),
            min_lifetime: self.min_lifetime.or(defaults.min_lifetime),
        }
    }

    fn apply(self, config: &mut PoolConfig) {
        let restart = &mut config.restart;
        restart.initial_backoff = self
            .initial_backoff
            .map_or(restart.initial_backoff, |span| span.0);
        restart.max_backoff = self.max_backoff.map_or(restart.max_backoff, |span| span.0);
        restart.max_restarts = self.max_restarts.unwrap_or(restart.max_restarts);
        restart.window = self.window.map_or(restart.window, |span| span.0);
        restart.min_lifetime = self
            .min_lifetime
            .map_or(restart.min_lifetime, |span| span.0);
    }
}

/// Resolves an adapter. A file is relative to the configuration file; a module name is unchanged.
pub(super) fn adapter(path: &RelativePathBuf) -> String {
    let text = path.original().to_string_lossy();
    if text.contains(".py") && (text.ends_with(".py") || text.contains(".py:"))
        || text.contains('/')
    {
        return path.relative().to_string_lossy().into_owned();
    }
    text.into_owned()
}

/// Returns false for the word that unsets a path.
pub(super) fn is_set(path: &RelativePathBuf) -> bool {
    path.original() != Path::new(NONE)
}

/// Resolves an interpreter. A name without a slash is searched on the `PATH`.
pub(super) fn program(path: &RelativePathBuf) -> PathBuf {
    let original = path.original();
    if original
        .parent()
        .is_some_and(|parent| parent == Path::new(""))
    {
        return original.to_owned();
    }
    path.relative()
}

/// A duration in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Duration);

/// A size in the file, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(pub(super) usize);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"250ms\", \"1.5s\", \"1d\" or a number of seconds")
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Span, E> {
                let span = seconds(number).map(Span);
                span.map_err(|_| E::invalid_value(Unexpected::Float(number), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Span, E> {
                Ok(Span(Duration::from_secs(number)))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Span, E> {
                let span = u64::try_from(number).map(|number| Span(Duration::from_secs(number)));
                span.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                let span = parse_duration(text).map(Span);
                span.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64MiB\" or a number of bytes")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Size, E> {
                usize::try_from(number).map(Size).map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Size, E> {
                let size = usize::try_from(number).map(Size);
                size.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                let size = parse_size(text).map(Size);
                size.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
