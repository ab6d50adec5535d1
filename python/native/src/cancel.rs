//! Cancellation: the steps that end the tool of a cancelled call.

pub(crate) mod async_exc;
pub(crate) mod cancelled;
pub(crate) mod escalation;
pub(crate) mod offspring;
pub(crate) mod signal;
