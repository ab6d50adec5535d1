//! Carries out the policy's decision about one worker: first under the pool's lock, then the steps
//! that may wake calls or wait.

use std::sync::Arc;
use std::time::Duration;

use crate::events::emit;
use crate::id::WorkerId;
use crate::policy::liveness::{Cause, Evidence, LivenessVerdict};
use crate::pool::event::Event;
use crate::pool::foreign;
use crate::pool::shared::Shared;
use crate::pool::state::{Effects, HeartbeatChange, HeartbeatState, PoolCore};
use crate::schedule::WorkerKey;
use crate::worker::Worker;

/// Time for the stacks of a worker that is about to be killed.
const STACKS: Duration = Duration::from_secs(1);

/// The steps that remain once the lock is released.
#[must_use]
pub(super) struct HeartbeatEffects {
    id: WorkerId,
    evidence: Evidence,
    before: HeartbeatState,
    after: HeartbeatState,
    effects: Effects,
    condemned: Option<Condemned>,
}

/// A worker that was given up.
struct Condemned {
    key: WorkerKey,
    worker: Arc<dyn Worker>,
    /// Reason for killing it although it has a call. `None` if it has none.
    cause: Option<Cause>,
}

impl HeartbeatEffects {
    /// Changes the scheduling of the worker. `None` if the worker is unknown, or the round does not
    /// count.
    pub(super) fn begin(
        state: &mut PoolCore,
        key: WorkerKey,
        evidence: Evidence,
        verdict: LivenessVerdict,
    ) -> Option<Self> {
        let (after, pause, cause) = match verdict {
            LivenessVerdict::Discard => return None,
            LivenessVerdict::Well => (HeartbeatState::Ok, false, None),
            LivenessVerdict::Quiet => (HeartbeatState::Quiet, true, None),
            LivenessVerdict::Stalled { reachable } => (HeartbeatState::Stalled, !reachable, None),
            LivenessVerdict::Unresponsive => (HeartbeatState::Unresponsive, false, None),
            LivenessVerdict::Kill(cause) => (HeartbeatState::Unresponsive, false, Some(cause)),
        };
        let (id, worker, before) = state.set_heartbeat(key, after)?;
        let mut all = Self {
            id,
            evidence,
            before,
            after,
            effects: Effects::default(),
            condemned: None,
        };
        if after == HeartbeatState::Unresponsive {
            all.condemned = Some(Condemned { key, worker, cause });
            all.effects = state.remove(key);
        } else if pause {
            all.effects = state.pause(key);
        } else {
            all.effects = state.resume(key);
        }
        // A call that waits for a worker of its own may now have to wait for another one.
        all.effects.changed |= all.before != all.after;
        Some(all)
    }

    /// Wakes the calls that got a slot, reports the change, and kills the worker if that was
    /// decided.
    pub(super) fn finish(
        self,
        shared: &Arc<Shared>,
        change: HeartbeatChange,
        latency: Option<Duration>,
    ) {
        self.report(shared, change, latency);
        shared.apply(self.effects);
        if let Some(condemned) = self.condemned {
            let kill = condemned.kill(Arc::clone(shared), self.id, self.evidence);
            shared.tasks.spawn_on(kill, &shared.runtime);
        }
    }

    fn report(&self, shared: &Shared, change: HeartbeatChange, latency: Option<Duration>) {
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
        if let HeartbeatChange::Missed(misses) = change {
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
        let again = match (self.before, self.after, change) {
            (_, _, HeartbeatChange::Recovered(misses)) => Some(misses),
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
                WorkerUnresponsive {
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
