//! The sessions that a client may use.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use snakepit_core::id::SessionId;
use tonic::{Request, Status};

/// The sessions that a client with a certain token may use. A restricted client must name one of
/// them in every request that can name a session: it cannot use global programs or make calls
/// without a session.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// The allowed sessions. `None` allows all.
    sessions: Option<Arc<HashSet<SessionId>>>,
}

impl Scope {
    /// Allows every session.
    pub fn all() -> Self {
        Self::default()
    }

    /// Allows these sessions only.
    pub fn sessions<I>(ids: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<SessionId>,
    {
        let sessions = ids.into_iter().map(Into::into).collect();
        Self {
            sessions: Some(Arc::new(sessions)),
        }
    }

    /// Returns the scope of the client that makes a request.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or_default()
    }

    /// Checks that a request may name this session. An empty text stands for no session.
    pub(crate) fn check(&self, session: &str) -> Result<(), Status> {
        let allowed = self.sessions.as_ref();
        if allowed.is_none_or(|ids| ids.contains(&SessionId::new(session))) {
            return Ok(());
        }
        Err(Status::permission_denied(
            "the token of this client does not allow this session",
        ))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sessions {
            None => f.write_str("Scope(all)"),
            Some(sessions) => write!(f, "Scope({} sessions)", sessions.len()),
        }
    }
}
