//! The results of one streaming call.

mod expiry;
mod opening;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::in_flight::InFlight;
use super::journal::Journal;
use super::permit::{self, Permit};
use crate::error::{Error, Phase};
use crate::pool::Pool;
use crate::pool::deadlines::Watched;
use crate::pool::shared::Shared;
use crate::pool::state::Outcome;
use crate::value::Payload;
use crate::worker::{CallError, ChunkStream};
pub(crate) use opening::begin;
use opening::{Begun, Origin};

/// The chunks of one streaming call. It ends after the last chunk or the first error.
///
/// Dropping it early cancels the call: the tool is asked to stop, and its slot is reused once it
/// has stopped. The same happens at the call's deadline, even if no reader polls the stream at that
/// moment; the reader gets [`Error::Timeout`] next.
pub struct ReplyStream {
    /// Keeps the workers alive as long as the stream.
    pool: Pool,
    origin: Arc<Origin>,
    stage: Arc<Mutex<Stage>>,
    /// The deadline of the call. `None` if it has none.
    deadline: Option<Watched>,
}

/// Number of immediately ready chunks after which the reader checks the clock.
const LOOK: u32 = 32;

/// State of the call, shared by its reader and the watcher of its deadline. The one that takes the
/// call out of [`StreamState::Open`] releases the slot.
struct Stage {
    state: StreamState,
    /// Waker of the reader. `None` if no reader waits.
    reader: Option<Waker>,
}

enum StreamState {
    Open(Box<Open>),
    /// The worker has given the call back, and a task begins it elsewhere.
    Returned(Option<AbortOnDropHandle<()>>),
    /// The deadline has passed: a task ends the call, and leaves an error.
    Expiring,
    Failed(Error),
    Over,
}

struct Open {
    call: InFlight<ChunkStream>,
    permit: Permit,
    journal: Journal<Arc<Shared>>,
    /// A chunk has arrived.
    begun: bool,
    /// Immediately ready chunks since the reader last checked the clock.
    ready: u32,
}

fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// Takes the call out. `None` if it is not open.
    fn take(&mut self, next: StreamState) -> Option<Box<Open>> {
        if !matches!(self.state, StreamState::Open(_)) {
            return None;
        }
        match std::mem::replace(&mut self.state, next) {
            StreamState::Open(open) => Some(open),
            _ => None,
        }
    }

    fn fail(&mut self, error: Error) {
        self.leave(StreamState::Failed(error));
    }

    /// Leaves a state for the reader, and wakes it.
    fn leave(&mut self, state: StreamState) {
        self.state = state;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Open {
    fn new(
        call: InFlight<ChunkStream>,
        permit: Permit,
        journal: Journal<Arc<Shared>>,
    ) -> Box<Self> {
        Box::new(Self {
            call,
            permit,
            journal,
            begun: false,
            ready: 0,
        })
    }

    /// Checks the clock now and then: a tool that always has a chunk ready can keep the watcher
    /// from running, and must not outrun the deadline.
    fn is_late(&mut self, deadline: Option<(Instant, Duration)>) -> bool {
        let Some((at, _)) = deadline else {
            return false;
        };
        self.ready += 1;
        if self.ready < LOOK {
            return false;
        }
        self.ready = 0;
        at <= Instant::now()
    }

    /// Ends the call at its deadline.
    fn time_out(&mut self, error: &Error) {
        self.journal.end(Err(error));
        self.call.abandon(Outcome::CallTimeout);
    }
}

impl ReplyStream {
    pub(crate) fn new(pool: Pool, begun: Begun, journal: Journal<Arc<Shared>>) -> Self {
        let Begun {
            call,
            permit,
            origin,
        } = begun;
        let stage = Arc::new(Mutex::new(Stage {
            state: StreamState::Open(Open::new(call, permit, journal)),
            reader: None,
        }));
        let limit = origin.limits.call;
        let watch = |limit| {
            let stage = Arc::downgrade(&stage);
            pool.shared().deadlines.watch(stage, limit)
        };
        let deadline = limit.map(watch);
        Self {
            pool,
            origin: Arc::new(origin),
            stage,
            deadline,
        }
    }

    /// Returns true if the watcher of its deadline is gone, together with the pool's runtime.
    fn is_orphaned(&self) -> bool {
        self.deadline.as_ref().is_some_and(Watched::is_orphaned)
    }

    /// Ends a call at its deadline in place of a watcher that is gone.
    fn orphan(&self, mut open: Open) -> Error {
        let after = self.origin.limits.call;
        let after = after.map_or(Duration::ZERO, |(_, after)| after);
        let error = self.pool.shared().timeout(Phase::Call, after);
        open.time_out(&error);
        error
    }

    /// Begins a returned call elsewhere. The caller has left [`StreamState::Returned`] in the
    /// stage.
    fn begin_again(&self, permit: Permit, mut journal: Journal<Arc<Shared>>) {
        let shared = self.pool.shared();
        let reopening = Reopening {
            shared: Arc::clone(shared),
            stage: Arc::clone(&self.stage),
        };
        let (pool, origin) = (self.pool.clone(), Arc::clone(&self.origin));
        let task = async move {
            let mut attempt = origin.attempt(pool.shared(), &mut journal.progress);
            let call = attempt.open_again().await;
            reopening.end(call, permit, journal, &origin);
        };
        let task = shared.tasks.spawn_on(task, &shared.runtime);
        let task = AbortOnDropHandle::new(task);
        // The task may have ended by now.
        if let StreamState::Returned(handle) = &mut lock(&self.stage).state {
            *handle = Some(task);
        }
    }
}

/// Leaves the outcome of a call that is begun elsewhere; without a result, the pool is gone.
struct Reopening {
    shared: Arc<Shared>,
    stage: Arc<Mutex<Stage>>,
}

impl Reopening {
    fn end(
        &self,
        call: Result<InFlight<ChunkStream>, Error>,
        permit: Permit,
        mut journal: Journal<Arc<Shared>>,
        origin: &Origin,
    ) {
        let open = match call {
            Ok(call) => Ok(Open::new(call, permit, journal)),
            Err(error) => {
                journal.end(Err(&error));
                permit::end(permit, Err(&error));
                Err(error)
            }
        };
        let mut stage = lock(&self.stage);
        if !matches!(stage.state, StreamState::Returned(_)) {
            // The reader has left at this moment.
            drop(stage);
            return;
        }
        match (open, origin.limits.call) {
            // The watcher has found no open call to end.
            (Ok(mut open), Some((at, after))) if at <= Instant::now() => {
                let error = self.shared.timeout(Phase::Call, after);
                open.time_out(&error);
                stage.fail(error);
            }
            (Ok(open), _) => stage.leave(StreamState::Open(open)),
            (Err(error), _) => stage.fail(error),
        }
    }
}

impl Drop for Reopening {
    fn drop(&mut self) {
        let mut stage = lock(&self.stage);
        if matches!(stage.state, StreamState::Returned(_)) {
            stage.fail(self.shared.closed());
        }
    }
}

impl Stream for ReplyStream {
    type Item = Result<Payload, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut stage = lock(&self.stage);
        let late = match &mut stage.state {
            StreamState::Open(open) => open.is_late(self.origin.limits.call),
            _ => false,
        };
        let ended = match &mut stage.state {
            StreamState::Open(open) if !late => {
                match open.call.poll_next(context) {
                    Poll::Pending => {
                        // Both the worker and the watcher of the deadline wake the reader.
                        stage.reader = Some(context.waker().clone());
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(chunk))) => {
                        open.begun = true;
                        open.journal.progress.chunk(chunk.bytes.len());
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    Poll::Ready(Some(Err(CallError::NotBegun))) if !open.begun => {
                        stage.reader = Some(context.waker().clone());
                        let taken = stage.take(StreamState::Returned(None));
                        drop(stage);
                        if let Some(mut open) = taken {
                            open.call.take().release_unused();
                            self.begin_again(open.permit, open.journal);
                        }
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Err(error))) => Err(error),
                    Poll::Ready(None) => Ok(()),
                }
            }
            StreamState::Open(_) if self.is_orphaned() => {
                let taken = stage.take(StreamState::Over);
                drop(stage);
                return Poll::Ready(taken.map(|open| Err(self.orphan(*open))));
            }
            StreamState::Open(_) | StreamState::Returned(_) | StreamState::Expiring => {
                stage.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            StreamState::Failed(_) => {
                let StreamState::Failed(error) =
                    std::mem::replace(&mut stage.state, StreamState::Over)
                else {
                    return Poll::Ready(None);
                };
                return Poll::Ready(Some(Err(error)));
            }
            StreamState::Over => return Poll::Ready(None),
        };
        let taken = stage.take(StreamState::Over);
        drop(stage);
        let Some(open) = taken else {
            return Poll::Ready(None);
        };
        let Open {
            mut call,
            permit,
            mut journal,
            ..
        } = *open;
        let result = match ended {
            // Its tool still runs.
            Err(CallError::Rejected(error)) => {
                call.abandon(Outcome::Error);
                Err(Error::Tool(error))
            }
            Err(error) => Err(call.take().fail(error)),
            Ok(()) => {
                let mut lease = call.take();
                journal.progress.ended = Some(lease.finish(Outcome::Ok));
                Ok(())
            }
        };
        permit::end(permit, result.as_ref().map(drop));
        journal.end(result.as_ref().map(drop));
        Poll::Ready(result.err().map(Err))
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        let mut stage = lock(&self.stage);
        let left = std::mem::replace(&mut stage.state, StreamState::Over);
        drop(stage);
        // An open call is abandoned; the task that begins a call elsewhere ends with its handle.
        drop(left);
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("pool", self.pool.name())
            .finish_non_exhaustive()
    }
}
