//! The end of a call: its span and its events.

use std::sync::Arc;

use tokio::time::Instant;

use super::{End, Progress, micros};
use crate::events::{Shown, emit};
use crate::open_span::{number, text};
use crate::pool::shared::Shared;
use crate::record::Attributes;

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
            let (pool, tool) = (pool.clone(), Arc::clone(&self.tool));
            let (call, attempts, worker) = (self.call.0, self.attempts, self.worker.clone());
            let (outcome, code) = (end.outcome, end.code);
            let items = (self.items != 1).then_some((self.items, end.failed));
            let taken = chunks.as_ref().map(|chunks| chunks.taken);
            let bytes = tool.len();
            let make = move || {
                let mut attributes = Attributes::with_capacity(8);
                attributes.extend([
                    text("snakepit.pool", &pool),
                    text("snakepit.tool", tool),
                    number("snakepit.call.id", call),
                    text("snakepit.outcome", outcome),
                    number("snakepit.queue.duration_us", queued_us),
                    number("snakepit.attempts", attempts.into()),
                ]);
                attributes.extend(worker.map(|worker| text("snakepit.worker", &worker)));
                attributes.extend(code.map(|code| text("error.type", code)));
                if let Some((items, failed)) = items {
                    attributes.push(number("snakepit.items", items));
                    attributes.push(number("snakepit.items.failed", failed));
                }
                attributes.extend(taken.map(|taken| number("snakepit.stream.chunks", taken)));
                let first = first_chunk_us.map(|us| number("snakepit.stream.first_chunk_us", us));
                attributes.extend(first);
                attributes
            };
            span.end(now, code, bytes, make);
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
