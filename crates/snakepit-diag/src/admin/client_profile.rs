//! Profiles that a client requests.

use std::time::Duration;

use snakepit_core::error::ErrorCode;
use snakepit_core::worker::profiling::{ProfileReport, ProfiledThreads};

use super::client::{PATIENCE, answered};
use super::{AdminError, Client, pb};
use crate::untrusted_json;

/// Smallest average size in bytes of an object in a profile.
const PROFILED: usize = 16;

/// Request for a profile of a running host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiled {
    /// Only this pool. `None` for all pools.
    pub pool: Option<String>,
    /// Only this worker. `None` for all workers.
    pub worker: Option<String>,
    /// Only stacks in which this tool runs.
    pub tool: Option<String>,
    /// Only the thread that runs the call with this number (as in reports), until the call ends.
    pub call: Option<u64>,
    /// Samples per second.
    pub hz: u32,
    /// Duration of the profile, in whole milliseconds, at least one.
    pub duration: Duration,
    /// Threads whose samples count.
    pub threads: ProfiledThreads,
}

impl Default for Profiled {
    /// Returns the default: all workers, for ten seconds at 100 Hz.
    fn default() -> Self {
        Self {
            pool: None,
            worker: None,
            tool: None,
            call: None,
            hz: 100,
            duration: Duration::from_secs(10),
            threads: ProfiledThreads::All,
        }
    }
}

impl Client {
    /// Samples the stacks of workers for the requested duration and returns the profile.
    ///
    /// # Errors
    /// As [`report`](Self::report); [`AdminError::Refused`] for an unknown name, or if no worker
    /// can be profiled.
    ///
    /// # Cancel safety
    /// Dropping the future ends the profile.
    pub async fn profile(&mut self, what: &Profiled) -> Result<ProfileReport, AdminError> {
        let request = pb::ProfileRequest {
            pool: what.pool.clone().unwrap_or_default(),
            worker: what.worker.clone().unwrap_or_default(),
            tool: what.tool.clone().unwrap_or_default(),
            call: what.call.unwrap_or(0),
            hz: what.hz,
            // 0 stands for the usual duration.
            duration_ms: u32::try_from(what.duration.as_millis().max(1)).unwrap_or(u32::MAX),
            threads: match what.threads {
                ProfiledThreads::All => pb::ProfileThreads::All,
                ProfiledThreads::Gil => pb::ProfileThreads::Gil,
                ProfiledThreads::OnCpu => pb::ProfileThreads::OnCpu,
            }
            .into(),
        };
        // The host waits for workers that are late, too.
        let patience = what.duration.saturating_add(2 * PATIENCE);
        let mut large = self.large();
        let reply = answered(self.run(), patience, large.profile(request)).await?;
        untrusted_json::read(&reply.report, PROFILED).map_err(|error| AdminError::Refused {
            code: ErrorCode::Protocol,
            message: format!("the profile of the host cannot be read: {error}"),
        })
    }
}
