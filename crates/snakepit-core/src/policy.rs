//! Policies that keep faults from spreading: pure state machines that the pool drives, without
//! clock, threads or waiting.

mod autoscale;
mod breaker;
mod breakers;
pub(crate) mod liveness;
mod permit;
mod quarantine;
mod retry;

pub(crate) use autoscale::{Autoscale, Seen};
pub use autoscale::{AutoscalePolicy, ScaleReason};
pub use breaker::{BreakerPolicy, CircuitState};
pub(crate) use breaker::{CallEvidence, Change};
pub use breakers::Circuit;
pub(crate) use breakers::{Breakers, Changes, Permits, Refused};
pub(crate) use permit::{BreakerPermit, Circuits};
pub use quarantine::QuarantinePolicy;
pub(crate) use quarantine::{Fingerprint, Quarantine, Standing};
pub use retry::RetryPolicy;
pub(crate) use retry::{Retries, RetryBudget, RetryDecision};
