//! The worker that a session is bound to: a promise until the session is released, or is idle while
//! others need room.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::id::{SessionId, WorkerId};
use crate::schedule::WorkerKey;

/// Largest number of bound sessions. At the limit, idle sessions make room; while none is idle,
/// further sessions are rejected.
pub(crate) const BINDING_LIMIT: usize = 1 << 20;
/// Time after its last call after which a bound session is idle, unless sessions live longer.
pub(crate) const BINDING_IDLE: Duration = Duration::from_secs(3600);

/// The worker of one session.
#[derive(Debug)]
struct Binding {
    /// `None` before the first worker, and after the loss of the last one was reported.
    worker: Option<WorkerKey>,
    /// The current or last worker.
    name: Option<WorkerId>,
    /// Number of workers that the session has had.
    generation: u64,
    /// Time of the last call. `None` without a clock.
    used: Option<Instant>,
    /// The moment under which it is in the index: not later than the moment at which it becomes
    /// idle.
    due: Option<Instant>,
}

impl Binding {
    const NEW: Self = Self {
        worker: None,
        name: None,
        generation: 0,
        used: None,
        due: None,
    };
}

/// A session's worker that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The session.
    pub session: SessionId,
    /// The worker it had.
    pub worker: WorkerId,
    /// Number of workers that the session has had, including that one.
    pub generation: u64,
}

/// The number of bound sessions has reached its limit.
#[derive(Debug)]
pub(crate) struct Full;

/// Bound sessions.
#[derive(Debug)]
pub(crate) struct StrictBindings {
    map: HashMap<SessionId, Binding>,
    /// Sessions in order of the moments at which they can be idle.
    due: BTreeSet<(Instant, SessionId)>,
    limit: usize,
    idle: Duration,
}

impl StrictBindings {
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        Self {
            map: HashMap::new(),
            due: BTreeSet::new(),
            limit,
            idle,
        }
    }

    /// Returns the worker of a session, which is remembered from now on. `Err` if there is no room
    /// for it.
    pub(crate) fn get_or_remember(
        &mut self,
        session: &SessionId,
        now: Option<Instant>,
    ) -> Result<Option<WorkerKey>, Full> {
        if !self.map.contains_key(session) && self.map.len() >= self.limit && !self.make_room(now) {
            return Err(Full);
        }
        let home = self.map.entry(session.clone()).or_insert(Binding::NEW);
        home.used = now.or(home.used);
        if let (Some(now), None) = (now, home.due) {
            home.due = now.checked_add(self.idle);
            self.due.extend(home.due.map(|due| (due, session.clone())));
        }
        Ok(home.worker)
    }

    /// Forgets the session that has been idle for longest. Returns `false` if none is idle.
    /// Sessions used since they were put into the index are put in again; that happens to each at
    /// most once in the time after which it is idle.
    fn make_room(&mut self, now: Option<Instant>) -> bool {
        let Some(now) = now else {
            return false;
        };
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let (_, session) = self.due.pop_first().expect("it was just there");
            let home = self.map.get_mut(&session).expect("it is in the index");
            let used = home.used.unwrap_or(now);
            home.due = used.checked_add(self.idle);
            match home.due {
                Some(due) if due > now => drop(self.due.insert((due, session))),
                _ => return self.map.remove(&session).is_some(),
            }
        }
        false
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
        let home = self.map.entry(session.clone()).or_insert(Binding::NEW);
        home.worker = Some(worker);
        home.name = Some(name.clone());
        home.generation += 1;
    }

    /// Removes a worker that is gone from a session. Returns the loss.
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
        let home = self.map.remove(session);
        if let Some(due) = home.as_ref().and_then(|home| home.due) {
            self.due.remove(&(due, session.clone()));
        }
        home.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_idle_makes_room_and_one_that_is_used_does_not() {
        let idle = Duration::from_secs(10);
        let mut strict = StrictBindings::new(2, idle);
        let begin = Instant::now();
        let mut remember = |id: &str, seconds| {
            let now = begin + Duration::from_secs(seconds);
            strict.get_or_remember(&id.into(), Some(now)).is_ok()
        };
        assert!(remember("a", 0) && remember("b", 1));
        assert!(!remember("c", 9), "both were used a short time ago");
        assert!(remember("a", 9));
        assert!(remember("c", 11), "`b` is idle");
        assert!(remember("a", 18), "`a` was used and is still there");
        assert!(!remember("b", 19));
        assert!(strict.is_bound(&"a".into()) && !strict.is_bound(&"b".into()));
        assert!(strict.forget(&"a".into()) && strict.forget(&"c".into()));
        assert!(strict.due.is_empty() && strict.map.is_empty());
    }
}
