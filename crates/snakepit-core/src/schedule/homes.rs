//! Which worker a session is bound to: a promise until the session is released.

use std::collections::HashMap;

use super::WorkerKey;
use crate::{SessionId, WorkerId};

/// Sessions bound at most. None is ever forgotten before it is released; further ones are refused.
pub(crate) const HOME_LIMIT: usize = 1 << 20;

/// The worker of one session.
#[derive(Debug)]
struct Home {
    /// Nothing before the first worker, and once the loss of the last one was reported.
    worker: Option<WorkerKey>,
    /// The present or last worker.
    name: Option<WorkerId>,
    /// Workers that the session has had.
    generation: u64,
}

/// A session's worker that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The session.
    pub session: SessionId,
    /// The worker it had.
    pub worker: WorkerId,
    /// How many workers the session has had, that one included.
    pub generation: u64,
}

/// As many sessions are bound as can be.
#[derive(Debug)]
pub(crate) struct Full;

/// Bound sessions.
#[derive(Debug)]
pub(crate) struct Homes {
    map: HashMap<SessionId, Home>,
    limit: usize,
}

impl Homes {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            map: HashMap::new(),
            limit,
        }
    }

    /// The worker of a session, which is remembered from now on; `Err` when there is no room for it.
    pub(crate) fn get_or_remember(
        &mut self,
        session: &SessionId,
    ) -> Result<Option<WorkerKey>, Full> {
        if let Some(home) = self.map.get(session) {
            return Ok(home.worker);
        }
        if self.map.len() >= self.limit {
            return Err(Full);
        }
        self.map.insert(
            session.clone(),
            Home {
                worker: None,
                name: None,
                generation: 0,
            },
        );
        Ok(None)
    }

    pub(crate) fn is_bound(&self, session: &SessionId) -> bool {
        !self.map.is_empty() && self.map.contains_key(session)
    }

    pub(crate) fn get(&self, session: &SessionId) -> Option<WorkerKey> {
        if self.map.is_empty() {
            return None;
        }
        self.map.get(session)?.worker
    }

    /// Binds a session to a worker.
    pub(crate) fn bind(&mut self, session: &SessionId, worker: WorkerKey, name: &WorkerId) {
        let home = self.map.entry(session.clone()).or_insert(Home {
            worker: None,
            name: None,
            generation: 0,
        });
        home.worker = Some(worker);
        home.name = Some(name.clone());
        home.generation += 1;
    }

    /// Takes a worker that is gone from a session, and says what was lost.
    pub(crate) fn lose(&mut self, session: &SessionId) -> Option<Lost> {
        let home = self.map.get_mut(session)?;
        home.worker = None;
        Some(Lost {
            session: session.clone(),
            worker: home.name.clone()?,
            generation: home.generation,
        })
    }

    pub(crate) fn forget(&mut self, session: &SessionId) -> bool {
        self.map.remove(session).is_some()
    }
}
