//! The bond between a session's calls and one worker.

pub(super) mod soft;
pub(super) mod strict;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The strength of the bond between a session's calls and one worker. Calls without a session have
/// none.
///
/// The first call of a session in a strict mode chooses the worker, even if many calls arrive at
/// once. When that worker dies or is retired, the session's data in its memory is lost. The strict
/// calls that wait for it then fail with
/// [`Error::AffinityLost`](crate::error::Error::AffinityLost); if none waits, the next strict call
/// fails so. After that the session gets another worker.
///
/// The binding lasts as long as the session: it ends with
/// [`Sessions::delete`](crate::state::Sessions::delete), when the session's time to live has passed
/// since its last use, and with [`Pool::release_session`](crate::pool::Pool::release_session). A
/// call refers to one generation of a session with
/// [`CallOptions::in_session`](crate::call::CallOptions::in_session), and fails once that
/// generation is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// The session's last worker if it has a free slot, else any other.
    #[default]
    Hint,
    /// The session's worker; the call waits for it.
    StrictQueue,
    /// The session's worker. If it has no free slot, the call fails at once with
    /// [`Error::AffinityBusy`](crate::error::Error::AffinityBusy).
    StrictFailFast,
}

impl Affinity {
    /// Returns the name: `hint`, `strict_queue` or `strict_fail_fast`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::StrictQueue => "strict_queue",
            Self::StrictFailFast => "strict_fail_fast",
        }
    }

    /// Returns true if the session is bound to its worker.
    pub const fn is_strict(self) -> bool {
        !matches!(self, Self::Hint)
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
