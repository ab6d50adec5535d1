//! The environment variables through which a host starts a worker: one table for writer and reader.
//!
//! All names begin with [`PREFIX`], which no user setting has. So a program that runs inside a
//! worker and uses snakepit itself can distinguish its own settings from those of the worker.

/// The beginning of every name in this table.
pub const PREFIX: &str = "SNAKEPIT_WORKER_";

/// Path of the host's Unix socket.
pub const LINK: &str = "SNAKEPIT_WORKER_LINK";

/// The worker's secret, 64 hexadecimal digits.
pub const TOKEN: &str = "SNAKEPIT_WORKER_TOKEN";

/// The worker id.
pub const ID: &str = "SNAKEPIT_WORKER_ID";

/// The adapter to load.
pub const ADAPTER: &str = "SNAKEPIT_WORKER_ADAPTER";

/// The number of slots.
pub const SLOTS: &str = "SNAKEPIT_WORKER_SLOTS";

/// Path of the Unix socket on which a worker that serves gRPC itself may listen.
pub const SOCKET: &str = "SNAKEPIT_WORKER_SOCKET";

/// Thread safety checks: `off`, `warn`, `report` or `strict`.
pub const THREAD_SAFETY_CHECKS: &str = "SNAKEPIT_WORKER_THREAD_SAFETY_CHECKS";

/// `1` if a worker does not start when a type hint of its adapter is not checked, `0` if it does.
/// Without it the worker reads the user's `SNAKEPIT_STRICT_HINTS`.
pub const STRICT_HINTS: &str = "SNAKEPIT_WORKER_STRICT_HINTS";

/// Number of concurrent calls on one event loop; 0 for one connection per slot.
pub const CONCURRENCY: &str = "SNAKEPIT_WORKER_CONCURRENCY";

/// Event loop: `auto`, `asyncio` or `uvloop`.
pub const EVENT_LOOP: &str = "SNAKEPIT_WORKER_EVENT_LOOP";

/// `1` if the worker ends with its host, otherwise `0`.
pub const DEPENDENT: &str = "SNAKEPIT_WORKER_DEPENDENT";

/// Limit of one payload in bytes, in both directions.
pub const MAX_PAYLOAD: &str = "SNAKEPIT_WORKER_MAX_PAYLOAD";

/// `1` if the host reads the level of lines that Python's `logging` writes.
pub const LOG_LEVELS: &str = "SNAKEPIT_WORKER_LOG_LEVELS";

/// The initial telemetry settings: a `TelemetrySettings` in hexadecimal digits. If it is not set,
/// the host accepts no records.
pub const TELEMETRY: &str = "SNAKEPIT_WORKER_TELEMETRY";

/// Process id of the host. The registry sets it for all processes that it starts.
pub const HOST_PID: &str = "SNAKEPIT_WORKER_HOST_PID";

/// Identity of the host, and its data directory. The registry writes and reads it.
pub const ORIGIN: &str = "SNAKEPIT_WORKER_ORIGIN";

/// The marks of the runs that a process belongs to. The registry writes and reads it.
pub const COOKIES: &str = "SNAKEPIT_WORKER_COOKIES";
