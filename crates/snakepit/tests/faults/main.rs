//! Faults, one test for each: what is done to hosts and workers, and what must hold then.
#![cfg(all(feature = "process", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the subject reports events on stdout, a skipped row its reason on stderr"
)]

mod calls;
mod degraded;
mod host_death;
mod links;
mod oracle;
mod random_kill;
mod record;
mod script;
mod shutdown;
mod starts;
mod subject;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod support;
