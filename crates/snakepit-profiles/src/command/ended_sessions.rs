//! Reports ended sessions to workers, so that they drop the state that they keep for them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use snakepit_core::host_tools::HostState;
use snakepit_core::id::SessionId;

use super::worker::CommandWorker;

/// The workers that want to know of ended sessions.
type Workers = Arc<Mutex<Vec<Weak<CommandWorker>>>>;

/// The workers of one profile that want to know, and the state whose sessions end.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    workers: Workers,
    state: Mutex<Option<HostState>>,
}

impl EndedSessions {
    /// Reports the sessions of `state` that end from now on to this worker, if it accepts such
    /// reports.
    pub(super) fn report(&self, worker: &Arc<CommandWorker>, state: &HostState) {
        if !worker.keeps_sessions() {
            return;
        }
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(Arc::downgrade(worker));
        drop(workers);
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_some_and(|known| known.is_same(state)) {
            return;
        }
        *known = Some(state.clone());
        let workers = Arc::downgrade(&self.workers);
        state.sessions().on_end(move |session, _, _| {
            if let Some(workers) = workers.upgrade() {
                end(&workers, session);
            }
        });
    }
}

fn end(workers: &Workers, session: &SessionId) {
    let all: Vec<_> = {
        let workers = workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter_map(Weak::upgrade).collect()
    };
    for worker in all {
        worker.session_ended(session);
    }
}
