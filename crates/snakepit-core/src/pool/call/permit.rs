//! The permits of a call: from the quarantine and from the circuit breakers.

use std::sync::Arc;

use tokio::time::Instant;

use super::journal::Progress;
use crate::call::CallOptions;
use crate::error::Error;
use crate::events::emit;
use crate::policy::{BreakerPermit, CallEvidence, Change, Circuits, Permits};
use crate::pool::shared::Shared;
use crate::pool::state::Blamed;
use crate::value::Payload;

/// The permit of one call. `None` in a pool without breakers.
pub(super) type Permit = Option<BreakerPermit<Arc<Shared>>>;

/// Gives a permit back, with the evidence of the call's result.
pub(super) fn end(permit: Permit, result: Result<(), &Error>) {
    if let Some(permit) = permit {
        permit.end(result);
    }
}

impl Circuits for Arc<Shared> {
    fn end_permit(&self, permits: Permits, tool: &Arc<str>, evidence: CallEvidence) {
        let changes = self
            .lock()
            .end_permit(permits, tool, evidence, Instant::now());
        for (change, tool) in [(changes.pool, None), (changes.tool, Some(tool))] {
            self.report_circuit(change, tool);
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
    ) -> Result<Permit, Error> {
        let tool = &progress.tool;
        if self.config.breaker.is_none() && self.config.tool_breaker.is_none() {
            return Ok(None);
        }
        let (admitted, changes) = self.lock().permit(tool, items, Instant::now());
        self.report_circuit(changes.pool, None);
        let refused = match admitted {
            Ok(permits) => {
                self.report_circuit(changes.tool, Some(tool));
                return Ok(Some(BreakerPermit::new(Arc::clone(self), tool, permits)));
            }
            Err(refused) => refused,
        };
        let error = refused.error(&self.config.name, tool);
        self.report_refused(progress, &error);
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
            self.report_refused(progress, &error);
            error
        })
    }

    /// Reports that the quarantine or a circuit breaker rejected a call.
    pub(super) fn report_refused(&self, progress: &Progress, error: &Error) {
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

    fn report_circuit(&self, change: Option<Change>, tool: Option<&Arc<str>>) {
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
