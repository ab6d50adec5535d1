//! Policies that keep faults from spreading: pure state machines that the pool drives, without clock, threads or waiting.

mod breaker;
mod breakers;
mod death;
mod quarantine;
mod retry;

pub use breaker::{BreakerPolicy, CircuitState};
pub(crate) use breaker::{Change, Verdict};
pub use breakers::Circuit;
pub(crate) use breakers::{Breakers, Permits};
pub use death::{Death, ExitStatus};
pub(crate) use quarantine::Quarantine;
pub use quarantine::QuarantinePolicy;
pub(crate) use retry::RetryBudget;
pub use retry::RetryPolicy;
