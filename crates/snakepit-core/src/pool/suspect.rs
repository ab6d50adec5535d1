//! Suspects: calls that were in a worker when it died, and calls that are rejected for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::journal::Progress;
use super::shared::Shared;
use super::stats::Outcome;
use crate::call::CallOptions;
use crate::error::{Death, Error};
use crate::events::emit;
use crate::id::WorkerId;
use crate::policy::Standing;
use crate::schedule::WorkerKey;
use crate::value::Payload;
use crate::worker::WorkerExit;

/// The data by which a call is recognised after the death of its worker.
pub(super) struct Suspect {
    fingerprint: Option<Arc<str>>,
    tool: Arc<str>,
    args: Payload,
    /// The call may be isolated before it is convicted.
    harmless: bool,
}

impl Suspect {
    pub(super) fn new(
        tool: &Arc<str>,
        args: &Payload,
        options: &CallOptions,
        harmless: bool,
    ) -> Self {
        Self {
            harmless,
            fingerprint: options.fingerprint.clone(),
            tool: Arc::clone(tool),
            args: args.clone(),
        }
    }
}

impl Shared {
    /// Returns the call as a suspect. `None` if the pool has no quarantine.
    pub(super) fn suspect(
        &self,
        tool: &Arc<str>,
        args: &Payload,
        options: &CallOptions,
        harmless: bool,
    ) -> Option<Box<Suspect>> {
        self.config.quarantine.as_ref()?;
        Some(Box::new(Suspect::new(tool, args, options, harmless)))
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
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(quarantine) = state.quarantine.as_mut().filter(|it| !it.is_empty()) else {
            return Ok(false);
        };
        let tool = &progress.tool;
        let print = quarantine.fingerprint(options.fingerprint.as_deref(), tool, args);
        let retry_after = match quarantine.check(print, Instant::now()) {
            Standing::Free => return Ok(false),
            Standing::Suspect => return Ok(harmless),
            Standing::Convicted(retry_after) => retry_after,
        };
        state.stats.requests += 1;
        state.stats.quarantined += 1;
        state.stats.record(Outcome::Error, 1, Duration::ZERO);
        drop(guard);
        let error = Error::Quarantined {
            pool: self.config.name.clone(),
            tool: tool.to_string(),
            retry_after,
        };
        self.tell_refused(progress, &error);
        Err(error)
    }

    /// Clears a suspect that was answered with a worker for itself.
    pub(super) fn acquit(&self, suspect: &Suspect) {
        if let Some(quarantine) = &mut self.lock().quarantine {
            let own = suspect.fingerprint.as_deref();
            let call = quarantine.fingerprint(own, &suspect.tool, &suspect.args);
            quarantine.acquit(call);
        }
    }

    /// Blames a call that was executing in a worker when it died.
    pub(super) fn blame(
        &self,
        suspect: &Suspect,
        key: WorkerKey,
        worker: &WorkerId,
        exit: &WorkerExit,
    ) {
        if !Death::is_suspicious(exit) {
            return;
        }
        let mut state = self.lock();
        let Some(quarantine) = &mut state.quarantine else {
            return;
        };
        let call =
            quarantine.fingerprint(suspect.fingerprint.as_deref(), &suspect.tool, &suspect.args);
        let crowd = quarantine.crowd(key, self.slots);
        let convicted = quarantine.blame(call, crowd, suspect.harmless, Instant::now());
        drop(state);
        if convicted {
            emit!(
                self.hub,
                CallQuarantined {
                    pool: self.config.name.clone(),
                    worker: worker.clone(),
                    tool: Arc::clone(&suspect.tool),
                    reason: exit.reason.clone(),
                }
            );
        }
    }
}
