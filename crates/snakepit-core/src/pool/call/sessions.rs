//! The sessions of calls: a call uses its session from its beginning to the end of its tool.

use crate::call::CallOptions;
use crate::error::Error;
use crate::id::SessionId;
use crate::pool::Pool;
use crate::pool::shared::Shared;
use crate::state::{Sessions, StateError};
use crate::value::metadata;

impl Shared {
    /// Checks the metadata and the session of a call, and holds the session, so that it does not
    /// expire before the call is over. Returns the call's options with the hold. `None` if there is
    /// nothing to hold.
    pub(crate) fn enter_session(
        &self,
        options: &CallOptions,
    ) -> Result<Option<Box<CallOptions>>, Error> {
        if let Some(texts) = &options.metadata {
            metadata::check(texts).map_err(StateError::from)?;
        }
        let Some(id) = options.session.as_ref() else {
            return Ok(None);
        };
        if options.hold.is_some() {
            return Ok(None);
        }
        let hold = match (&options.generation, &self.sessions) {
            (Some(session), _) => Some(session.hold()?),
            (None, Some(sessions)) => sessions.enter(id)?,
            (None, None) => Sessions::check_id(id).map(|()| None)?,
        };
        Ok(hold.map(|hold| {
            let mut options = options.clone();
            options.hold = Some(hold);
            Box::new(options)
        }))
    }
}

impl Pool {
    /// Forgets a session that is over: its next strict call may go to any worker. Returns `false`
    /// if it is unknown.
    pub fn release_session(&self, session: &SessionId) -> bool {
        self.shared().lock().forget_session(session)
    }

    /// Ends the bonds of sessions that are over.
    pub(crate) fn forget_ended_sessions(&self) {
        let Some(sessions) = &self.shared().sessions else {
            return;
        };
        // The owner of the sessions must not keep the pool alive.
        let pool = self.downgrade();
        sessions.on_end(move |session, _, _| {
            if let Some(pool) = pool.upgrade() {
                pool.release_session(session);
            }
        });
    }
}
