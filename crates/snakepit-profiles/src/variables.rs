//! The environment variables that belong to users, and the prefix of those that belong to workers.

pub use snakepit_grpc::worker_env::PREFIX as WORKER_PREFIX;

/// Names the interpreter of all pools that name none.
pub const PYTHON: &str = "SNAKEPIT_PYTHON";

/// Names the directory that holds the package `snakepit_bridge`.
pub const BRIDGE: &str = "SNAKEPIT_BRIDGE";

/// Names the data directory.
pub const DATA_DIR: &str = "SNAKEPIT_DATA_DIR";

/// Says what happens to values that cannot be sent: `error` or `marker`.
pub const UNSERIALIZABLE: &str = "SNAKEPIT_UNSERIALIZABLE";

/// The settings that workers read by themselves. They pass from the environment of the host to that
/// of its workers, and an entry in `env` of a pool replaces them.
pub const WORKER_SETTINGS: [&str; 4] = [
    UNSERIALIZABLE,
    "SNAKEPIT_UNSERIALIZABLE_DETAIL",
    "SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN",
    "SNAKEPIT_TOLIST_MAX_ELEMENTS",
];
