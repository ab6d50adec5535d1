//! The sessions that a client may use.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use snakepit_core::SessionId;
use tonic::{Request, Status};

/// The sessions that a client with a certain token may use. A limited client must name one of them in every request that can name one: it has
/// no global programs, and makes no calls without a session.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// `None` is all.
    sessions: Option<Arc<HashSet<SessionId>>>,
}

impl Scope {
    /// Every session.
    pub fn all() -> Self {
        Self::default()
    }

    /// These sessions only.
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

    /// The scope of the client that makes a request.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or_default()
    }

    /// Checks that a request may name this session; empty is none.
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
