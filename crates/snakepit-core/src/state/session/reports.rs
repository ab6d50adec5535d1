//! The events of sessions. They are emitted without any lock held.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shard::{LiveSession, Nanos};
use super::store::{Access, Place, Store};
use super::{Session, SessionEnd};
use crate::events::{Shown, emit};
use crate::id::SessionId;
use crate::state::ChangeKind;

/// Share of the limit, in percent, at which the number of sessions becomes a warning.
const CROWDED: u128 = 80;

impl Store {
    pub(super) fn report_created(&self, id: &SessionId, place: &Place) {
        let (session, generation) = (|| id.clone(), place.generation);
        emit!(
            self.events,
            SessionCreated {
                session: session(),
                generation
            }
        );
        let (sessions, limit) = self.fill();
        if is_crowded(sessions, limit) && !self.crowded.swap(true, Ordering::Relaxed) {
            emit!(
                self.events,
                SessionAccumulationWarning {
                    sessions: sessions as u64,
                    limit: limit as u64,
                    ratio: sessions as f64 / limit as f64,
                }
            );
        }
    }

    fn fill(&self) -> (usize, usize) {
        let live = self.counters.live.load(Ordering::Relaxed);
        (live, self.config.max_sessions)
    }

    pub(super) fn report_accessed(&self, id: &SessionId, place: &Place, access: Access) {
        if access == Access::Touch {
            let (session, generation) = (|| id.clone(), place.generation);
            emit!(
                self.events,
                SessionAccessed {
                    session: session(),
                    generation
                }
            );
        }
    }

    pub(super) fn report_pruned(&self, removed: usize) {
        if removed > 0 {
            let (removed, remaining) = (removed as u64, self.fill().0 as u64);
            emit!(self.events, SessionPruned { removed, remaining });
        }
    }

    pub(super) fn report_ended(&self, live: &LiveSession, why: SessionEnd, now: Nanos) {
        let (sessions, limit) = self.fill();
        if self.crowded.load(Ordering::Relaxed) && !is_crowded(sessions, limit) {
            self.crowded.store(false, Ordering::Relaxed);
        }
        let lifetime = Duration::from_nanos(now.saturating_sub(live.created));
        let (session, generation) = (|| live.id.clone(), live.generation);
        let lifetime_seconds = lifetime.as_secs_f64();
        let reason = match why {
            SessionEnd::Expired => {
                emit!(
                    self.events,
                    SessionExpired {
                        session: session(),
                        generation,
                        lifetime_seconds,
                    }
                );
                return;
            }
            SessionEnd::Deleted => "deleted",
            SessionEnd::Closed => "closed",
        };
        emit!(
            self.events,
            SessionDeleted {
                session: session(),
                generation,
                lifetime_seconds,
                reason,
            }
        );
    }
}

impl Session {
    pub(super) fn report_changed(&self, change: ChangeKind, variable: &Arc<str>, version: u64) {
        emit!(
            self.store().events,
            VariableChanged {
                session: self.id.clone(),
                variable: Arc::clone(variable),
                change: change.name(),
                version,
                origin: Shown(self.origin.to_string()),
            }
        );
    }
}

/// Events of programs. The session is `None` if the program is global.
impl Store {
    pub(super) fn report_stored(&self, session: Option<&SessionId>, program: &str, bytes: usize) {
        emit!(
            self.events,
            ProgramStored {
                session: session.cloned(),
                program: program.into(),
                bytes: bytes as u64,
            }
        );
    }

    pub(super) fn report_retrieved(&self, session: Option<&SessionId>, program: &str) {
        let (session, program) = (|| session.cloned(), || program.into());
        emit!(
            self.events,
            ProgramRetrieved {
                session: session(),
                program: program()
            }
        );
    }

    pub(super) fn report_deleted(&self, session: Option<&SessionId>, program: &str) {
        let (session, program) = (|| session.cloned(), || program.into());
        emit!(
            self.events,
            ProgramDeleted {
                session: session(),
                program: program()
            }
        );
    }
}

/// Returns true if the number of sessions is near its limit.
const fn is_crowded(sessions: usize, limit: usize) -> bool {
    sessions as u128 * 100 >= limit as u128 * CROWDED
}
