//! Snapshots of a pool for people and programs.

use std::collections::HashMap;

use tokio::time::Instant;

use super::PoolCore;
use crate::id::{SessionId, WorkerId};
use crate::pool::config::PoolConfig;
use crate::pool::status::{Latency, PoolState, Status, WorkerState, WorkerStatus};
use crate::worker::Containment;

/// Largest number of waiting calls that are counted by session.
const LOOKED_AT: usize = 10_000;

impl PoolCore {
    /// Returns state and counters. `containment` is that of the profile.
    pub(crate) fn status(&self, config: &PoolConfig, containment: Containment) -> Status {
        let state = self;
        let stats = &state.stats;
        Status {
            pool: config.name.clone(),
            state: state.stage(),
            workers: state.target,
            ready: state.scheduler.active(),
            starting: state.starting.len(),
            spares: state.spares.len(),
            scaling: state.scaling.as_ref().map(|one| one.seen(Instant::now())),
            slots: state.scheduler.capacity(),
            in_flight: state.scheduler.in_use(),
            queue_depth: state.scheduler.queued(),
            queue_bytes: state.scheduler.queued_bytes(),
            requests: stats.requests,
            succeeded: stats.succeeded,
            errors: stats.errors,
            queued: stats.queued,
            saturated: stats.saturated,
            queue_timeouts: stats.queue_timeouts,
            call_timeouts: stats.call_timeouts,
            cancelled: stats.cancelled,
            stops: stats.stops,
            quarantined: stats.quarantined,
            retries: stats.retries,
            circuit_open: stats.circuit_open,
            circuits: state.breakers.circuits(Instant::now()),
            in_quarantine: state
                .quarantine
                .as_ref()
                .map_or(0, |quarantine| quarantine.convicted(Instant::now())),
            restarts: stats.restarts,
            start_failures: stats.start_failures,
            recycled: stats.recycled,
            recycle_failures: stats.recycle_failures,
            recycle_error: stats.recycle_error.clone(),
            heartbeat_misses: stats.heartbeat_misses,
            heartbeat_kills: stats.heartbeat_kills,
            health_failures: stats.health_failures,
            last_exit: stats.last_exit.clone(),
            start_error: state.gave_up.as_ref().map(ToString::to_string),
            containment,
            service_time: Latency::new(&stats.service),
            queue_time: Latency::new(&stats.waits),
        }
    }

    /// Returns the number of waiting calls of each session, the longest queues first.
    pub(crate) fn queued_by_session(&self) -> Vec<(Option<SessionId>, usize)> {
        let waiting = self.scheduler.queued_sessions(LOOKED_AT);
        let mut counts = HashMap::new();
        for session in waiting {
            *counts.entry(session).or_insert(0) += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        counts
    }

    /// Returns the state of every worker, including those that are starting.
    pub(crate) fn worker_status(&self, config: &PoolConfig) -> Vec<WorkerStatus> {
        let (state, now) = (self, Instant::now());
        let age = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        let ready = state.workers.iter().map(|(key, live)| {
            let info = live.worker.info();
            let gil_reenabled_by = live.worker.gil_reenabled_by();
            let in_flight = usize::from(state.scheduler.in_use_of(key).unwrap_or(0));
            WorkerStatus {
                pool: config.name.clone(),
                id: live.id.clone(),
                state: match (live.draining || live.lost, in_flight) {
                    (true, _) => WorkerState::Draining,
                    (false, 0) => WorkerState::Idle,
                    (false, _) => WorkerState::Busy,
                },
                pid: info.pid,
                runtime: format!("{} {}", info.runtime, info.runtime_version),
                slots: usize::from(self.slots),
                gil_enabled: info.gil_enabled.map(|on| on || gil_reenabled_by.is_some()),
                gil_reenabled_by,
                in_flight,
                calls: live.calls,
                age_seconds: age(live.ready),
                recycling: live.recycled.or_else(|| {
                    let quiet = in_flight == 0 && state.scheduler.queued() == 0;
                    live.limits.reason(now, live.calls, quiet)
                }),
                memory: live.limits.memory(now, live.calls),
                heartbeat: config.heartbeat.enabled.then(|| live.heartbeat.status(now)),
                health: live
                    .health
                    .as_ref()
                    .map(|health| health.status(&config.health, now)),
            }
        });
        let without_calls = |id: &WorkerId, state, since| WorkerStatus {
            pool: config.name.clone(),
            id: id.clone(),
            state,
            pid: None,
            runtime: String::new(),
            slots: usize::from(self.slots),
            gil_enabled: None,
            gil_reenabled_by: None,
            in_flight: 0,
            calls: 0,
            age_seconds: age(since),
            recycling: None,
            memory: None,
            heartbeat: None,
            health: None,
        };
        let spares = state.spares.iter().map(|spare| {
            let info = spare.worker.info();
            WorkerStatus {
                pid: info.pid,
                runtime: format!("{} {}", info.runtime, info.runtime_version),
                ..without_calls(&spare.id, WorkerState::Spare, spare.ready)
            }
        });
        let starting = state.starting.iter();
        let starting = starting.map(|(id, since)| without_calls(id, WorkerState::Starting, *since));
        ready.chain(spares).chain(starting).collect()
    }

    fn stage(&self) -> PoolState {
        if self.closing {
            PoolState::Closed
        } else if self.gave_up.is_some() && self.scheduler.active() == 0 {
            PoolState::GaveUp
        } else if self.is_growing() {
            PoolState::Starting
        } else {
            PoolState::Ready
        }
    }
}
