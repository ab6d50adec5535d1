//! Calls that a worker returns before it has begun them, because a call that cannot be stopped
//! blocks it. They certainly did not run, and are made elsewhere.

use super::admission::{Admitted, Want};
use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use crate::call::CallOptions;
use crate::error::Error;
use crate::pool::Pool;
use crate::value::Payload;

impl Pool {
    /// Makes a call that its worker has given back.
    pub(super) async fn make_again(
        &self,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let want = Want::again(options, args.bytes.len());
        let lease = self.slot_again(progress, &want, limits).await?;
        self.make_in(lease, progress, args, options, limits).await
    }

    /// Makes a call in a slot; if a worker gives it back, makes it elsewhere, until it has run.
    pub(super) async fn make_in(
        &self,
        mut lease: Lease,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let want = Want::again(options, args.bytes.len());
        loop {
            let mut running = self.begin_in(lease, progress, args.clone(), options, limits);
            if let Some(reply) = running.ended(limits, &progress.tool).await? {
                running.succeed(progress);
                return Ok(reply);
            }
            lease = self.slot_again(progress, &want, limits).await?;
        }
    }

    /// Obtains a slot for a call that its worker has given back. The call precedes all waiting
    /// ones, since it had a slot, and gets its full queue time again.
    pub(super) async fn slot_again(
        &self,
        progress: &mut Progress,
        want: &Want<'_>,
        limits: &Limits,
    ) -> Result<Lease, Error> {
        let options = want.options;
        progress.given_back(self.shared());
        let want = Want {
            options,
            limits: None,
            ahead: false,
            again: true,
            ..*want
        };
        match self.shared().admit(&want)? {
            Admitted::Now(lease) => Ok(lease),
            Admitted::Wait(waiting) => {
                progress.queued(self.shared(), options, waiting.queue_size());
                let limits = limits.again(self.config().wait_of(&progress.tool, options));
                waiting.wait(Some(limits.queue)).await
            }
        }
    }
}
