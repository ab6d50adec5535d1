//! The passage of a call through the circuit breakers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::journal::Progress;
use super::shared::Shared;
use super::stats::Outcome;
use crate::error::Error;
use crate::events::emit;
use crate::policy::{Change, Permits, Verdict};

/// A permit for one call. Dropping this gives the permit back, however the call ended.
pub(super) struct Pass {
    shared: Arc<Shared>,
    tool: Arc<str>,
    permits: Permits,
    verdict: Verdict,
}

impl Pass {
    /// Ends the call.
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
        for (change, tool) in [(changes.pool, None), (changes.tool, Some(&self.tool))] {
            self.shared.tell_circuit(change, tool);
        }
    }
}

impl Shared {
    /// Accepts `items` calls of a tool together, or rejects and counts them. `None` in a pool
    /// without breakers.
    pub(super) fn pass(
        self: &Arc<Self>,
        progress: &Progress,
        items: u64,
    ) -> Result<Option<Pass>, Error> {
        let tool = &progress.tool;
        if self.config.breaker.is_none() && self.config.tool_breaker.is_none() {
            return Ok(None);
        }
        let mut state = self.lock();
        let (admitted, changes) = state.breakers.admit(tool, Instant::now());
        let refused = match admitted {
            Ok(permits) => {
                drop(state);
                self.tell_circuit(changes.pool, None);
                self.tell_circuit(changes.tool, Some(tool));
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
        self.tell_circuit(changes.pool, None);
        let error = Error::CircuitOpen {
            pool: self.config.name.clone(),
            tool: refused.by_tool.then(|| tool.to_string()),
            retry_after: refused.retry_after,
        };
        self.tell_refused(progress, &error);
        Err(error)
    }

    /// Reports that the quarantine or a circuit breaker rejected a call.
    pub(super) fn tell_refused(&self, progress: &Progress, error: &Error) {
        emit!(
            self.hub,
            CallRefused {
                pool: self.config.name.clone(),
                call: progress.call,
                tool: Arc::clone(&progress.tool),
                code: error.code().as_str(),
            }
        );
    }

    fn tell_circuit(&self, change: Option<Change>, tool: Option<&Arc<str>>) {
        let (pool, tool) = (|| self.config.name.clone(), || tool.cloned());
        match change {
            Some(Change::Opened) => {
                emit!(
                    self.hub,
                    CircuitOpened {
                        pool: pool(),
                        tool: tool()
                    }
                );
            }
            Some(Change::HalfOpened) => {
                emit!(
                    self.hub,
                    CircuitHalfOpen {
                        pool: pool(),
                        tool: tool()
                    }
                );
            }
            Some(Change::Closed) => {
                emit!(
                    self.hub,
                    CircuitClosed {
                        pool: pool(),
                        tool: tool()
                    }
                );
            }
            None => {}
        }
    }
}
