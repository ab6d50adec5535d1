//! The start of a streaming call: its slot, and its beginning there.

use std::sync::Arc;

use tokio::time::Instant;

use crate::call::CallOptions;
use crate::error::Error;
use crate::id::CallId;
use crate::pool::Pool;
use crate::pool::call::admission::{Admitted, Want};
use crate::pool::call::journal::Progress;
use crate::pool::call::lease::Lease;
use crate::pool::call::limits::Limits;
use crate::pool::call::pass::Pass;
use crate::pool::call::request::request;
use crate::pool::call::running::Running;
use crate::value::Payload;
use crate::worker::ChunkStream;

/// A streaming call as its caller made it.
pub(super) struct Origin {
    pub(super) args: Payload,
    pub(super) options: CallOptions,
    pub(super) limits: Limits,
}

/// A stream that its worker has accepted.
pub(crate) struct Begun {
    pub(super) accepted: Accepted,
    pub(super) pass: Option<Pass>,
    pub(super) origin: Origin,
}

/// The slot, the number of the attempt in it, and the chunks.
pub(super) type Accepted = (Lease, CallId, ChunkStream);

/// Gets a slot for a stream and starts it there.
pub(crate) async fn begin(
    pool: &Pool,
    progress: &mut Progress,
    args: Payload,
    options: &CallOptions,
    now: Instant,
) -> Result<Begun, Error> {
    let shared = pool.shared();
    let in_session = shared.enter_session(options)?;
    let options = in_session.as_deref().unwrap_or(options);
    let limits = Limits::made_at(now, &shared.config, &progress.tool, options, true);
    shared.screen(progress, &args, options, false)?;
    let pass = shared.pass(progress, 1)?;
    let origin = Origin {
        args,
        options: options.clone(),
        limits,
    };
    let accepted = match first_slot(pool, progress, &origin).await {
        Ok(lease) => start(pool, progress, lease, &origin).await,
        Err(error) => Err(error),
    };
    match accepted {
        Ok(accepted) => Ok(Begun {
            accepted,
            pass,
            origin,
        }),
        Err(error) => {
            if let Some(pass) = pass {
                pass.end(Err(&error));
            }
            Err(error)
        }
    }
}

async fn first_slot(pool: &Pool, progress: &mut Progress, origin: &Origin) -> Result<Lease, Error> {
    let (shared, limits) = (pool.shared(), &origin.limits);
    let want = Want {
        limits: Some(limits),
        again: false,
        ..origin.again()
    };
    match shared.admit(&want)? {
        Admitted::Now(lease) => Ok(lease),
        Admitted::Wait(waiting) => {
            progress.queued(shared, &origin.options, waiting.queue_size());
            waiting.wait(Some(limits.queue)).await
        }
    }
}

/// Starts the call in a slot; if a worker gives it back, starts it elsewhere.
pub(super) async fn start(
    pool: &Pool,
    progress: &mut Progress,
    mut lease: Lease,
    origin: &Origin,
) -> Result<Accepted, Error> {
    let (shared, limits) = (pool.shared(), &origin.limits);
    loop {
        lease.suspect = shared.suspect(&progress.tool, &origin.args, &origin.options, false);
        lease.session.clone_from(&origin.options.hold);
        progress.dispatched(shared, &mut lease);
        let request = request(
            limits,
            progress,
            origin.args.clone(),
            &origin.options,
            &lease,
        );
        progress.sent(shared, &request, &lease, request.args.bytes.len());
        let call = request.call;
        let future = Arc::clone(lease.worker()).stream(lease.slot(), request);
        let running = Running::new(lease, call, future);
        if let Some((chunks, lease)) = running.run(limits, &progress.tool).await? {
            progress.streams(shared, &lease);
            return Ok((lease, call, chunks));
        }
        lease = pool.slot_again(progress, &origin.again(), limits).await?;
    }
}

impl Origin {
    /// Returns the admission request of the call after its worker has given it back.
    pub(super) const fn again(&self) -> Want<'_> {
        Want::again(&self.options, self.args.bytes.len())
    }
}
