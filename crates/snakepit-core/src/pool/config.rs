//! The settings of a pool, with their defaults and ranges.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recycle::RecycleConfig;
use crate::config::{Bytes, ConfigError, duration, range};
use crate::id::PoolName;
use crate::policy::{AutoscalePolicy, BreakerPolicy, QuarantinePolicy, RetryPolicy};
use crate::schedule::{Affinity, Fairness};

mod health;
mod heartbeat;
mod timeouts;
mod tool;

pub use health::HealthConfig;
pub use heartbeat::HeartbeatConfig;
pub use timeouts::TimeoutProfile;
pub use tool::ToolConfig;

/// Settings of one pool. Start from [`PoolConfig::new`] and change fields.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default = "PoolConfig::unnamed", deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Name of the pool.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    pub name: PoolName,
    /// Workers to keep running, 1 to 1024; the available parallelism by default. With `autoscale`,
    /// the number at the start, within its limits.
    pub workers: usize,
    /// Grows and shrinks the pool with its load; off by default.
    pub autoscale: Option<AutoscalePolicy>,
    /// Spare workers: they are ready, but get no calls until one takes the place of a worker that
    /// died or is missing. None by default. The pool replaces used spares in the background.
    pub spares: usize,
    /// Calls that may wait for a slot; 1000 by default. 0 means that a call never waits.
    pub queue_limit: usize,
    /// Bytes of arguments that may wait for a slot, all calls together; 256 MiB by default. A
    /// single call may wait with any size.
    #[serde(with = "Bytes")]
    pub queue_bytes: usize,
    /// Calls of one session that may wait for a slot; none by default.
    pub session_queue_limit: Option<usize>,
    /// Time a call may wait for a slot; 10 s by default.
    pub queue_timeout: Duration,
    /// Rejects a call at once if the measured times of calls predict that it cannot get a slot, or
    /// its result, in time; on by default. Calls are rejected only while the mean wait in the queue
    /// is at least an eighth of their queue timeout. Calls that wait for their session's worker are
    /// always accepted.
    pub reject_early: bool,
    /// Order in which waiting calls get slots; first come, first served by default.
    pub fairness: Fairness,
    /// Time for a whole call, the queue included; 300 s by default, `None` for no limit.
    pub call_timeout: Option<Duration>,
    /// Time for a whole streaming call, the queue included; 15 min by default, `None` for no limit.
    pub stream_timeout: Option<Duration>,
    /// Settings of single tools, by name; none by default.
    pub tools: BTreeMap<String, ToolConfig>,
    /// Time for a worker to become ready; 30 s by default.
    pub start_timeout: Duration,
    /// Workers that may be starting at the same time; the available parallelism by default, at most
    /// 8.
    pub start_concurrency: usize,
    /// Time for running calls to end when the pool closes; 10 s by default.
    pub drain_timeout: Duration,
    /// Time for a worker to exit after the request to stop, before it is killed; 2 s by default.
    pub stop_grace: Duration,
    /// Time that a tool may continue after its call timed out or was dropped, before its worker is
    /// killed; 5 s by default.
    pub cancel_grace: Duration,
    /// Longest time that a timed-out call waits for the stacks of its worker's threads before the
    /// tool is stopped; 50 ms by default, at most 10 s, zero for no stacks. The same limit applies
    /// to the stacks of a worker that is about to be killed.
    pub timeout_stacks: Duration,
    /// Limit of one payload in bytes, each direction; 128 MiB by default.
    #[serde(with = "Bytes")]
    pub max_payload: usize,
    /// Strength of the bond between a session's calls and one worker; a hint by default.
    pub affinity: Affinity,
    /// Tool that each new worker runs without arguments before it gets calls, within
    /// `start_timeout`; none by default. A worker whose warm-up fails counts as not started.
    pub warm_up: Option<String>,
    /// Conditions for replacing live workers.
    pub recycle: RecycleConfig,
    /// Heartbeats of workers.
    pub heartbeat: HeartbeatConfig,
    /// Schedule of the workers' own health checks.
    pub health: HealthConfig,
    /// Replacement of workers that died.
    pub restart: RestartPolicy,
    /// Rejects calls that keep killing workers; off by default.
    pub quarantine: Option<QuarantinePolicy>,
    /// Rejects calls at once while workers fail; off by default.
    pub breaker: Option<BreakerPolicy>,
    /// A circuit breaker for each tool separately; off by default.
    pub tool_breaker: Option<BreakerPolicy>,
    /// Repeats calls whose worker died, where that is safe; off by default.
    pub retry: Option<RetryPolicy>,
}

