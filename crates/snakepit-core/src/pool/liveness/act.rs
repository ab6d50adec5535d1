//! Carries out the policy's decision about one worker: first under the pool's lock, then the steps
//! that may wake calls or wait.

use std::sync::Arc;
use std::time::Duration;

use super::track::{HeartbeatState, News};
use crate::events::emit;
use crate::id::WorkerId;
use crate::policy::liveness::{Cause, Evidence, Verdict};
use crate::pool::behind::Behind;
use crate::pool::foreign;
use crate::pool::lease::Lease;
use crate::pool::shared::{Shared, State, Waiter};
use crate::pool::supervisor::Event;
use crate::schedule::{Lost, WorkerKey};
use crate::worker::Worker;

/// Time for the stacks of a worker that is about to be killed.
const STACKS: Duration = Duration::from_secs(1);

/// The steps that remain once the lock is released.
#[must_use]
pub(super) struct Act {
    id: WorkerId,
    evidence: Evidence,
    before: HeartbeatState,
    after: HeartbeatState,
    wakes: Vec<(Waiter, Lease)>,
    lost: Vec<(Waiter, Lost)>,
    condemned: Option<Condemned>,
    behind: Option<Behind>,
}

/// A worker that was given up.
struct Condemned {
    key: WorkerKey,
    worker: Arc<dyn Worker>,
    /// Reason for killing it although it has a call. `None` if it has none.
    cause: Option<Cause>,
}

impl Act {
    /// Changes the scheduling of the worker. `None` if the worker is unknown, or the round does not
    /// count.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        state: &mut State,
        key: WorkerKey,
        evidence: Evidence,
        verdict: Verdict,
    ) -> Option<Self> {
        let (after, pause, cause) = match verdict {
            Verdict::Discard => return None,
            Verdict::Well => (HeartbeatState::Ok, false, None),
            Verdict::Quiet => (HeartbeatState::Quiet, true, None),
            Verdict::Stalled { reachable } => (HeartbeatState::Stalled, !reachable, None),
            Verdict::Suspect => (HeartbeatState::Suspect, false, None),
            Verdict::Kill(cause) => (HeartbeatState::Suspect, false, Some(cause)),
        };
        let live = state.workers.get_mut(key)?;
        let mut act = Self {
            id: live.id.clone(),
            evidence,
            before: std::mem::replace(&mut live.heartbeat.state, after),
            after,
            wakes: Vec::new(),
            lost: Vec::new(),
            condemned: None,
            behind: None,
        };
        if after == HeartbeatState::Suspect {
            let worker = Arc::clone(&live.worker);
            act.condemned = Some(Condemned { key, worker, cause });
            act.lost = state.remove(key);
            state.stats.heartbeat_kills += 1;
        } else if pause {
            state.scheduler.pause(key);
            act.behind = state.call_back(key);
        } else {
            let resumed = state.scheduler.resume(key);
            let wakes = resumed.wakes.into_iter();
            act.wakes = wakes
                .map(|(waiter, grant)| (waiter, shared.lease_locked(state, grant)))
                .collect();
            act.lost = resumed.lost;
        }
        Some(act)
    }

    /// Wakes the calls that got a slot, reports the change, and kills the worker if that was
    /// decided.
    pub(super) fn finish(self, shared: &Arc<Shared>, news: News, latency: Option<Duration>) {
        self.tell(shared, news, latency);
        if self.before != self.after {
            // A call that waits for a worker of its own may now have to wait for another one.
            shared.changed.notify_waiters();
        }
        Shared::tell_lost(self.lost);
        shared.take_back(self.behind);
        for (waiter, lease) in self.wakes {
            Shared::wake(waiter, lease);
        }
        if let Some(condemned) = self.condemned {
            let kill = condemned.kill(Arc::clone(shared), self.id, self.evidence);
            shared.tasks.spawn_on(kill, &shared.runtime);
        }
    }

    fn tell(&self, shared: &Shared, news: News, latency: Option<Duration>) {
        let (hub, evidence) = (&shared.hub, &self.evidence);
        let (pool, worker) = (|| shared.config.name.clone(), || self.id.clone());
        let (misses, held_seconds) = (evidence.misses, evidence.held.as_secs_f64());
        if let Some(latency) = latency {
            let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            emit!(
                hub,
                HeartbeatPongReceived {
                    pool: pool(),
                    worker: worker(),
                    latency_us
                }
            );
        }
        if let News::Missed(misses) = news {
            let busy = evidence.busy;
            emit!(
                hub,
                HeartbeatMissed {
                    pool: pool(),
                    worker: worker(),
                    misses,
                    busy
                }
            );
        }
        let again = match (self.before, self.after, news) {
            (_, _, News::Recovered(misses)) => Some(misses),
            (HeartbeatState::Quiet, HeartbeatState::Ok, _) => Some(0),
            _ => None,
        };
        if let Some(misses) = again {
            emit!(
                hub,
                HeartbeatRecovered {
                    pool: pool(),
                    worker: worker(),
                    misses
                }
            );
        }
        match self.after {
            HeartbeatState::Quiet if self.before != HeartbeatState::Quiet => {
                emit!(
                    hub,
                    WorkerQuiet {
                        pool: pool(),
                        worker: worker(),
                        misses,
                        held_seconds
                    }
                );
            }
            HeartbeatState::Stalled if self.before != HeartbeatState::Stalled => {
                let flat_seconds = evidence.flat.unwrap_or_default().as_secs_f64();
                emit!(
                    hub,
                    WorkerStalled {
                        pool: pool(),
                        worker: worker(),
                        flat_seconds,
                        held_seconds,
                        misses,
                    }
                );
            }
            _ => {}
        }
    }
}

impl Condemned {
    /// Reports the worker, which has left the schedule, as lost. Its stacks are captured while it
    /// lives; the supervisor ends it and starts another one.
    async fn kill(self, shared: Arc<Shared>, worker: WorkerId, evidence: Evidence) {
        let stacks = foreign::stacks(&*self.worker, STACKS).await;
        let stacks = stacks.and_then(|stacks| serde_json::to_string(&stacks).ok());
        let (hub, pool, misses) = (&shared.hub, shared.config.name.clone(), evidence.misses);
        if let Some(cause) = self.cause {
            let flat_seconds = evidence.flat.unwrap_or_default().as_secs_f64();
            let cause = cause.as_str();
            emit!(
                hub,
                WorkerCondemned {
                    pool,
                    worker,
                    cause,
                    flat_seconds,
                    stacks
                }
            );
        } else {
            emit!(
                hub,
                WorkerSuspect {
                    pool,
                    worker,
                    misses,
                    stacks
                }
            );
        }
        shared.send(Event::Lost(self.key));
    }
}
