//! The permits of a call: from the quarantine and from the circuit breakers.

use std::sync::Arc;

use tokio::time::Instant;

use super::journal::Progress;
use crate::call::CallOptions;
use crate::error::Error;
use crate::events::emit;
use crate::policy::{CallEvidence, Change, Permits};
use crate::pool::shared::Shared;
use crate::pool::state::Blamed;
use crate::value::Payload;

/// A permit of the circuit breakers for one call. Dropping it gives the permit back, whatever the
/// outcome of the call.
pub(super) struct BreakerPermit {
    shared: Arc<Shared>,
    tool: Arc<str>,
    permits: Permits,
    evidence: CallEvidence,
}

impl BreakerPermit {
    /// Gives a permit back, with the evidence of the call's result.
    pub(super) fn end(permit: Option<Self>, result: Result<(), &Error>) {
        if let Some(mut permit) = permit {
            permit.evidence = CallEvidence::of(result);
        }
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let changes = state.end_permit(self.permits, &self.tool, self.evidence, Instant::now());
        drop(state);
        for (change, tool) in [(changes.pool, None), (changes.tool, Some(&self.tool))] {
            self.shared.tell_circuit(change, tool);
        }
    }
}

impl Shared {
    /// Accepts `items` calls of a tool together, or rejects and counts them. `None` in a pool
    /// without breakers.
    pub(super) fn permit(
        self: &Arc<Self>,
        progress: &Progress,
        items: u64,
    ) -> Result<Option<BreakerPermit>, Error> {
        let tool = &progress.tool;
        if self.config.breaker.is_none() && self.config.tool_breaker.is_none() {
            return Ok(None);
        }
        let (admitted, changes) = self.lock().permit(tool, items, Instant::now());
        let refused = match admitted {
            Ok(permits) => {
                self.tell_circuit(changes.pool, None);
                self.tell_circuit(changes.tool, Some(tool));
                return Ok(Some(BreakerPermit {
                    shared: Arc::clone(self),
                    tool: Arc::clone(tool),
                    permits,
                    evidence: CallEvidence::Nothing,
                }));
            }
            Err(refused) => refused,
        };
        self.tell_circuit(changes.pool, None);
        let error = Error::CircuitOpen {
            pool: self.config.name.clone(),
            tool: refused.by_tool.then(|| tool.to_string()),
            retry_after: refused.retry_after,
        };
        self.tell_refused(progress, &error);
        Err(error)
    }

    /// Rejects and counts a call that has killed too many workers. Returns `true` if the call has
    /// to be isolated.
    pub(super) fn screen(
        &self,
        progress: &Progress,
        args: &Payload,
        options: &CallOptions,
        harmless: bool,
    ) -> Result<bool, Error> {
        if self.config.quarantine.is_none() {
            return Ok(false);
        }
        let tool = &progress.tool;
        let call = Blamed {
            fingerprint: options.fingerprint.as_deref(),
            tool,
            args,
            harmless,
        };
        let screened = self.lock().screen(call, Instant::now());
        screened.map_err(|retry_after| {
            let error = Error::Quarantined {
                pool: self.config.name.clone(),
                tool: tool.to_string(),
                retry_after,
            };
            self.tell_refused(progress, &error);
            error
        })
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
