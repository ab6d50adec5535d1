//! Limits of the host's state, with their defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Bytes, ConfigError, duration, range};

/// Settings of [`Sessions`](crate::state::Sessions). Start from [`SessionConfig::new`] and change
/// fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Time after the last access after which a session ends; 1 h by default.
    pub ttl: Duration,
    /// Time between two sweeps for expired sessions by [`HostState`](crate::host_tools::HostState);
    /// 60 s by default. Readers never see an expired session, even before it is swept.
    pub sweep_interval: Duration,
    /// Live sessions; 1,000,000 by default.
    pub max_sessions: usize,
    /// Variables of each session; 10,000 by default.
    pub max_variables: usize,
    /// Programs of each session; 1,000 by default.
    pub max_programs: usize,
    /// Global programs; 10,000 by default.
    pub max_global_programs: usize,
    /// Bytes of one session: its metadata, variables and programs; 256 MiB by default.
    #[serde(with = "Bytes")]
    pub max_session_bytes: usize,
    /// Bytes of all sessions and global programs; 4 GiB by default.
    #[serde(with = "Bytes")]
    pub max_total_bytes: usize,
    /// Changes of variables that each session remembers for watchers; 1,024 by default.
    pub log_changes: usize,
    /// Bytes of values that each session remembers for watchers in addition to the newest change; 1
    /// MiB by default.
    #[serde(with = "Bytes")]
    pub log_bytes: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3600),
            sweep_interval: Duration::from_secs(60),
            max_sessions: 1_000_000,
            max_variables: 10_000,
            max_programs: 1_000,
            max_global_programs: 10_000,
            max_session_bytes: 256 << 20,
            max_total_bytes: 4 << 30,
            log_changes: 1024,
            log_bytes: 1 << 20,
        }
    }
}

impl SessionConfig {
    /// Creates the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        duration("sessions.ttl", self.ttl, false)?;
        duration("sessions.sweep_interval", self.sweep_interval, false)?;
        let most = u32::MAX as usize;
        range("sessions.max_sessions", self.max_sessions, 1, most)?;
        range("sessions.max_variables", self.max_variables, 0, most)?;
        range("sessions.max_programs", self.max_programs, 0, most)?;
        range(
            "sessions.max_global_programs",
            self.max_global_programs,
            0,
            most,
        )?;
        let bytes = isize::MAX as usize;
        range(
            "sessions.max_session_bytes",
            self.max_session_bytes,
            1024,
            bytes,
        )?;
        range(
            "sessions.max_total_bytes",
            self.max_total_bytes,
            1024,
            bytes,
        )?;
        range("sessions.log_changes", self.log_changes, 1, 1 << 20)?;
        range("sessions.log_bytes", self.log_bytes, 0, bytes)
    }
}

/// Options of a new session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// Time after the last access after which the session ends. `None` for [`SessionConfig::ttl`].
    pub ttl: Option<Duration>,
    /// Metadata: at most 32 entries and 4096 bytes.
    pub metadata: crate::value::Metadata,
}

impl SessionOptions {
    /// Creates options without any setting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time after the last access after which the session ends.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets one entry of the metadata.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}