/// The policy for replacing workers that died or did not start.
///
/// A death does not count as a failure if the worker had been ready for `min_lifetime` or had
/// answered a call. Such a worker is replaced at once; replacements in one second are limited to
/// the larger of `max_restarts` and the number of workers. All other deaths, and failed starts, are
/// failures: the wait before the next start grows with each, and too many make the pool give up for
/// a while. A worker that starts well clears the failures before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RestartPolicy {
    /// Wait after the first failed start; doubles with each further failure. 100 ms by default.
    pub initial_backoff: Duration,
    /// Longest wait; 10 s by default.
    pub max_backoff: Duration,
    /// Failures allowed within `window` before the pool gives up; 10 by default. A pool with more
    /// workers than this allows one failure for each worker, so that losing all of them at once
    /// does not make it give up.
    pub max_restarts: u32,
    /// The window for `max_restarts`, and the pause before the pool tries again; 60 s by default.
    pub window: Duration,
    /// Time after which a ready worker counts as well started; 1 s by default. With 0 every ready
    /// worker does.
    pub min_lifetime: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            max_restarts: 10,
            window: Duration::from_secs(60),
            min_lifetime: Duration::from_secs(1),
        }
    }
}

impl RestartPolicy {
    /// Returns the wait before the next start after `failures` failures in the window.
    pub(crate) fn backoff(&self, failures: usize) -> Duration {
        // 2^20 times the initial wait is past any sensible maximum, and the shift stays in range.
        let exponent = u32::try_from(failures.saturating_sub(1))
            .unwrap_or(u32::MAX)
            .min(20);
        self.initial_backoff
            .saturating_mul(1 << exponent)
            .min(self.max_backoff)
    }
}

impl PoolConfig {
    /// The most workers that a pool may have.
    pub const MAX_WORKERS: usize = 1024;

    /// The longest `timeout_stacks`.
    const MAX_TIMEOUT_STACKS: Duration = Duration::from_secs(10);

