//! The keys of a file that are no fields of other settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{HostToolConfig, SessionConfig, TimeoutProfile};

/// Keys of the whole file.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(super) struct FileKeys {
    /// Pool for calls that name none. Default: the pool `main`, else the first by name.
    pub(super) default_pool: Option<String>,
    /// Directory where workers are recorded, so that the next start can clean up after a crash.
    /// Default: `$XDG_STATE_HOME/snakepit` or `~/.local/state/snakepit`.
    pub(super) data_dir: Option<PathBuf>,
    /// Enables the admin socket, on which processes of this user query the host. Default: true.
    #[cfg(feature = "diag")]
    pub(super) admin: Option<bool>,
    /// Limits of the state of sessions.
    pub(super) sessions: SessionConfig,
    /// Limits of calls from tools into this program.
    pub(super) host_tools: HostToolConfig,
    /// Exporters of metrics, traces and logs. `OTEL_*` variables override them.
    #[cfg(feature = "telemetry")]
    pub(super) telemetry: Option<super::telemetry::TelemetryKeys>,
    #[cfg_attr(test, schemars(skip))]
    defaults: BTreeMap<String, IgnoredAny>,
    #[cfg_attr(test, schemars(skip))]
    pub(super) pools: BTreeMap<String, BTreeMap<String, IgnoredAny>>,
}

/// Keys of a pool that select the kind of its workers, or stand for several settings.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(super) struct PoolKeys {
    /// Program and arguments of workers in any language, which serve gRPC. They run in the
    /// directory of the file, or in `working_dir`. Requires the feature `command`.
    pub(super) command: Option<Vec<String>>,
    /// Distribution of calls over Python processes: one call in each process, or several on
    /// threads. Default: `"process"`.
    #[cfg_attr(test, schemars(extend("enum" = ["process", "thread"])))]
    pub(super) profile: Option<String>,
    /// Concurrent calls in one process with the profile `"thread"`, 1 to 256.
    pub(super) threads_per_worker: Option<u16>,
    /// Times of calls, streams and the queue together; their own keys override it.
    pub(super) timeout_profile: Option<TimeoutProfile>,
}
