//! How firmly a session's calls are bound to one worker.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How firmly the calls of a session are bound to one worker. Calls without a session are not.
///
/// The first call of a session in one of the strict modes decides for a worker, also when many come at once. When that worker dies or
/// is retired, what the session had in its memory is lost: strict calls that wait, or else the next one, fail with
/// [`Error::AffinityLost`](crate::Error::AffinityLost), after which the session gets another worker.
///
/// The binding lasts as long as the session: it ends with [`Sessions::delete`](crate::Sessions::delete), with the session's time to live after
/// its last use, and with [`Pool::release_session`](crate::Pool::release_session). A call refers to one generation of a session with
/// [`CallOptions::in_session`](crate::CallOptions::in_session), and fails once that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// The session's last worker if it has a free slot, else any other.
    #[default]
    Hint,
    /// The session's worker; the call waits for it.
    StrictQueue,
    /// The session's worker; when it has no free slot the call fails at once with [`Error::AffinityBusy`](crate::Error::AffinityBusy).
    StrictFailFast,
}

impl Affinity {
    /// Its name: `hint`, `strict_queue` or `strict_fail_fast`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::StrictQueue => "strict_queue",
            Self::StrictFailFast => "strict_fail_fast",
        }
    }

    /// The session is bound to its worker.
    pub const fn is_strict(self) -> bool {
        !matches!(self, Self::Hint)
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
