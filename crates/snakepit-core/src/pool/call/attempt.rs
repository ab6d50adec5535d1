//! One attempt of a call, and how it is sent.

use std::sync::Arc;

use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use super::request::request;
use super::running::Running;
use crate::call::CallOptions;
use crate::error::Error;
use crate::pool::Pool;
use crate::value::Payload;

impl Pool {
    /// Makes one attempt of a call, if its policies accept it.
    pub(super) async fn once(
        &self,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let shared = self.shared();
        let harmless = shared.may_run_alone(&progress.tool, options);
        let alone = shared.screen(progress, &args, options, harmless)?;
        let pass = shared.pass(progress, 1)?;
        let result = if alone {
            Box::pin(self.attempt_isolated(progress, args, options, limits)).await
        } else {
            self.call(progress, args, options, limits).await
        };
        if let Some(pass) = pass {
            pass.end(result.as_ref().map(drop));
        }
        result
    }

    /// Sends a call to its slot.
    pub(super) fn begin_in(
        &self,
        mut lease: Lease,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Running<Payload> {
        let (shared, tool) = (self.shared(), &progress.tool);
        let harmless = shared.may_run_alone(tool, options);
        lease.suspect = shared.suspect(tool, &args, options, harmless);
        lease.session.clone_from(&options.hold);
        progress.dispatched(shared, &mut lease);
        let request = request(limits, progress, args, options, &lease);
        progress.sent(shared, &request, &lease, request.args.bytes.len());
        let call = request.call;
        let future = Arc::clone(lease.worker()).call(lease.slot(), request);
        Running::new(lease, call, future)
    }
}
