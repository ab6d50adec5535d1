//! Values collected from the state of pools, workers and sessions.

use std::sync::Arc;

use snakepit_core::host_tools::HostState;
use snakepit_core::policy::CircuitState;
use snakepit_core::pool::{Pool, PoolState, Status, WorkerState, WorkerStatus};

use super::desc::{Families, Id, Labels};
use super::label;
use super::processes::Process;

/// Appends the values of a pool.
pub(super) fn pool(pool: &Pool, families: &mut Families) {
    let status = pool.status();
    let name: Arc<str> = status.pool.as_str().into();
    calls(&name, &status, families);
    capacity(&name, &status, families);
    let workers = pool.workers();
    states(&name, &workers, families);
    for one in workers
        .iter()
        .filter(|one| one.state != WorkerState::Starting)
    {
        worker(&name, one, families);
    }
}

/// Appends the values of sessions.
pub(super) fn state(state: &HostState, families: &mut Families) {
    let stats = state.sessions().stats();
    families.number(Id::Sessions, Labels::new(), stats.live as f64);
    families.number(Id::SessionBytes, Labels::new(), stats.bytes as f64);
}

fn calls(pool: &Arc<str>, status: &Status, families: &mut Families) {
    for (outcome, count) in [
        ("ok", status.succeeded),
        ("error", status.errors),
        ("rejected", status.saturated),
        ("queue_timeout", status.queue_timeouts),
        ("call_timeout", status.call_timeouts),
        ("cancelled", status.cancelled),
    ] {
        let labels = with(pool, "outcome", outcome);
        families.number(Id::Attempts, labels, count as f64);
    }
    let stops = &status.stops;
    for (step, count) in [
        ("flag", stops.flag),
        ("task", stops.task),
        ("exception", stops.exception),
        ("interrupt", stops.interrupt),
        ("again", stops.again),
        ("kill", stops.kill),
    ] {
        let labels = with(pool, "step", step);
        families.number(Id::Cancellations, labels, count as f64);
    }
    for (id, count) in [
        (Id::CallsQueued, status.queued),
        (Id::CallsRetried, status.retries),
        (Id::CallsQuarantined, status.quarantined),
        (Id::CallsCircuitOpen, status.circuit_open),
        (Id::StartFailures, status.start_failures),
        (Id::Restarts, status.restarts),
        (Id::RecycleFailures, status.recycle_failures),
        (Id::HeartbeatMisses, status.heartbeat_misses),
        (Id::HeartbeatKills, status.heartbeat_kills),
        (Id::HealthFailures, status.health_failures),
    ] {
        families.number(id, of(pool), count as f64);
    }
}

fn capacity(pool: &Arc<str>, status: &Status, families: &mut Families) {
    let used = status.in_flight.min(status.slots);
    for (state, slots) in [("used", used), ("free", status.slots - used)] {
        families.number(Id::Slots, with(pool, "state", state), slots as f64);
    }
    for (state, name) in [
        (CircuitState::Open, "open"),
        (CircuitState::HalfOpen, "half_open"),
    ] {
        let circuits = status.circuits.iter();
        let count = circuits.filter(|circuit| circuit.state == state).count();
        families.number(Id::Circuits, with(pool, "state", name), count as f64);
    }
    let ready = u64::from(status.state == PoolState::Ready);
    for (id, value) in [
        (Id::QueueLength, status.queue_depth as u64),
        (Id::QueueSize, status.queue_bytes as u64),
        (Id::WorkersTarget, status.workers as u64),
        (Id::PoolReady, ready),
    ] {
        families.number(id, of(pool), value as f64);
    }
}

fn states(pool: &Arc<str>, workers: &[WorkerStatus], families: &mut Families) {
    for (state, name) in [
        (WorkerState::Starting, "starting"),
        (WorkerState::Idle, "idle"),
        (WorkerState::Busy, "busy"),
        (WorkerState::Draining, "draining"),
        (WorkerState::Spare, "spare"),
    ] {
        let count = workers.iter().filter(|one| one.state == state).count();
        families.number(Id::Workers, with(pool, "state", name), count as f64);
    }
}

/// Appends the values of one worker. The number of its label's values is bounded, because a worker
/// that is gone has no values.
fn worker(pool: &Arc<str>, worker: &WorkerStatus, families: &mut Families) {
    let mut number = |id, value: f64| {
        families.number(id, with(pool, "worker", worker.id.as_str()), value);
    };
    let heartbeat = worker.heartbeat.as_ref();
    let held = heartbeat.and_then(|heartbeat| heartbeat.held_seconds);
    number(Id::WorkerCalls, worker.calls as f64);
    number(Id::WorkerLoad, worker.in_flight as f64);
    number(Id::WorkerAge, worker.age_seconds);
    number(Id::WorkerHeld, held.unwrap_or_default());
    if let Some(memory) = &worker.memory {
        number(Id::WorkerPss, memory.bytes as f64);
    }
    if let Some(process) = worker.pid.and_then(Process::read) {
        number(Id::ProcessCpu, process.cpu_seconds);
        number(Id::ProcessMemory, process.resident_bytes);
        number(Id::ProcessThreads, process.threads);
        number(Id::ProcessDescriptors, process.descriptors);
    }
}

fn of(pool: &Arc<str>) -> Labels {
    vec![label("pool", Arc::clone(pool))]
}

fn with(pool: &Arc<str>, name: &'static str, value: &str) -> Labels {
    vec![label("pool", Arc::clone(pool)), label(name, value)]
}
