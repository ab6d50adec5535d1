//! Limits of the queue: calls, their bytes, and calls of one session.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::SlotRequest;
use crate::id::SessionId;

/// The bound because of which a call is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueBound {
    /// The number of waiting calls has reached its limit.
    Calls {
        /// The limit.
        limit: usize,
    },
    /// The arguments of the waiting calls, with those of this call, would exceed the limit.
    Bytes {
        /// Bytes that wait.
        queued: usize,
        /// The limit.
        limit: usize,
    },
    /// The number of waiting calls of the session has reached its limit.
    Session {
        /// The session.
        session: SessionId,
        /// The limit.
        limit: usize,
    },
    /// The call would have to wait longer than it can.
    Wait {
        /// Estimated wait.
        estimate: Duration,
    },
}

impl QueueBound {
    /// Name of the setting behind the bound.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Calls { .. } => "queue_limit",
            Self::Bytes { .. } => "queue_bytes",
            Self::Session { .. } => "session_queue_limit",
            Self::Wait { .. } => "reject_early",
        }
    }
}

impl fmt::Display for QueueBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls { limit } => write!(f, "at most {limit} may"),
            Self::Bytes { queued, limit } => {
                write!(f, "their arguments have {queued} of {limit} bytes")
            }
            Self::Session { session, limit } => {
                write!(f, "at most {limit} of session `{session}` may")
            }
            Self::Wait { estimate } => {
                write!(f, "this one would have to wait for about {estimate:.1?}")
            }
        }
    }
}

/// The limits and their present use. The number of waiting calls is kept by the queue.
#[derive(Debug)]
pub(crate) struct Bounds {
    calls: usize,
    bytes: usize,
    session: Option<usize>,
    queued_bytes: usize,
    /// Waiting calls of each session; empty if sessions have no limit.
    sessions: HashMap<SessionId, usize>,
}

impl Bounds {
    pub(crate) fn new(calls: usize, bytes: usize, session: Option<usize>) -> Self {
        Self {
            calls,
            bytes,
            session,
            queued_bytes: 0,
            sessions: HashMap::new(),
        }
    }

    pub(crate) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Returns the bound that a call would exceed in addition to `queued` others. A single call may
    /// have any size.
    pub(crate) fn broken(&self, request: &SlotRequest<'_>, queued: usize) -> Option<QueueBound> {
        if queued >= self.calls {
            return Some(QueueBound::Calls { limit: self.calls });
        }
        let bytes = self.queued_bytes;
        if bytes > 0 && bytes.saturating_add(request.bytes) > self.bytes {
            return Some(QueueBound::Bytes {
                queued: bytes,
                limit: self.bytes,
            });
        }
        let (session, limit) = (request.session?, self.session?);
        let own = self.sessions.get(session).copied().unwrap_or(0);
        (own >= limit).then(|| QueueBound::Session {
            session: session.clone(),
            limit,
        })
    }

    /// Counts a call that begins to wait.
    pub(crate) fn enter(&mut self, session: Option<&SessionId>, bytes: usize) {
        self.queued_bytes += bytes;
        if let Some(session) = session.filter(|_| self.session.is_some()) {
            *self.sessions.entry(session.clone()).or_default() += 1;
        }
    }

    /// Discounts a call that no longer waits.
    pub(crate) fn leave(&mut self, session: Option<&SessionId>, bytes: usize) {
        self.queued_bytes -= bytes;
        if let Some(session) = session.filter(|_| self.session.is_some())
            && let Some(count) = self.sessions.get_mut(session)
        {
            *count -= 1;
            if *count == 0 {
                self.sessions.remove(session);
            }
        }
    }
}