    /// Creates the default settings for a pool of this name.
    pub fn new(name: impl Into<PoolName>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            name: name.into(),
            workers: cores.min(Self::MAX_WORKERS),
            autoscale: None,
            spares: 0,
            queue_limit: 1000,
            queue_bytes: 256 << 20,
            session_queue_limit: None,
            queue_timeout: Duration::from_secs(10),
            reject_early: true,
            fairness: Fairness::Fifo,
            call_timeout: Some(Duration::from_secs(300)),
            stream_timeout: Some(Duration::from_secs(900)),
            tools: BTreeMap::new(),
            start_timeout: Duration::from_secs(30),
            start_concurrency: cores.min(8),
            drain_timeout: Duration::from_secs(10),
            stop_grace: Duration::from_secs(2),
            cancel_grace: Duration::from_secs(5),
            timeout_stacks: Duration::from_millis(50),
            max_payload: 128 << 20,
            affinity: Affinity::Hint,
            warm_up: None,
            recycle: RecycleConfig::default(),
            heartbeat: HeartbeatConfig::default(),
            health: HealthConfig::default(),
            restart: RestartPolicy::default(),
            quarantine: None,
            breaker: None,
            tool_breaker: None,
            retry: None,
        }
    }

    /// The defaults for settings that are read: their name stands outside of them.
    fn unnamed() -> Self {
        Self::new("")
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=64).contains(&self.name.as_str().len())
            || !self
                .name
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        {
            return Err(ConfigError::new(
                "name",
                format!(
                    "must be 1 to 64 of the characters a-z A-Z 0-9 . _ -, got {:?}",
                    self.name.as_str()
                ),
                "choose a short plain name, for example `main`",
            ));
        }
        Self::check_workers(self.workers)?;
        if let Some(autoscale) = &self.autoscale {
            autoscale.validate(Self::MAX_WORKERS)?;
        }
        range("spares", self.spares, 0, Self::MAX_WORKERS)?;
        range("queue_limit", self.queue_limit, 0, 10_000_000)?;
        range("queue_bytes", self.queue_bytes, 0, 1 << 40)?;
        if let Some(limit) = self.session_queue_limit {
            range("session_queue_limit", limit, 1, 10_000_000)?;
        }
        range(
            "start_concurrency",
            self.start_concurrency,
            1,
            Self::MAX_WORKERS,
        )?;
        range("max_payload", self.max_payload, 1024, 1 << 32)?;
        if let Some(timeout) = self.call_timeout {
            duration("call_timeout", timeout, false)?;
        }
        if let Some(timeout) = self.stream_timeout {
            duration("stream_timeout", timeout, false)?;
        }
        for (name, tool) in &self.tools {
            tool.validate(name)?;
        }
        duration("queue_timeout", self.queue_timeout, true)?;
        duration("start_timeout", self.start_timeout, false)?;
        duration("drain_timeout", self.drain_timeout, true)?;
        duration("stop_grace", self.stop_grace, true)?;
        duration("cancel_grace", self.cancel_grace, true)?;
        if self.timeout_stacks > Self::MAX_TIMEOUT_STACKS {
            return Err(ConfigError::new(
                "timeout_stacks",
                format!("must be at most 10 s, got {:?}", self.timeout_stacks),
                "callers wait for it: choose a short time",
            ));
        }
        self.recycle.validate()?;
        self.heartbeat.validate()?;
        self.health.validate()?;
        duration(
            "restart.initial_backoff",
            self.restart.initial_backoff,
            true,
        )?;
        duration("restart.max_backoff", self.restart.max_backoff, true)?;
        duration("restart.window", self.restart.window, false)?;
        duration("restart.min_lifetime", self.restart.min_lifetime, true)?;
        if self.restart.initial_backoff > self.restart.max_backoff {
            return Err(ConfigError::new(
                "restart.initial_backoff",
                format!(
                    "must not be above `restart.max_backoff` ({:?}), got {:?}",
                    self.restart.max_backoff, self.restart.initial_backoff
                ),
                "lower the initial wait or raise the longest one",
            ));
        }
        if let Some(quarantine) = &self.quarantine {
            quarantine.validate()?;
        }
        if let Some(breaker) = &self.breaker {
            breaker.validate("breaker")?;
        }
        if let Some(breaker) = &self.tool_breaker {
            breaker.validate("tool_breaker")?;
        }
        if let Some(retry) = &self.retry {
            retry.validate()?;
        }
        Ok(())
    }

    /// Returns true if a policy may reject, repeat or isolate calls because other calls failed.
    pub(crate) const fn has_policies(&self) -> bool {
        self.quarantine.is_some()
            || self.breaker.is_some()
            || self.tool_breaker.is_some()
            || self.retry.is_some()
    }

    /// Number of workers to start with.
    pub(crate) fn initial_workers(&self) -> usize {
        let autoscale = self.autoscale.as_ref();
        autoscale.map_or(self.workers, |policy| policy.clamp(self.workers))
    }

    pub(crate) fn check_workers(workers: usize) -> Result<(), ConfigError> {
        range("workers", workers, 1, Self::MAX_WORKERS)
    }
}
