//! The request that is sent to a worker.

use std::sync::Arc;

use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use crate::call::{CallOptions, Request};
use crate::value::Payload;

/// Builds the request for the slot of this lease.
pub(super) fn request(
    limits: &Limits,
    progress: &Progress,
    args: Payload,
    options: &CallOptions,
    lease: &Lease,
) -> Request {
    let early = lease.early.as_ref();
    Request {
        call: early.map_or_else(|| progress.attempt(), |early| early.call),
        number: progress.call,
        tool: Arc::clone(&progress.tool),
        args,
        session: options.session.clone(),
        hold: options.hold.clone(),
        deadline: limits.call.map(|(at, _)| at),
        at: lease.since().unwrap_or_else(|| limits.from()),
        chain: lease.chain(&options.chain),
        trace: progress.trace(),
        trace_state: progress.trace_state().clone(),
        correlation: options.correlation.clone(),
    }
}
