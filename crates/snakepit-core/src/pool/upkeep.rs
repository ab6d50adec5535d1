//! The tasks that look after the workers of a pool: its supervisor, the heartbeats and the health
//! checks. Nothing here knows how a call is made; [`event`](super::event) is what both speak.

pub(super) mod health;
pub(super) mod liveness;
mod orphaned;
mod past;
pub(super) mod supervisor;
