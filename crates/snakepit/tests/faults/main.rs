//! Faults of hosts and workers, one test for each, and the promises that must hold.
#![cfg(all(feature = "process", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the subject reports events on stdout, a skipped row its reason on stderr"
)]

mod callbacks;
mod calls;
mod clock;
mod copied;
mod degraded;
#[cfg(feature = "cli")]
mod foreign;
mod held;
mod host_death;
mod links;
mod liveness;
mod load;
mod log_sink;
mod many;
mod oracle;
mod oracle_tests;
mod overload;
mod poison;
mod proxy;
mod random;
mod random_kill;
mod record;
mod recycle;
mod resources;
mod scenario;
mod schedules;
mod script;
mod secrets;
mod shutdown;
mod signals;
mod soak;
mod starts;
mod strict;
mod subject;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod support;
mod threads;
mod transport;
