//! The end of a call: its span and its events.

use std::sync::Arc;

use tokio::time::Instant;

use super::{End, Progress, micros};
use crate::events::open_span::{CallEnding, Ending};
use crate::events::{Shown, emit};
use crate::pool::shared::Shared;

impl Progress {
    /// Reports the end.
    #[inline(never)]
    pub(super) fn over(&mut self, shared: &Shared, end: &End, now: Instant) {
        self.leave_queue(end.code);
        let duration_us = micros(now.saturating_duration_since(self.begun));
        let queued_us = micros(self.queued);
        let pool = &shared.config.name;
        let chunks = self.chunks.take();
        let first_chunk_us = chunks.as_ref().and_then(|chunks| chunks.first).map(micros);
        if let Some(span) = self.traced.span.take() {
            let ending = Ending::Call(CallEnding {
                pool: pool.clone(),
                tool: Arc::clone(&self.tool),
                call: self.call.0,
                outcome: end.outcome,
                code: end.code,
                queued_us,
                attempts: self.attempts,
                worker: self.worker.clone(),
                items: (self.items != 1).then_some((self.items, end.failed)),
                chunks: chunks.as_ref().map(|chunks| chunks.taken),
                first_chunk_us,
            });
            span.end(now, end.code, ending);
        }
        if let (Some(chunks), Some(worker)) = (chunks, &self.worker) {
            emit!(
                shared.hub,
                StreamEnded {
                    pool: pool.clone(),
                    worker: worker.clone(),
                    call: self.call,
                    tool: Arc::clone(&self.tool),
                    outcome: end.outcome,
                    chunks: chunks.taken,
                    first_chunk_us,
                    duration_us: micros(now.saturating_duration_since(chunks.since)),
                }
            );
        }
        emit!(
            shared.hub,
            CallCompleted {
                pool: pool.clone(),
                worker: self.worker.take(),
                call: self.call,
                tool: Arc::clone(&self.tool),
                outcome: end.outcome,
                code: end.code,
                items: self.items,
                failed: end.failed,
                attempts: self.attempts,
                sent_bytes: self.sent,
                received_bytes: self.received,
                queued_us,
                duration_us,
                trace: self.traced.context.map(Shown),
            }
        );
    }
}
