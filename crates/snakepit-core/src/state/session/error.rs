//! Errors of the host's state.

use std::fmt;

use crate::code::ErrorCode;
use crate::id::SessionId;
use crate::state::VariableError;

/// The reason why an operation on sessions, variables or programs failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// No session has this id: it was never created, has expired or was deleted.
    #[error("session `{0}` does not exist or has expired")]
    UnknownSession(SessionId),
    /// The session of this handle was not used for its time to live, and its contents are gone.
    #[error("session `{id}` has expired (generation {generation}), and its state was removed")]
    SessionExpired {
        /// The id.
        id: SessionId,
        /// Generation of the handle.
        generation: u64,
    },
    /// A session of this id exists already.
    #[error("session `{0}` exists already")]
    SessionExists(SessionId),
    /// The session of this handle is over, and another one has its id.
    #[error(
        "session `{id}` was replaced: this handle belongs to generation {generation}, now there is {current}"
    )]
    StaleSession {
        /// The id.
        id: SessionId,
        /// Generation of the handle.
        generation: u64,
        /// Generation of the session that has the id now.
        current: u64,
    },
    /// An id, a name or a time to live that cannot be used.
    #[error("{what} {reason}")]
    Invalid {
        /// The invalid item, for example ``session id `…` ``.
        what: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// The metadata exceeds its limits.
    #[error(transparent)]
    Metadata(#[from] crate::value::MetadataError),
    /// A quota would be exceeded.
    #[error(
        "the quota of {limit} {quota} does not allow it: {usage} are in use, {asked} more were requested"
    )]
    Quota {
        /// The quota.
        quota: Quota,
        /// The limit.
        limit: usize,
        /// The amount in use.
        usage: usize,
        /// The amount requested in addition.
        asked: usize,
    },
    /// An operation on a variable failed.
    #[error(transparent)]
    Variable(Box<VariableError>),
    /// No program has this name.
    #[error("program `{name}` does not exist")]
    UnknownProgram {
        /// The requested name.
        name: String,
        /// Similar names.
        near: Vec<String>,
    },
    /// The store is closed.
    #[error("the host's state is closed")]
    Closed,
}

impl From<VariableError> for StateError {
    fn from(error: VariableError) -> Self {
        Self::Variable(Box::new(error))
    }
}

impl StateError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownSession(_) => ErrorCode::UnknownSession,
            Self::SessionExpired { .. } => ErrorCode::SessionExpired,
            Self::SessionExists(_) => ErrorCode::SessionExists,
            Self::StaleSession { .. } => ErrorCode::StaleSession,
            Self::Invalid { .. } => ErrorCode::InvalidState,
            Self::Metadata(error) => error.code(),
            Self::Quota { .. } => ErrorCode::QuotaExceeded,
            Self::Variable(error) => error.code(),
            Self::UnknownProgram { .. } => ErrorCode::UnknownProgram,
            Self::Closed => ErrorCode::StateClosed,
        }
    }

    /// Returns true if the session itself is over, independent of the operation.
    pub const fn is_end(&self) -> bool {
        matches!(
            self,
            Self::UnknownSession(_)
                | Self::SessionExpired { .. }
                | Self::StaleSession { .. }
                | Self::Closed
        )
    }

    /// Returns a hint: one thing to do about the error.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownSession(_) => {
                "create the session first, and use it within its time to live".into()
            }
            Self::SessionExpired { .. } => {
                "create it again, with a longer time to live if that was too short".into()
            }
            Self::SessionExists(_) => "use `get_or_create`, or another id".into(),
            Self::StaleSession { .. } => "get the session again by its id".into(),
            Self::Invalid { .. } => "choose another one".into(),
            Self::Metadata(error) => error.help(),
            Self::Quota { quota, .. } => {
                format!("delete what is not needed, or raise `{}`", quota.setting())
            }
            Self::Variable(error) => error.help(),
            Self::UnknownProgram { near, .. } => match near.first() {
                Some(name) => format!("did you mean `{name}`?"),
                None => "store the program first".into(),
            },
            Self::Closed => "open a new one".into(),
        }
    }
}

/// A limited amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quota {
    /// Live sessions.
    Sessions,
    /// Variables of one session.
    Variables,
    /// Programs of one session.
    Programs,
    /// Global programs.
    GlobalPrograms,
    /// Bytes of one session.
    SessionBytes,
    /// Bytes of everything together.
    TotalBytes,
}

impl Quota {
    /// Name of the setting that holds the limit.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Sessions => "sessions.max_sessions",
            Self::Variables => "sessions.max_variables",
            Self::Programs => "sessions.max_programs",
            Self::GlobalPrograms => "sessions.max_global_programs",
            Self::SessionBytes => "sessions.max_session_bytes",
            Self::TotalBytes => "sessions.max_total_bytes",
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sessions => "sessions",
            Self::Variables => "variables in one session",
            Self::Programs => "programs in one session",
            Self::GlobalPrograms => "global programs",
            Self::SessionBytes => "bytes in one session",
            Self::TotalBytes => "bytes in all sessions",
        })
    }
}
