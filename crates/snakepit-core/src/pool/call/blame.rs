//! Blamed calls: those that a worker had when it died.

use std::sync::Arc;

use tokio::time::Instant;

use crate::call::CallOptions;
use crate::error::Death;
use crate::events::emit;
use crate::id::WorkerId;
use crate::pool::shared::Shared;
use crate::pool::state::Blamed;
use crate::schedule::WorkerKey;
use crate::value::Payload;
use crate::worker::WorkerExit;

/// The data by which a call is recognised after the death of its worker.
pub(super) struct BlamedCall {
    fingerprint: Option<Arc<str>>,
    tool: Arc<str>,
    args: Payload,
    /// The call may be isolated before it is convicted.
    harmless: bool,
}

impl BlamedCall {
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

    fn blamed(&self) -> Blamed<'_> {
        Blamed {
            fingerprint: self.fingerprint.as_deref(),
            tool: &self.tool,
            args: &self.args,
            harmless: self.harmless,
        }
    }

    /// Clears a call that was answered in isolation.
    pub(super) fn acquit(&self, shared: &Shared) {
        shared.lock().acquit(self.blamed());
    }

    /// Blames the call, which was executing in a worker when it died.
    pub(super) fn blame(
        &self,
        shared: &Shared,
        key: WorkerKey,
        worker: &WorkerId,
        exit: &WorkerExit,
    ) {
        if !Death::is_suspicious(exit) {
            return;
        }
        let convicted = shared.lock().blame(self.blamed(), key, Instant::now());
        if convicted {
            emit!(
                shared.hub,
                CallQuarantined {
                    pool: shared.config.name.clone(),
                    worker: worker.clone(),
                    tool: Arc::clone(&self.tool),
                    reason: exit.reason.clone(),
                }
            );
        }
    }
}

impl Shared {
    /// Returns the call to blame if its worker dies. `None` if the pool has no quarantine.
    pub(super) fn blamed(
        &self,
        tool: &Arc<str>,
        args: &Payload,
        options: &CallOptions,
        harmless: bool,
    ) -> Option<Box<BlamedCall>> {
        self.config.quarantine.as_ref()?;
        Some(Box::new(BlamedCall::new(tool, args, options, harmless)))
    }
}
