//! A permit of circuit breakers, given back by its guard.

use std::sync::Arc;

use super::{CallEvidence, Permits};
use crate::error::Error;

/// An owner of circuit breakers: a pool, or a layer.
pub(crate) trait Circuits {
    /// Gives a permit for a call of this tool back, with the evidence of the call.
    fn end_permit(&self, permits: Permits, tool: &Arc<str>, evidence: CallEvidence);
}

/// A permit of circuit breakers for one call. Dropping it gives the permit back, whatever the
/// outcome of the call.
pub(crate) struct BreakerPermit<C: Circuits> {
    circuits: C,
    tool: Arc<str>,
    permits: Permits,
    evidence: CallEvidence,
}

impl<C: Circuits> BreakerPermit<C> {
    pub(crate) fn new(circuits: C, tool: &Arc<str>, permits: Permits) -> Self {
        Self {
            circuits,
            tool: Arc::clone(tool),
            permits,
            evidence: CallEvidence::Nothing,
        }
    }

    /// Gives the permit back, with the evidence of the call's result.
    pub(crate) fn end(mut self, result: Result<(), &Error>) {
        self.evidence = CallEvidence::of(result);
    }
}

impl<C: Circuits> Drop for BreakerPermit<C> {
    fn drop(&mut self) {
        self.circuits
            .end_permit(self.permits, &self.tool, self.evidence);
    }
}
