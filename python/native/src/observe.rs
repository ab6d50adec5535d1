//! The worker as others see it: stacks, profiles, spans and records.

pub(crate) mod gil;
pub(crate) mod names;
pub(crate) mod probe;
pub(crate) mod profile;
pub(crate) mod snapshot;
pub(crate) mod span;
pub(crate) mod stacks;
pub(crate) mod telemetry;
pub(crate) mod traceback;
