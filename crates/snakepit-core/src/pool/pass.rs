//! A call's way through the circuit breakers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shared::Shared;
use super::stats::Outcome;
use crate::policy::{Change, Permits, Verdict};
use crate::{Error, event};

/// Leave for one call. However the call ends, dropping this gives the leave back.
pub(super) struct Pass {
    shared: Arc<Shared>,
    tool: Arc<str>,
    permits: Permits,
    verdict: Verdict,
}

impl Pass {
    /// The call is over.
    pub(super) fn end(mut self, result: Result<(), &Error>) {
        self.verdict = Verdict::of(result);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let now = Instant::now();
        let changes = state
            .breakers
            .end(self.permits, &self.tool, self.verdict, now);
        drop(state);
        for (change, tool) in [(changes.pool, None), (changes.tool, Some(&*self.tool))] {
            let pool = &self.shared.config.name;
            match change {
                Some(Change::Opened) => {
                    tracing::warn!(target: event::TARGET, event = event::CIRCUIT_OPENED, %pool, tool);
                }
                Some(Change::Closed) => {
                    tracing::info!(target: event::TARGET, event = event::CIRCUIT_CLOSED, %pool, tool);
                }
                None => {}
            }
        }
    }
}

impl Shared {
    /// Lets `items` calls of a tool through together, or refuses and counts them. A pool without breakers has no passes.
    pub(super) fn pass(
        self: &Arc<Self>,
        tool: &Arc<str>,
        items: u64,
    ) -> Result<Option<Pass>, Error> {
        if self.config.breaker.is_none() && self.config.tool_breaker.is_none() {
            return Ok(None);
        }
        let mut state = self.lock();
        let refused = match state.breakers.admit(tool, Instant::now()) {
            Ok(permits) => {
                return Ok(Some(Pass {
                    shared: Arc::clone(self),
                    tool: Arc::clone(tool),
                    permits,
                    verdict: Verdict::Nothing,
                }));
            }
            Err(refused) => refused,
        };
        state.stats.requests += items;
        state.stats.circuit_open += items;
        state.stats.record(Outcome::Error, items, Duration::ZERO);
        drop(state);
        tracing::debug!(target: event::TARGET, event = event::CALL_REFUSED, pool = %self.config.name, tool = &**tool);
        Err(Error::CircuitOpen {
            pool: self.config.name.clone(),
            tool: refused.by_tool.then(|| tool.to_string()),
            retry_after: refused.retry_after,
        })
    }
}
