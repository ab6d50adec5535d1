//! A claim on a session that keeps it from expiring.

use std::fmt;
use std::sync::Arc;

use super::store::Access;
use super::{Session, StateError};

/// A claim on a session: the session does not expire while a clone of this lives, and its time to
/// live counts from the end of the last one. Deleting the session or closing the store ends it
/// nevertheless.
///
/// A call has a claim from its beginning to the end of its tool.
#[derive(Clone)]
pub struct SessionHold {
    held: Arc<Held>,
}

struct Held {
    session: Session,
}

impl SessionHold {
    pub(super) fn new(session: Session) -> Result<Self, StateError> {
        session.with(Access::Touch, |live| live.holds += 1)?;
        Ok(Self {
            held: Arc::new(Held { session }),
        })
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.held.session
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let session = &self.session;
        session.store().release(&session.place, session.inner.now());
    }
}

impl fmt::Debug for SessionHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionHold").field(self.session()).finish()
    }
}
