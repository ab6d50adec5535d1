//! The reports of a call's journal to the observer of its pool.

use tokio::time::Instant;

use super::{End, Progress};
use crate::call::{CallObserver, EndedCall, Request, SentCall};
use crate::pool::call::lease::Lease;

impl Progress {
    /// Reports to the observer that the call is sent to the worker of this lease, with `bytes`
    /// bytes of arguments.
    pub(super) fn observe_sent(
        &mut self,
        observer: &dyn CallObserver,
        request: &Request,
        lease: &Lease,
        bytes: u64,
    ) {
        self.mark = Some(observer.sent(&SentCall {
            call: self.call,
            attempt: request.call,
            tool: &self.tool,
            session: request.session.as_ref(),
            worker: Some(lease.id()),
            slot: lease.slot(),
            caller: request.chain.caller(),
            begun: self.begun,
            at: lease.since().unwrap_or(self.begun),
            deadline: request.deadline,
            queued: self.queued,
            bytes,
            items: self.items,
            mark: self.mark,
        }));
    }

    /// Reports the end, which is `now`, to the observer.
    pub(super) fn observe_end(&self, observer: &dyn CallObserver, end: &End, now: Instant) {
        let waits = self.waits.map(|since| now.saturating_duration_since(since));
        observer.ended(&EndedCall {
            call: self.call,
            tool: &self.tool,
            begun: self.begun,
            at: now,
            queued: self.queued + waits.unwrap_or_default(),
            outcome: end.outcome,
            code: end.code,
            attempts: self.attempts,
            bytes: self.received,
            items: self.items,
            mark: self.mark,
        });
    }
}
