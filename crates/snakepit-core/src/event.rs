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
/// A call was refused because the queue is full. Fields: `pool`, `queued`.
pub const POOL_SATURATED: &str = "pool.saturated";
/// A pool stops starting workers for a while. Fields: `pool`, `error`.
pub const POOL_GAVE_UP: &str = "pool.gave_up";
/// A pool is closed. Fields: `pool`.
pub const POOL_CLOSED: &str = "pool.closed";
/// A call has a slot. Fields: `pool`, `worker`, `slot`, `call`, `tool`.
pub const CALL_DISPATCHED: &str = "call.dispatched";
/// A call timed out or was dropped while a worker had it; its slot stays taken until the tool ends. Fields: `pool`, `worker`, `call`.
pub const CALL_ABANDONED: &str = "call.abandoned";
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
/// A worker did not give a cancelled call up in time and is killed. Fields: `pool`, `worker`, `call`.
pub const WORKER_KILLED: &str = "worker.killed";
