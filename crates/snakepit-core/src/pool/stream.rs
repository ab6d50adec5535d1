//! The results of one streaming call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Sleep;

use super::lease::Lease;
use super::linger::{self, Rest};
use super::pass::Pass;
use super::stats::Outcome;
use super::{Limits, Pool};
use crate::{CallId, ChunkStream, Error, Payload, Phase};

/// The chunks of one streaming call. It ends after the last chunk or the first error.
///
/// Dropping it early cancels the call: the tool is asked to stop, and its slot is used again when it did.
pub struct ReplyStream {
    /// Keeps the workers alive as long as the stream.
    _pool: Pool,
    call: CallId,
    inner: Option<(Lease, ChunkStream)>,
    deadline: Option<(Pin<Box<Sleep>>, Duration)>,
    pass: Option<Pass>,
}

impl ReplyStream {
    pub(super) fn new(
        pool: Pool,
        lease: Lease,
        call: CallId,
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
            inner: Some((lease, chunks)),
            deadline,
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
            && sleep.as_mut().poll(context).is_ready()
        {
            let error = lease.shared().timeout(Phase::Call, *after);
            this.abandon(Outcome::CallTimeout);
            return Poll::Ready(Some(Err(error)));
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
