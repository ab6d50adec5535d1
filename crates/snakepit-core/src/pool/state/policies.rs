//! The policies of the pool: quarantine, circuit breakers and the budget of repetitions.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Outcome, PoolCore};
use crate::policy::{
    CallEvidence, Changes, Fingerprint, Permits, Quarantine, Refused, RetryBudget, Standing,
};
use crate::schedule::WorkerKey;
use crate::value::Payload;

/// A call by which the quarantine recognises it after the death of its worker.
#[derive(Clone, Copy)]
pub(crate) struct Blamed<'a> {
    pub(crate) fingerprint: Option<&'a str>,
    pub(crate) tool: &'a str,
    pub(crate) args: &'a Payload,
    /// The call may be isolated before it is convicted.
    pub(crate) harmless: bool,
}

impl Blamed<'_> {
    fn print(&self, quarantine: &Quarantine) -> Fingerprint {
        quarantine.fingerprint(self.fingerprint, self.tool, self.args)
    }
}

impl PoolCore {
    /// Rejects and counts a call that has killed too many workers; the error is the time until such
    /// calls are accepted again. Returns `true` if the call has to be isolated.
    pub(crate) fn screen(&mut self, call: Blamed<'_>, now: Instant) -> Result<bool, Duration> {
        let quarantine = self.quarantine.as_mut();
        let Some(quarantine) = quarantine.filter(|it| !it.is_empty()) else {
            return Ok(false);
        };
        let print = call.print(quarantine);
        let retry_after = match quarantine.check(print, now) {
            Standing::Free => return Ok(false),
            Standing::Blamed => return Ok(call.harmless),
            Standing::Convicted(retry_after) => retry_after,
        };
        self.stats.requests += 1;
        self.stats.quarantined += 1;
        self.record(Outcome::Error, 1);
        Err(retry_after)
    }

    /// Clears a blamed call that was answered in isolation.
    pub(crate) fn acquit(&mut self, call: Blamed<'_>) {
        if let Some(quarantine) = &mut self.quarantine {
            let print = call.print(quarantine);
            quarantine.acquit(print);
        }
    }

    /// Blames a call that was executing in a worker when it died. Returns `true` if it is in
    /// quarantine from now on.
    pub(crate) fn blame(&mut self, call: Blamed<'_>, worker: WorkerKey, now: Instant) -> bool {
        let Some(quarantine) = &mut self.quarantine else {
            return false;
        };
        let print = call.print(quarantine);
        let crowd = quarantine.crowd(worker, self.slots);
        quarantine.blame(print, crowd, call.harmless, now)
    }

    /// Accepts `items` calls of a tool together, or rejects and counts them.
    pub(crate) fn permit(
        &mut self,
        tool: &str,
        items: u64,
        now: Instant,
    ) -> (Result<Permits, Refused>, Changes) {
        let (admitted, changes) = self.breakers.admit(tool, now);
        if admitted.is_err() {
            self.stats.requests += items;
            self.stats.circuit_open += items;
            self.record(Outcome::Error, items);
        }
        (admitted, changes)
    }

    /// Ends a call that the circuit breakers have accepted.
    pub(crate) fn end_permit(
        &mut self,
        permits: Permits,
        tool: &Arc<str>,
        evidence: CallEvidence,
        now: Instant,
    ) -> Changes {
        self.breakers.end(permits, tool, evidence, now)
    }

    /// Counts a call towards the budget of repetitions.
    pub(crate) fn earn_retry(&mut self) {
        if let Some(budget) = &mut self.retry_budget {
            budget.call();
        }
    }

    /// Takes a repetition from the budget. Returns `false` if none is left.
    pub(crate) fn take_retry(&mut self) -> bool {
        let taken = self.retry_budget.as_mut().is_some_and(RetryBudget::take);
        self.stats.retries += u64::from(taken);
        taken
    }
}
