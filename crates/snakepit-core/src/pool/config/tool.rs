//! Settings of single tools.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PoolConfig;
use crate::call::CallOptions;
use crate::config::{ConfigError, duration};

/// Settings for the calls of one tool. Options of the caller take precedence; unset ones are those
/// of the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ToolConfig {
    /// Time for a whole call, stream or batch, as [`CallOptions::timeout`].
    pub timeout: Option<Duration>,
    /// Time that a call may wait for a slot.
    pub queue_timeout: Option<Duration>,
    /// Marks all calls of the tool as safe to run twice, like [`CallOptions::idempotent`].
    pub idempotent: bool,
}

impl ToolConfig {
    pub(super) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::new(
                "tools",
                "must not have a tool without a name",
                "name the tool as it is called",
            ));
        }
        if let Some(time) = self.timeout {
            duration(&format!("tools.{name}.timeout"), time, false)?;
        }
        if let Some(time) = self.queue_timeout {
            duration(&format!("tools.{name}.queue_timeout"), time, true)?;
        }
        Ok(())
    }
}

impl PoolConfig {
    /// Returns the settings of a tool. `None` if it has none; a pool without any tool settings
    /// skips the lookup.
    pub(crate) fn tool(&self, name: &str) -> Option<&ToolConfig> {
        if self.tools.is_empty() {
            return None;
        }
        self.tools.get(name)
    }

    /// Returns true if running a call of this tool twice is harmless.
    pub(crate) fn is_idempotent(&self, tool: &str, options: &CallOptions) -> bool {
        options.idempotent || self.tool(tool).is_some_and(|tool| tool.idempotent)
    }

    /// Returns the time for a call of this tool.
    pub(crate) fn time_of(
        &self,
        tool: &str,
        options: &CallOptions,
        stream: bool,
    ) -> Option<Duration> {
        let pool = if stream {
            self.stream_timeout
        } else {
            self.call_timeout
        };
        let own = || self.tool(tool).and_then(|tool| tool.timeout);
        options.timeout.or_else(own).or(pool)
    }

    /// Returns the time that a call of this tool may wait for a slot.
    pub(crate) fn wait_of(&self, tool: &str, options: &CallOptions) -> Duration {
        let own = || self.tool(tool).and_then(|tool| tool.queue_timeout);
        options
            .queue_timeout
            .or_else(own)
            .unwrap_or(self.queue_timeout)
    }
}
