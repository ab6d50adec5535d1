//! The modules of crates, and the edges between them.

/// The modules of one crate.
pub(super) struct Table {
    /// The source folder of the crate.
    pub(super) sources: &'static str,
    /// The modules, from the bottom, and what each may use. Every module may use the leaves.
    pub(super) edges: &'static [(&'static str, &'static [&'static str])],
    /// Modules of a few types that know no other, in the order in which they may use each other.
    pub(super) leaves: &'static [&'static str],
}

pub(super) const CORE: Table = Table {
    sources: "crates/snakepit-core/src/",
    edges: &[
        ("code", &[]),
        ("printable", &[]),
        ("id", &[]),
        ("config", &[]),
        ("runtime", &[]),
        ("value", &[]),
        ("events", &[]),
        ("schedule", &[]),
        ("state", &["value", "events"]),
        ("call", &["value", "events", "schedule", "state"]),
        ("error", &["value", "schedule", "state"]),
        ("host_tools", &["value", "events", "state", "call", "error"]),
        (
            "worker",
            &["value", "events", "call", "error", "host_tools"],
        ),
        ("policy", &["value", "schedule", "error"]),
        (
            "pool",
            &[
                "value", "events", "schedule", "state", "call", "error", "worker", "policy",
            ],
        ),
        ("service", &["value", "call", "error", "policy", "pool"]),
        (
            "testing",
            &["value", "schedule", "call", "error", "host_tools", "worker"],
        ),
    ],
    leaves: &["code", "printable", "id", "config", "runtime"],
};

/// The upper four modules know each other: a tool is bound for the loop that serves it, and its
/// calls are cancelled and observed while they run.
pub(super) const NATIVE: Table = Table {
    sources: "python/native/src/",
    edges: &[
        ("process", &[]),
        ("known", &["process", "link"]),
        ("codec", &["link"]),
        ("link", &["process", "codec", "cancel"]),
        ("cancel", &["process", "link", "serve"]),
        ("binding", &["codec", "cancel", "known", "serve"]),
        ("observe", &["process", "codec", "link", "cancel", "serve"]),
        (
            "serve",
            &[
                "process", "known", "codec", "link", "cancel", "binding", "observe",
            ],
        ),
    ],
    leaves: &[],
};
