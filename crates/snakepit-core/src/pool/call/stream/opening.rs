//! The start of a streaming call: its slot, and its beginning there.

use std::sync::Arc;

use tokio::time::Instant;

use crate::call::CallOptions;
use crate::error::Error;
use crate::pool::call::admission::AcquireRequest;
use crate::pool::call::attempt::Attempt;
use crate::pool::call::in_flight::InFlight;
use crate::pool::call::journal::Progress;
use crate::pool::call::lease::Lease;
use crate::pool::call::limits::Limits;
use crate::pool::call::permit::{self, Permit};
use crate::pool::shared::Shared;
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
    pub(super) call: InFlight<ChunkStream>,
    pub(super) permit: Permit,
    pub(super) origin: Origin,
}

/// Gets a slot for a stream and starts it there.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    progress: &mut Progress,
    args: Payload,
    options: &CallOptions,
    now: Instant,
) -> Result<Begun, Error> {
    let in_session = shared.enter_session(options)?;
    let options = in_session.as_deref().unwrap_or(options);
    let limits = Limits::made_at(now, &shared.config, &progress.tool, options, true);
    shared.screen(progress, &args, options, false)?;
    let permit = shared.permit(progress, 1)?;
    let origin = Origin {
        args,
        options: options.clone(),
        limits,
    };
    match origin.attempt(shared, progress).open().await {
        Ok(call) => Ok(Begun {
            call,
            permit,
            origin,
        }),
        Err(error) => {
            permit::end(permit, Err(&error));
            Err(error)
        }
    }
}

impl Origin {
    /// Creates an attempt of the call.
    pub(super) fn attempt<'a>(
        &'a self,
        shared: &'a Arc<Shared>,
        progress: &'a mut Progress,
    ) -> Attempt<'a> {
        Attempt {
            shared,
            progress,
            args: self.args.clone(),
            options: &self.options,
            limits: self.limits.clone(),
        }
    }
}

impl Attempt<'_> {
    /// Starts a stream.
    async fn open(&mut self) -> Result<InFlight<ChunkStream>, Error> {
        let request = AcquireRequest {
            limits: Some(&self.limits),
            ..AcquireRequest::new(self.options, self.args.bytes.len())
        };
        let until = || Some(self.limits.queue);
        let lease = self.shared.acquire(self.progress, &request, until).await?;
        self.open_in(lease).await
    }

    /// Starts a stream that its worker has given back.
    pub(super) async fn open_again(&mut self) -> Result<InFlight<ChunkStream>, Error> {
        let lease = self.slot_again().await?;
        self.open_in(lease).await
    }

    /// Starts a stream in a slot; if a worker gives it back, starts it elsewhere.
    async fn open_in(&mut self, mut lease: Box<Lease>) -> Result<InFlight<ChunkStream>, Error> {
        loop {
            let shared = self.shared;
            lease.blamed = shared.blamed(&self.progress.tool, &self.args, self.options, false);
            let call = self.send(lease, self.args.bytes.len(), |worker, slot, request| {
                worker.stream(slot, request)
            });
            let opened = call.run(&self.limits, &self.progress.tool).await?;
            if let Some(call) = opened {
                if let Some(lease) = &call.lease {
                    self.progress.streams(shared, lease);
                }
                return Ok(call);
            }
            lease = self.slot_again().await?;
        }
    }
}
