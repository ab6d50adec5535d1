//! The results of one streaming call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Sleep;

use super::Pool;
use super::lease::Lease;
use super::limits::Limits;
use super::linger::{self, Rest};
use super::pass::Pass;
use super::stats::Outcome;
use crate::{CallId, ChunkStream, Error, Payload};

/// The chunks of one streaming call. It ends after the last chunk or the first error.
///
/// Dropping it early cancels the call: the tool is asked to stop, and its slot is used again when it did.
pub struct ReplyStream {
    /// Keeps the workers alive as long as the stream.
    _pool: Pool,
    call: CallId,
    tool: Arc<str>,
    inner: Option<(Lease, ChunkStream)>,
    deadline: Option<(Pin<Box<Sleep>>, Duration)>,
    /// The time is up: the error to come.
    expiring: Option<Pin<Box<dyn Future<Output = Error> + Send>>>,
    pass: Option<Pass>,
}

impl ReplyStream {
    pub(super) fn new(
        pool: Pool,
        lease: Lease,
        (call, tool): (CallId, Arc<str>),
        chunks: ChunkStream,
        limits: &Limits,
        pass: Option<Pass>,
    ) -> Self {
        let deadline = limits
            .call
            .map(|(at, after)| (Box::pin(tokio::time::sleep_until(at)), after));
        Self {
            _pool: pool,
            call,
            tool,
            inner: Some((lease, chunks)),
            deadline,
            expiring: None,
            pass,
        }
    }

    fn abandon(&mut self, outcome: Outcome) {
        self.pass = None;
        if let Some((lease, chunks)) = self.inner.take() {
            linger::spawn(lease, self.call, outcome, chunks.rest());
        }
    }
}

impl Stream for ReplyStream {
    type Item = Result<Payload, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some((lease, chunks)) = &mut this.inner else {
            return Poll::Ready(None);
        };
        // The deadline comes first: a tool that always has a chunk ready must not outrun it.
        if let Some((sleep, after)) = &mut this.deadline
            && this.expiring.is_none()
            && sleep.as_mut().poll(context).is_ready()
        {
            let timed_out = lease.timed_out(this.call, &this.tool, *after);
            this.expiring = Some(Box::pin(timed_out.error()));
        }
        if let Some(expiring) = &mut this.expiring {
            return expiring.as_mut().poll(context).map(|error| {
                this.expiring = None;
                this.abandon(Outcome::CallTimeout);
                Some(Err(error))
            });
        }
        let Poll::Ready(chunk) = chunks.as_mut().poll_next(context) else {
            return Poll::Pending;
        };
        if let Some(Ok(chunk)) = chunk {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let (lease, _) = this.inner.take().expect("it was there");
        let result = match chunk {
            Some(Err(error)) => Err(lease.fail(error)),
            _ => {
                lease.succeed();
                Ok(())
            }
        };
        if let Some(pass) = this.pass.take() {
            pass.end(result.as_ref().map(drop));
        }
        Poll::Ready(result.err().map(Err))
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        self.abandon(Outcome::Cancelled);
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
