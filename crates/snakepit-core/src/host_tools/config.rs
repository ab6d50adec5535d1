//! Limits of host tools, with their defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Bytes, ConfigError, range};

/// Settings of [`HostTools`](crate::host_tools::HostTools). Start from [`HostToolConfig::new`] and
/// change fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HostToolConfig {
    /// Depth to which calls may be nested (worker to host tool to worker, and so on); 16 by
    /// default.
    pub max_depth: u32,
    /// Global tools, and tools of each session; 1,000 by default.
    pub max_tools: usize,
    /// Limit of the arguments and of one result in bytes; 128 MiB by default.
    #[serde(with = "Bytes")]
    pub max_payload: usize,
    /// Synchronous tools that may run at the same time; 256 by default. Further calls wait, at most
    /// up to their deadline.
    pub max_blocking: usize,
}

impl Default for HostToolConfig {
    fn default() -> Self {
        Self {
            max_depth: 16,
            max_tools: 1_000,
            max_payload: 128 << 20,
            max_blocking: 256,
        }
    }
}

impl HostToolConfig {
    /// Creates the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        range("host_tools.max_depth", self.max_depth as usize, 1, 1000)?;
        range("host_tools.max_tools", self.max_tools, 0, 1_000_000)?;
        range("host_tools.max_payload", self.max_payload, 1024, 1 << 32)?;
        range("host_tools.max_blocking", self.max_blocking, 1, 10_000)
    }
}
