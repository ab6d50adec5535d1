//! Environment variables for users, and the prefix of those for workers.

pub use snakepit_grpc::worker_env::PREFIX as WORKER_PREFIX;

/// Variable with the interpreter for pools that name none.
pub const PYTHON: &str = "SNAKEPIT_PYTHON";

/// Variable with the directory that contains the package `snakepit_bridge`.
pub const BRIDGE: &str = "SNAKEPIT_BRIDGE";

/// Variable with the data directory.
pub const DATA_DIR: &str = "SNAKEPIT_DATA_DIR";

/// Variable with the treatment of values that cannot be sent: `error` or `marker`.
pub const UNSERIALIZABLE: &str = "SNAKEPIT_UNSERIALIZABLE";

/// Rejects (`1`) or accepts (`0`) tools with type hints that cannot be checked, in pools without a
/// setting.
pub const STRICT_HINTS: &str = "SNAKEPIT_STRICT_HINTS";

/// Variables that workers read themselves. They are passed from the host's environment to its
/// workers, and an entry in a pool's `env` overrides them.
pub const WORKER_SETTINGS: [&str; 5] = [
    STRICT_HINTS,
    UNSERIALIZABLE,
    "SNAKEPIT_UNSERIALIZABLE_DETAIL",
    "SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN",
    "SNAKEPIT_TOLIST_MAX_ELEMENTS",
];
