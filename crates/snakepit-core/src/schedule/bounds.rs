//! How much may wait: calls, their bytes, and calls of one session.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::Ask;
use crate::SessionId;

/// Why a call must not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueBound {
    /// As many calls wait as may.
    Calls {
        /// The limit.
        limit: usize,
    },
    /// The arguments of the waiting calls are as large as they may be.
    Bytes {
        /// Bytes that wait.
        queued: usize,
        /// The limit.
        limit: usize,
    },
    /// As many calls of the session wait as may.
    Session {
        /// The session.
        session: SessionId,
        /// The limit.
        limit: usize,
    },
    /// The call would have to wait longer than it can.
    Wait {
        /// How long it would wait.
        estimate: Duration,
    },
}

impl QueueBound {
    /// The setting that says so.
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

/// The limits, and what counts against them. The number of waiting calls is the queue's.
#[derive(Debug)]
pub(crate) struct Bounds {
    calls: usize,
    bytes: usize,
    session: Option<usize>,
    queued_bytes: usize,
    /// Waiting calls of each session; empty where sessions have no limit.
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

    /// The bound that a call would break beside `queued` others. A call alone may have any size.
    pub(crate) fn broken(&self, ask: &Ask<'_>, queued: usize) -> Option<QueueBound> {
        if queued >= self.calls {
            return Some(QueueBound::Calls { limit: self.calls });
        }
        let bytes = self.queued_bytes;
        if bytes > 0 && bytes.saturating_add(ask.bytes) > self.bytes {
            return Some(QueueBound::Bytes {
                queued: bytes,
                limit: self.bytes,
            });
        }
        let (session, limit) = (ask.session?, self.session?);
        let own = self.sessions.get(session).copied().unwrap_or(0);
        (own >= limit).then(|| QueueBound::Session {
            session: session.clone(),
            limit,
        })
    }

    /// A call begins to wait.
    pub(crate) fn enter(&mut self, session: Option<&SessionId>, bytes: usize) {
        self.queued_bytes += bytes;
        if let Some(session) = session.filter(|_| self.session.is_some()) {
            *self.sessions.entry(session.clone()).or_default() += 1;
        }
    }

    /// A call does not wait any more.
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
