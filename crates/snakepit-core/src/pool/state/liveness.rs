//! Signs of life and health checks of the ready workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::heartbeat::{HeartbeatAnswer, HeartbeatChange, HeartbeatRecord};
use super::{HeartbeatState, PoolCore};
use crate::id::WorkerId;
use crate::policy::liveness::Evidence;
use crate::pool::config::HealthConfig;
use crate::schedule::WorkerKey;
use crate::worker::Worker;

/// A worker that is due for a heartbeat.
pub(crate) struct Asked {
    pub(crate) key: WorkerKey,
    pub(crate) id: WorkerId,
    pub(crate) worker: Arc<dyn Worker>,
    /// The worker has a call.
    pub(crate) busy: bool,
}

/// An answer to a heartbeat that is not recorded yet: the round may not count.
pub(crate) struct Heard {
    record: HeartbeatRecord,
    pub(crate) change: HeartbeatChange,
    pub(crate) evidence: Evidence,
}

/// The record of a worker after a health check.
pub(crate) struct CheckedWorker {
    pub(crate) id: WorkerId,
    /// Failures in a row before the check.
    pub(crate) before: u32,
    /// Failures in a row.
    pub(crate) failures: u32,
    pub(crate) unhealthy: bool,
}

impl PoolCore {
    /// Returns the workers that are due for a heartbeat, and counts it as open. None has more than
    /// `most` open ones.
    pub(crate) fn due_heartbeats(&mut self, now: Instant, most: u32) -> Vec<Asked> {
        let scheduler = &self.scheduler;
        let workers = self.workers.iter_mut();
        let due = workers.filter_map(|(key, live)| {
            let due = !live.draining && live.heartbeat.open(now, most);
            due.then(|| Asked {
                key,
                id: live.id.clone(),
                worker: Arc::clone(&live.worker),
                busy: scheduler.in_use_of(key) > Some(0),
            })
        });
        due.collect()
    }

    /// Discards the open heartbeats and every measured time: the host was suspended.
    pub(crate) fn discard_heartbeats(&mut self) {
        for (_, live) in self.workers.iter_mut() {
            live.heartbeat.discard();
        }
    }

    /// Reads an answer, or its absence. `None` if the worker is gone or drains.
    pub(crate) fn hear(
        &self,
        key: WorkerKey,
        answer: &HeartbeatAnswer,
        now: Instant,
    ) -> Option<Heard> {
        let live = self.workers.get(key).filter(|live| !live.draining)?;
        let mut record = live.heartbeat.clone();
        let change = record.hear(answer, now, live.calls);
        let calls = self.scheduler.in_use_of(key).unwrap_or(0);
        let evidence = Evidence {
            queued: self.scheduler.queued() > 0,
            ..record.evidence(now, calls)
        };
        Some(Heard {
            record,
            change,
            evidence,
        })
    }

    /// Records an answer. Returns false if nothing follows from it any more.
    pub(crate) fn record_heartbeat(&mut self, key: WorkerKey, heard: Heard) -> bool {
        let Some(live) = self.workers.get_mut(key) else {
            return false;
        };
        live.heartbeat = heard.record;
        if self.closing || live.heartbeat.state == HeartbeatState::Unresponsive {
            return false;
        }
        self.stats.heartbeat_misses +=
            u64::from(matches!(heard.change, HeartbeatChange::Missed(_)));
        true
    }

    /// Changes the state of a worker by its signs of life. Returns its name, itself and the state
    /// before. `None` if it is unknown.
    pub(crate) fn set_heartbeat(
        &mut self,
        key: WorkerKey,
        state: HeartbeatState,
    ) -> Option<(WorkerId, Arc<dyn Worker>, HeartbeatState)> {
        let live = self.workers.get_mut(key)?;
        let before = std::mem::replace(&mut live.heartbeat.state, state);
        self.stats.heartbeat_kills += u64::from(state == HeartbeatState::Unresponsive);
        Some((live.id.clone(), Arc::clone(&live.worker), before))
    }

    /// Returns the workers whose health checks are due, and marks the checks as running.
    pub(crate) fn due_checks(&mut self, config: &HealthConfig, now: Instant) -> Vec<WorkerKey> {
        if self.closing {
            return Vec::new();
        }
        let serving = self.workers.iter_mut().filter(|(_, live)| !live.draining);
        let due = serving.filter_map(|(key, live)| {
            let health = live.health.as_mut()?;
            health.begin(config, now).then_some(key)
        });
        due.collect()
    }

    /// Records the result of a worker's checks. `None` if it is gone.
    pub(crate) fn checked(
        &mut self,
        key: WorkerKey,
        config: &HealthConfig,
        took: Duration,
        error: Option<&str>,
    ) -> Option<CheckedWorker> {
        let live = self.workers.get_mut(key)?;
        let health = live.health.as_mut()?;
        let before = health.end(Instant::now(), took, error);
        let failures = health.failures();
        let unhealthy = failures >= config.failures;
        live.limits.set_unhealthy(unhealthy);
        self.stats.health_failures += u64::from(error.is_some());
        Some(CheckedWorker {
            id: live.id.clone(),
            before,
            failures,
            unhealthy,
        })
    }
}
