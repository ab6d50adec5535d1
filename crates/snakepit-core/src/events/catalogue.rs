//! The catalogue of events.

use std::sync::Arc;

use super::field::Shown;
use super::macros::events;
use crate::events::TraceContext;
use crate::id::{CallId, PoolName, SessionId, WorkerId};

events! {
    /// A pool starts its first workers.
    PoolInitStarted "pool.init_started" DEBUG { pool: PoolName, workers: u64 }
    /// All workers of a pool are ready for the first time.
    PoolInitComplete "pool.init_complete" INFO { pool: PoolName, workers: u64, duration_ms: u64 }
    /// A call was rejected because the queue is full.
    PoolSaturated "pool.saturated" DEBUG {
        pool: PoolName, bound: &'static str, queue_size: u64, max_queue_size: u64, available_workers: u64, busy_workers: u64,
        retry_after_ms: u64,
    }
    /// A call took the last free slot of a pool, or was rejected while all were taken (`rejected`).
    PoolCapacityReached "pool.capacity_reached" TRACE { pool: PoolName, capacity: u64, load: u64, rejected: bool }
    /// The autoscaler of a pool changes its number of workers.
    PoolScaled "pool.scaled" INFO { pool: PoolName, from: u64, to: u64, reason: &'static str }
    /// A spare worker replaces another one and receives calls.
    PoolSpareUsed "pool.spare_used" INFO { pool: PoolName, worker: WorkerId }
    /// A pool stops starting workers for a while.
    PoolGaveUp "pool.gave_up" ERROR { pool: PoolName, error: String }
    /// A pool is closed.
    PoolClosed "pool.closed" INFO { pool: PoolName }

    /// A call waits for a slot.
    CallQueued "call.queued" TRACE { pool: PoolName, call: CallId, tool: Arc<str>, session: Option<SessionId>, queue_size: u64 }
    /// A call has a slot and is sent to its worker; `queued` if it waited. Emitted again for
    /// each further attempt.
    CallDispatched "call.dispatched" TRACE {
        pool: PoolName, worker: WorkerId, slot: u16, call: CallId, tool: Arc<str>, attempt: u32, queued: bool, queued_us: u64,
    }
    /// A call is over for its caller. Emitted exactly once for each call, however it ended, and
    /// once for each batch of `execute_many`.
    CallCompleted "call.completed" TRACE {
        pool: PoolName, worker: Option<WorkerId>, call: CallId, tool: Arc<str>, outcome: &'static str, code: Option<&'static str>,
        items: u64, failed: u64, attempts: u32, sent_bytes: u64, received_bytes: u64, queued_us: u64, duration_us: u64,
        trace: Option<Shown<TraceContext>>,
    }
    /// A call timed out on a worker.
    CallTimedOut "call.timed_out" DEBUG { pool: PoolName, worker: WorkerId, call: CallId, tool: Arc<str>, stacks: Option<String> }
    /// A caller no longer waits for its call; the slot stays taken until the tool ends.
    CallAbandoned "call.abandoned" DEBUG { pool: PoolName, worker: WorkerId, call: CallId }
    /// The tool of an abandoned call has ended.
    CallStopped "call.stopped" DEBUG { pool: PoolName, worker: WorkerId, call: CallId, step: &'static str, duration_us: u64 }
    /// A worker returned a call that it had not started; another worker gets it.
    CallRecalled "call.recalled" DEBUG { pool: PoolName, call: CallId, tool: Arc<str> }
    /// A call that may have caused the death of a worker is retried alone on a worker.
    CallIsolated "call.isolated" DEBUG { pool: PoolName, worker: WorkerId, call: CallId, tool: Arc<str> }
    /// A call has killed too many workers and is rejected for a while.
    CallQuarantined "call.quarantined" WARN { pool: PoolName, worker: WorkerId, tool: Arc<str>, reason: String }
    /// The quarantine or a circuit breaker rejected a call.
    CallRefused "call.refused" DEBUG { pool: PoolName, call: CallId, tool: Arc<str>, code: &'static str }

    /// A stream began: its worker accepted the call.
    StreamStarted "stream.started" TRACE { pool: PoolName, worker: WorkerId, call: CallId, tool: Arc<str> }
    /// A stream is over.
    StreamEnded "stream.ended" TRACE {
        pool: PoolName, worker: WorkerId, call: CallId, tool: Arc<str>, outcome: &'static str, chunks: u64, first_chunk_us: Option<u64>,
        duration_us: u64,
    }

    /// A call is retried.
    RetryAttempt "retry.attempt" DEBUG {
        pool: PoolName, call: CallId, tool: Arc<str>, attempt: u32, wait_ms: u64, code: &'static str, error: String,
    }
    /// A call succeeded after a retry.
    RetrySuccess "retry.success" DEBUG { pool: PoolName, call: CallId, tool: Arc<str>, attempt: u32 }
    /// A call is not retried: its attempts, its time or the retry budget of its pool is used up.
    RetryExhausted "retry.exhausted" INFO {
        pool: PoolName, call: CallId, tool: Arc<str>, attempt: u32, reason: &'static str, code: &'static str,
    }
    /// A circuit breaker opened: calls are rejected for a while.
    CircuitOpened "circuit.opened" WARN { pool: PoolName, tool: Option<Arc<str>> }
    /// A circuit breaker accepts trial calls.
    CircuitHalfOpen "circuit.half_open" INFO { pool: PoolName, tool: Option<Arc<str>> }
    /// A circuit breaker closed: workers answer again.
    CircuitClosed "circuit.closed" INFO { pool: PoolName, tool: Option<Arc<str>> }

    /// A worker is being started.
    WorkerSpawned "worker.spawned" DEBUG { pool: PoolName, worker: WorkerId }
    /// A worker is ready for calls.
    WorkerStarted "worker.started" DEBUG {
        pool: PoolName, worker: WorkerId, pid: Option<u32>, startup_ms: u64, profile: &'static str, capacity: u64,
    }
    /// A worker did not start.
    WorkerStartFailed "worker.start_failed" WARN { pool: PoolName, worker: WorkerId, error: String }
    /// A worker died unexpectedly.
    WorkerCrashed "worker.crashed" WARN { pool: PoolName, worker: WorkerId, exit: String, cause: &'static str, total_calls: u64 }
    /// A worker is gone; `planned` if the host had ended it.
    WorkerTerminated "worker.terminated" INFO {
        pool: PoolName, worker: WorkerId, reason: String, planned: bool, lifetime: f64, total_calls: u64,
    }
    /// A worker is started in place of one that died.
    WorkerRestarted "worker.restarted" DEBUG { pool: PoolName, worker: WorkerId }
    /// A worker is replaced: it receives no further calls. With the reason `worker_died` it has
    /// ended already.
    WorkerRecycled "worker.recycled" INFO {
        pool: PoolName, worker: WorkerId, reason: &'static str, replacement: Option<WorkerId>, uptime_seconds: f64, request_count: u64,
        memory_bytes: Option<u64>,
    }
    /// The replacement of a worker did not start; the worker stays in service.
    WorkerRecycleFailed "worker.recycle_failed" WARN {
        pool: PoolName, worker: WorkerId, reason: &'static str, error: String, retry_after_ms: u64,
    }
    /// A replaced worker is ended because its last calls did not end in time.
    WorkerDrainExpired "worker.drain_expired" WARN { pool: PoolName, worker: WorkerId }
    /// The `cleanup` of an adapter was cut short; it has `stop_grace` to end.
    WorkerCleanupCut "worker.cleanup_cut" WARN {
        pool: PoolName, worker: WorkerId, adapter: String, reason: String, grace_seconds: f64,
    }
    /// A worker did not stop a cancelled call in time; it drains so that its other calls can end.
    WorkerStuck "worker.stuck" WARN { pool: PoolName, worker: WorkerId, call: CallId }
    /// A worker did not stop a cancelled call in time and is killed.
    WorkerKilled "worker.killed" WARN { pool: PoolName, worker: WorkerId, call: CallId, stacks: Option<String> }
    /// An idle worker does not answer: it is killed and replaced.
    WorkerUnresponsive "worker.unresponsive" WARN { pool: PoolName, worker: WorkerId, misses: u32, stacks: Option<String> }
    /// A busy worker does not answer heartbeats: it receives no further calls until it answers.
    WorkerQuiet "worker.quiet" WARN { pool: PoolName, worker: WorkerId, misses: u32, held_seconds: f64 }
    /// A busy worker uses no CPU time.
    WorkerStalled "worker.stalled" INFO { pool: PoolName, worker: WorkerId, flat_seconds: f64, held_seconds: f64, misses: u32 }
    /// A worker is killed together with its call.
    WorkerCondemned "worker.condemned" WARN {
        pool: PoolName, worker: WorkerId, cause: &'static str, flat_seconds: f64, stacks: Option<String>,
    }
    /// A health check of a worker failed.
    WorkerHealthCheckFailed "worker.health_check_failed" WARN {
        pool: PoolName, worker: WorkerId, check: Arc<str>, failures: u32, duration_ms: u64, reason: String,
    }
    /// The health checks of a worker succeed again.
    WorkerHealthCheckRecovered "worker.health_check_recovered" INFO { pool: PoolName, worker: WorkerId, failures: u32 }
    /// An import switched the GIL on: the slots of this worker now take turns.
    WorkerGilEnabled "worker.gil_enabled" WARN { pool: PoolName, worker: WorkerId, module: String }

    /// The heartbeat monitor of a pool has started.
    HeartbeatMonitorStarted "heartbeat.monitor_started" DEBUG { pool: PoolName, interval_ms: u64, timeout_ms: u64 }
    /// The heartbeat monitor of a pool has stopped.
    HeartbeatMonitorStopped "heartbeat.monitor_stopped" DEBUG { pool: PoolName }
    /// A heartbeat was sent to a worker.
    HeartbeatPingSent "heartbeat.ping_sent" TRACE { pool: PoolName, worker: WorkerId }
    /// A worker answered a heartbeat.
    HeartbeatPongReceived "heartbeat.pong_received" TRACE { pool: PoolName, worker: WorkerId, latency_us: u64 }
    /// A worker did not answer a heartbeat in time.
    HeartbeatMissed "heartbeat.missed" DEBUG { pool: PoolName, worker: WorkerId, misses: u32, busy: bool }
    /// A worker that had missed heartbeats answers again.
    HeartbeatRecovered "heartbeat.recovered" INFO { pool: PoolName, worker: WorkerId, misses: u32 }
    /// The host itself was late, so this round of heartbeats does not count.
    HeartbeatDiscarded "heartbeat.discarded" INFO { pool: PoolName, late_seconds: f64 }

    /// A session was created.
    SessionCreated "session.created" TRACE { session: SessionId, generation: u64 }
    /// A session was used: by a call, or by an access to its state.
    SessionAccessed "session.accessed" TRACE { session: SessionId, generation: u64 }
    /// A session expired.
    SessionExpired "session.expired" DEBUG { session: SessionId, generation: u64, lifetime_seconds: f64 }
    /// A session was deleted, or ended with its host (reason `deleted` or `closed`).
    SessionDeleted "session.deleted" TRACE { session: SessionId, generation: u64, lifetime_seconds: f64, reason: &'static str }
    /// A sweep removed expired sessions.
    SessionPruned "session.pruned" DEBUG { removed: u64, remaining: u64 }
    /// The number of sessions is near its limit.
    SessionAccumulationWarning "session.accumulation_warning" WARN { sessions: u64, limit: u64, ratio: f64 }
    /// A watcher of a session was too slow and missed changes.
    WatchLagged "watch.lagged" WARN { session: SessionId, missed: u64 }
    /// A variable was registered, set or deleted.
    VariableChanged "variable.changed" TRACE {
        session: SessionId, variable: Arc<str>, change: &'static str, version: u64, origin: Shown<String>,
    }
    /// A program was stored.
    ProgramStored "program.stored" TRACE { session: Option<SessionId>, program: Arc<str>, bytes: u64 }
    /// A program was retrieved.
    ProgramRetrieved "program.retrieved" TRACE { session: Option<SessionId>, program: Arc<str> }
    /// A program was deleted.
    ProgramDeleted "program.deleted" TRACE { session: Option<SessionId>, program: Arc<str> }
    /// A host tool starts.
    HostToolStarted "host_tool.started" TRACE { tool: Arc<str>, session: Option<SessionId>, depth: u32 }
    /// A host tool ended.
    HostToolCompleted "host_tool.completed" TRACE {
        tool: Arc<str>, session: Option<SessionId>, depth: u32, outcome: &'static str, code: Option<&'static str>, duration_us: u64,
    }
    /// A value that cannot be serialized was replaced by a marker; once for each type in each
    /// worker.
    SerializationMarker "serialization.marker" DEBUG { pool: PoolName, worker: WorkerId, call: Option<CallId>, python_type: Arc<str> }
    /// Telemetry records of a worker were dropped; for each `reason` that the metric
    /// `snakepit.telemetry.dropped` has, one event.
    TelemetryDropped "telemetry.dropped" DEBUG { pool: PoolName, worker: WorkerId, records: u64, reason: &'static str }

    /// A client requested an action through the admin socket: `recycle`, `drain` or
    /// `cancel`.
    AdminAction "admin.action" INFO {
        pool: PoolName, worker: WorkerId, call: Option<CallId>, action: &'static str, peer_pid: Option<u32>,
    }

    /// A clean-up starts: of processes left by dead hosts, or of those left by this run.
    CleanupStart "cleanup.start" DEBUG { run: String, phase: &'static str }
    /// The clean-up is complete: all processes that it had to end have ended.
    CleanupSuccess "cleanup.success" DEBUG { run: String, phase: &'static str, count: u64, duration_ms: u64 }
    /// The clean-up killed processes that did not die in time.
    CleanupTimeout "cleanup.timeout" ERROR { run: String, phase: &'static str, remaining: u64 }
    /// Processes of a dead host were found.
    OrphansFound "orphans.found" WARN { run: String, count: u64 }
    /// Processes of a dead host were killed.
    OrphansKilled "orphans.killed" WARN { run: String, count: u64 }
    /// A script has ended, or a signal ends it: its shutdown starts.
    ScriptShutdownStart "script.shutdown.start" DEBUG { run: String, cause: &'static str }
    /// The pools of a script are being stopped.
    ScriptShutdownStop "script.shutdown.stop" DEBUG { run: String }
    /// The clean-up after a script.
    ScriptShutdownCleanup "script.shutdown.cleanup" DEBUG { run: String, remaining: u64 }
    /// A script exits.
    ScriptShutdownExit "script.shutdown.exit" DEBUG { run: String, status: i32, duration_ms: u64 }
}
