//! Names of the events and fields that pools emit through `tracing`.
//!
//! Each event has the target [`TARGET`] or [`STATE`] and carries its name in the field `event`; the names never change their meaning.

/// Target of everything that this crate emits.
pub const TARGET: &str = "snakepit::pool";

/// Target of what sessions and host tools emit.
pub const STATE: &str = "snakepit::state";

/// A session was created. Fields: `session`, `generation`.
pub const SESSION_CREATED: &str = "session.created";
/// A session ended. Fields: `session`, `generation`, `why`.
pub const SESSION_ENDED: &str = "session.ended";
/// A variable was registered, set or deleted. Fields: `session`, `variable`, `change`, `version`, `origin`.
pub const VARIABLE_CHANGED: &str = "variable.changed";
/// A watcher was too slow and missed changes. Fields: `session`, `missed`.
pub const WATCH_LAGGED: &str = "watch.lagged";
/// A host tool ended. Fields: `tool`, `ok`, `micros`, `depth`.
pub const HOST_TOOL_CALLED: &str = "host_tool.called";
/// A pool begins to start its workers. Fields: `pool`, `workers`.
pub const POOL_INIT_STARTED: &str = "pool.init_started";
/// All workers of a pool are ready for the first time. Fields: `pool`, `workers`.
pub const POOL_INIT_COMPLETE: &str = "pool.init_complete";
/// A worker is ready. Fields: `pool`, `worker`.
pub const WORKER_READY: &str = "pool.worker_ready";
/// A call was not let into the queue. Fields: `pool`, `queued`, `bound` (the setting), `retry_ms`.
pub const POOL_SATURATED: &str = "pool.saturated";
/// A pool changes its number of workers by itself. Fields: `pool`, `from`, `to`, `reason` (of `ScaleReason`).
pub const POOL_SCALED: &str = "pool.scaled";
/// A spare worker gets calls from now on. Fields: `pool`, `worker`.
pub const POOL_SPARE_USED: &str = "pool.spare_used";
/// A pool stops starting workers for a while. Fields: `pool`, `error`.
pub const POOL_GAVE_UP: &str = "pool.gave_up";
/// A pool is closed. Fields: `pool`.
pub const POOL_CLOSED: &str = "pool.closed";
/// A call has a slot. Fields: `pool`, `worker`, `slot`, `call`, `tool`.
pub const CALL_DISPATCHED: &str = "call.dispatched";
/// A call has killed too many workers and is refused from now on. Fields: `pool`, `worker`, `tool`, `reason`.
pub const CALL_QUARANTINED: &str = "call.quarantined";
/// A call that may have killed a worker together with others has one for itself. Fields: `pool`, `worker`, `tool`.
pub const CALL_ISOLATED: &str = "call.isolated";
/// A call was refused by the quarantine or a circuit breaker. Fields: `pool`, `tool`.
pub const CALL_REFUSED: &str = "call.refused";
/// A worker has given a call back that it had not begun, and the call is made elsewhere. Fields: `pool`, `tool`.
pub const CALL_GIVEN_BACK: &str = "call.given_back";
/// A call is made again. Fields: `pool`, `tool`, `retry`, `error`.
pub const CALL_RETRIED: &str = "call.retried";
/// Workers failed too often: calls are refused for a while. Fields: `pool`, `tool` where it is about one.
pub const CIRCUIT_OPENED: &str = "circuit.opened";
/// Workers answer again. Fields: `pool`, `tool` where it is about one.
pub const CIRCUIT_CLOSED: &str = "circuit.closed";
/// A call timed out while a worker had it. Fields: `pool`, `worker`, `call`, `tool`, and `stacks`, the worker's threads as text, if it
/// could tell.
pub const CALL_TIMED_OUT: &str = "call.timed_out";
/// A call timed out or was dropped while a worker had it; its slot stays taken until the tool ends. Fields: `pool`, `worker`, `call`.
pub const CALL_ABANDONED: &str = "call.abandoned";
/// The tool of an abandoned call has ended. Fields: `pool`, `worker`, `call`, `step` (of `StopStep`), `micros` since it was abandoned.
pub const CALL_STOPPED: &str = "call.stopped";
/// A call is over. Fields: `pool`, `worker`, `ok`, `micros`.
pub const REQUEST_EXECUTED: &str = "request.executed";
/// A worker is being started. Fields: `pool`, `worker`.
pub const WORKER_SPAWNED: &str = "worker.spawned";
/// A worker did not start. Fields: `pool`, `worker`, `error`.
pub const WORKER_START_FAILED: &str = "worker.start_failed";
/// A worker is gone. Fields: `pool`, `worker`, `reason`, `expected`.
pub const WORKER_TERMINATED: &str = "worker.terminated";
/// A worker is started in place of one that died. Fields: `pool`, `worker`.
pub const WORKER_RESTARTED: &str = "worker.restarted";
/// A worker is replaced although it lives, and gets no more calls. Fields: `pool`, `worker`, `reason`, `replacement`, `uptime_seconds`,
/// `request_count`.
pub const WORKER_RECYCLED: &str = "worker.recycled";
/// The replacement of a worker did not start; the worker goes on. Fields: `pool`, `worker`, `reason`, `error`, `retry_seconds`.
pub const WORKER_RECYCLE_FAILED: &str = "worker.recycle_failed";
/// A worker is ended because its last calls did not end in time after it was replaced. Fields: `pool`, `worker`.
pub const WORKER_DRAIN_EXPIRED: &str = "worker.drain_expired";
/// A worker ended while the `cleanup` of one of its adapters ran. Fields: `pool`, `worker`, `adapter`, `reason`, `grace_seconds`.
pub const WORKER_CLEANUP_CUT: &str = "worker.cleanup_cut";
/// A worker did not give a cancelled call up in time: it gets no more calls, and is killed when its others are over. Fields: `pool`,
/// `worker`, `call`.
pub const WORKER_STUCK: &str = "worker.stuck";
/// A worker did not give a cancelled call up in time and is killed. Fields: `pool`, `worker`, `call`, and `stacks`, its threads as
/// text, if it could tell.
pub const WORKER_KILLED: &str = "worker.killed";
/// A worker did not give a sign of life in time. Fields: `pool`, `worker`, `misses` in a row, `busy`.
pub const HEARTBEAT_MISSED: &str = "heartbeat.missed";
/// A worker that had missed heartbeats answers again. Fields: `pool`, `worker`, `misses`.
pub const HEARTBEAT_RECOVERED: &str = "heartbeat.recovered";
/// This process itself was late, so the signs of life of this round do not count. Fields: `pool`, `late_seconds`.
pub const HEARTBEAT_DISCARDED: &str = "heartbeat.discarded";
/// An idle worker does not answer any more: it gets no calls, is killed and replaced. Fields: `pool`, `worker`, `misses`, `stacks`.
pub const WORKER_SUSPECT: &str = "worker.suspect";
/// A worker with a call is out of reach: it gets no further calls until it answers. Fields: `pool`, `worker`, `misses`, `held_seconds`.
pub const WORKER_QUIET: &str = "worker.quiet";
/// A worker with a call uses no CPU time; told once, until it does again or the call is over. Fields: `pool`, `worker`, `flat_seconds`,
/// `held_seconds`, `misses`.
pub const WORKER_STALLED: &str = "worker.stalled";
/// A worker is killed with its call. Fields: `pool`, `worker`, `cause` (`stalled` or `overdue`), `flat_seconds`, `stacks`.
pub const WORKER_CONDEMNED: &str = "worker.condemned";
/// A health check of a worker failed. Fields: `pool`, `worker`, `check`, `failures` in a row, `seconds` that it took, `error`.
pub const HEALTH_FAILED: &str = "worker.health_check_failed";
/// The health checks of a worker are well again. Fields: `pool`, `worker`, `failures` before.
pub const HEALTH_RECOVERED: &str = "worker.health_check_recovered";
/// An import has switched the global lock of a free-threaded interpreter on, for as long as the worker lives. Fields: `pool`, `worker`, `module`.
pub const WORKER_GIL_ENABLED: &str = "worker.gil_enabled";
