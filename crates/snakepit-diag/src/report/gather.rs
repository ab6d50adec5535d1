//! Conversion of a pool's own figures into a report.

use snakepit_core::pool::{
    HealthState, HealthStatus, Latency, Pool, PoolState, Status, WorkerStatus,
};

use super::{
    Capacity, Counters, PoolReport, Queue, SessionQueue, Threads, Times, WorkerReport, WorkerState,
};

/// Maximum number of sessions whose queues are in a report.
const SESSIONS: usize = 16;

impl From<&Pool> for PoolReport {
    /// Returns the pool as it is now, without the memory of its workers, its deaths and its calls.
    fn from(pool: &Pool) -> Self {
        let mut report = Self::from(&pool.status());
        report.workers = pool.workers().iter().map(WorkerReport::from).collect();
        report.profile = pool.profile_name().to_owned();
        report.queue.limit = pool.config().queue_limit;
        let sessions = pool.queued_by_session().into_iter().take(SESSIONS);
        let sessions = sessions.map(|(session, depth)| SessionQueue {
            session: session.map(|session| session.as_str().to_owned()),
            depth,
        });
        report.queue_by_session = sessions.collect();
        let per_worker = report.workers.iter().map(|worker| worker.capacity).max();
        report.threads = Threads {
            workers: report.worker_count,
            threads_per_worker: per_worker.unwrap_or_default(),
            total_threads: report.capacity.total,
            average_load_per_worker: match report.worker_count {
                0 => 0.0,
                workers => report.capacity.used as f64 / workers as f64,
            },
        };
        report
    }
}

impl From<&Status> for PoolReport {
    fn from(status: &Status) -> Self {
        Self {
            pool: status.pool.as_str().to_owned(),
            state: state(status.state).to_owned(),
            worker_count: status.ready,
            target: status.workers,
            starting: status.starting,
            spares: status.spares,
            capacity: Capacity::new(status.slots, status.in_flight),
            queue: Queue {
                depth: status.queue_depth,
                bytes: status.queue_bytes,
                limit: 0,
            },
            counters: Counters::from(status),
            service_time: Times::from(&status.service_time),
            queue_time: Times::from(&status.queue_time),
            open_circuits: status.circuits.len(),
            in_quarantine: status.in_quarantine,
            start_error: status.start_error.clone(),
            last_exit: status.last_exit.clone(),
            ..Self::default()
        }
    }
}

const fn state(state: PoolState) -> &'static str {
    match state {
        PoolState::Starting => "starting",
        PoolState::Ready => "ready",
        PoolState::GaveUp => "gave_up",
        PoolState::Closed => "closed",
        _ => "unknown",
    }
}

impl From<&Status> for Counters {
    fn from(status: &Status) -> Self {
        Self {
            requests: status.requests,
            succeeded: status.succeeded,
            errors: status.errors,
            queued: status.queued,
            saturated: status.saturated,
            queue_timeouts: status.queue_timeouts,
            call_timeouts: status.call_timeouts,
            cancelled: status.cancelled,
            retries: status.retries,
            quarantined: status.quarantined,
            circuit_open: status.circuit_open,
            restarts: status.restarts,
            start_failures: status.start_failures,
            recycled: status.recycled,
            recycle_failures: status.recycle_failures,
            heartbeat_misses: status.heartbeat_misses,
            heartbeat_kills: status.heartbeat_kills,
            health_failures: status.health_failures,
        }
    }
}

impl From<&Latency> for Times {
    fn from(latency: &Latency) -> Self {
        Self {
            count: latency.count,
            mean_us: latency.mean_us,
            p50_us: latency.p50_us,
            p90_us: latency.p90_us,
            p99_us: latency.p99_us,
            max_us: latency.max_us,
        }
    }
}

impl From<&WorkerStatus> for WorkerReport {
    fn from(worker: &WorkerStatus) -> Self {
        use snakepit_core::pool::WorkerState as Core;

        let heartbeat = worker.heartbeat.as_ref();
        let memory = worker.memory.as_ref();
        let fails = |health: &&HealthStatus| {
            matches!(health.state, HealthState::Failing | HealthState::Unhealthy)
        };
        let unhealthy = worker.health.as_ref().filter(fails);
        Self {
            id: worker.id.as_str().to_owned(),
            pid: worker.pid,
            status: match worker.state {
                Core::Idle => WorkerState::Available,
                Core::Busy => WorkerState::Busy,
                Core::Starting => WorkerState::Starting,
                Core::Spare => WorkerState::Spare,
                Core::Draining => WorkerState::Draining,
                _ => WorkerState::Unknown,
            },
            capacity: worker.slots,
            load: worker.in_flight,
            cpu_seconds: None,
            memory_bytes: None,
            memory_limit_bytes: memory.map(|memory| memory.limit_bytes),
            memory_limit_in_seconds: memory.and_then(|memory| memory.limit_in_seconds),
            calls: worker.calls,
            generation: 0,
            last_death: None,
            age_seconds: worker.age_seconds,
            runtime: worker.runtime.clone(),
            gil_enabled: worker.gil_enabled,
            held_seconds: heartbeat.and_then(|heartbeat| heartbeat.held_seconds),
            flat_seconds: heartbeat.and_then(|heartbeat| heartbeat.flat_seconds),
            heartbeat_misses: heartbeat.map_or(0, |heartbeat| heartbeat.misses),
            unhealthy: unhealthy.map(|health| health.error.clone().unwrap_or_default()),
            recycling: worker.recycling.map(|reason| reason.name().to_owned()),
        }
    }
}
