//! The results of one streaming call.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::Pool;
use super::admission::{Admitted, Want};
use super::foreign;
use super::journal::{Journal, Progress};
use super::lease::{Lease, Running};
use super::limits::Limits;
use super::linger::{self, Rest};
use super::pass::Pass;
use super::shared::Shared;
use super::stats::Outcome;
use crate::{CallId, CallOptions, ChunkStream, Error, Payload, Phase};

/// The chunks of one streaming call. It ends after the last chunk or the first error.
///
/// Dropping it early cancels the call: the tool is asked to stop, and its slot is used again when it did. The same happens when the call's
/// time is up, also to a stream that nobody reads at that moment; the reader gets [`Error::Timeout`] next.
pub struct ReplyStream {
    /// Keeps the workers alive as long as the stream.
    _pool: Pool,
    call: CallId,
    stage: Arc<Mutex<Stage>>,
    deadline: Option<(Instant, Duration)>,
    /// Ends the call at its deadline.
    timer: Option<AbortOnDropHandle<()>>,
}

/// The call, as its reader and its timer share it. Whoever takes it out of [`State::Open`] sees to the slot.
struct Stage {
    state: State,
    /// Who waits for what the timer leaves.
    reader: Option<Waker>,
}

enum State {
    Open(Open),
    /// The time is up: the timer has the call, and leaves an error.
    Expiring,
    Failed(Error),
    Over,
}

struct Open {
    lease: Lease,
    chunks: ChunkStream,
    pass: Option<Pass>,
    journal: Journal<Arc<Shared>>,
}

fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// Takes the call out, if it is open.
    fn take(&mut self, next: State) -> Option<Open> {
        if !matches!(self.state, State::Open(_)) {
            return None;
        }
        match std::mem::replace(&mut self.state, next) {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    fn fail(&mut self, error: Error) {
        self.state = State::Failed(error);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// A stream whose worker has accepted it.
pub(super) struct Begun {
    lease: Lease,
    chunks: ChunkStream,
    pass: Option<Pass>,
    limits: Limits,
}

/// Gets a slot for a stream and starts it there.
pub(super) async fn begin(
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
    match start(pool, progress, args, options, &limits).await {
        Ok((chunks, lease)) => {
            progress.streams(shared, &lease);
            Ok(Begun {
                lease,
                chunks,
                pass,
                limits,
            })
        }
        Err(error) => {
            if let Some(pass) = pass {
                pass.end(Err(&error));
            }
            Err(error)
        }
    }
}

async fn start(
    pool: &Pool,
    progress: &mut Progress,
    args: Payload,
    options: &CallOptions,
    limits: &Limits,
) -> Result<(ChunkStream, Lease), Error> {
    let (shared, bytes) = (pool.shared(), args.bytes.len());
    let want = Want {
        limits: Some(limits),
        again: false,
        ..Want::again(options, bytes)
    };
    let mut lease = match shared.admit(&want)? {
        Admitted::Now(lease) => lease,
        Admitted::Wait(waiting) => {
            progress.queued(shared, options, waiting.queue_size());
            waiting.wait(Some(limits.queue)).await?
        }
    };
    loop {
        lease.suspect = shared.suspect(&progress.tool, &args, options, false);
        lease.session.clone_from(&options.hold);
        progress.dispatched(shared, &mut lease);
        let request = limits.request(progress, args.clone(), options, &lease);
        let call = request.call;
        let future = Arc::clone(lease.worker()).stream(lease.slot(), request);
        let running = Running::new(lease, call, future);
        if let Some(begun) = running.run(limits, &progress.tool).await? {
            return Ok(begun);
        }
        let want = Want::again(options, bytes);
        lease = pool.slot_again(progress, &want, limits).await?;
    }
}

impl ReplyStream {
    pub(super) fn new(pool: Pool, begun: Begun, journal: Journal<Arc<Shared>>) -> Self {
        let Begun {
            lease,
            chunks,
            pass,
            limits,
        } = begun;
        let shared = Arc::clone(lease.shared());
        let call = journal.progress.call;
        let open = Open {
            lease,
            chunks,
            pass,
            journal,
        };
        let stage = Arc::new(Mutex::new(Stage {
            state: State::Open(open),
            reader: None,
        }));
        let timer = limits.call.map(|limit| {
            let expire = expire(Arc::clone(&stage), limit);
            AbortOnDropHandle::new(shared.tasks.spawn_on(expire, &shared.runtime))
        });
        Self {
            _pool: pool,
            call,
            stage,
            deadline: limits.call,
            timer,
        }
    }
}

impl ReplyStream {
    /// The timer is gone with the pool's runtime.
    fn is_orphaned(&self) -> bool {
        self.timer
            .as_ref()
            .is_some_and(AbortOnDropHandle::is_finished)
    }

    /// Ends a call whose time is up where nobody else does.
    fn orphan(&self, open: Open) -> Error {
        let Open {
            lease,
            chunks,
            mut journal,
            ..
        } = open;
        let after = self.deadline.map_or(Duration::ZERO, |(_, after)| after);
        let error = lease.shared().timeout(Phase::Call, after);
        journal.end(Err(&error));
        linger::spawn(lease, self.call, Outcome::CallTimeout, chunks.rest());
        error
    }
}

/// Ends a call that is still open at its deadline.
async fn expire(stage: Arc<Mutex<Stage>>, (at, after): (Instant, Duration)) {
    sleep_until(at).await;
    let taken = lock(&stage).take(State::Expiring);
    let Some(Open {
        lease,
        chunks,
        mut journal,
        ..
    }) = taken
    else {
        return;
    };
    let (call, tool) = (journal.progress.call, &journal.progress.tool);
    let error = lease.timed_out(call, tool, after).error().await;
    journal.end(Err(&error));
    linger::spawn(lease, call, Outcome::CallTimeout, chunks.rest());
    lock(&stage).fail(error);
}

impl Stream for ReplyStream {
    type Item = Result<Payload, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut stage = lock(&self.stage);
        // The deadline comes first: a tool that always has a chunk ready must not outrun it.
        let late = || self.deadline.is_some_and(|(at, _)| at <= Instant::now());
        let ended = match &mut stage.state {
            State::Open(open) if !late() => match foreign::next(&mut open.chunks, context) {
                Poll::Pending => {
                    // The worker wakes the reader; so does the timer, which takes the chunks away.
                    stage.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(chunk))) => {
                    open.journal.progress.chunk();
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Poll::Ready(Some(Err(error))) => Err(error),
                Poll::Ready(None) => Ok(()),
            },
            State::Open(_) if self.is_orphaned() => {
                let taken = stage.take(State::Over);
                drop(stage);
                return Poll::Ready(taken.map(|open| Err(self.orphan(open))));
            }
            State::Open(_) | State::Expiring => {
                stage.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            State::Failed(_) => {
                let State::Failed(error) = std::mem::replace(&mut stage.state, State::Over) else {
                    return Poll::Ready(None);
                };
                return Poll::Ready(Some(Err(error)));
            }
            State::Over => return Poll::Ready(None),
        };
        let taken = stage.take(State::Over);
        drop(stage);
        let Some(Open {
            lease,
            pass,
            mut journal,
            ..
        }) = taken
        else {
            return Poll::Ready(None);
        };
        let result = match ended {
            Err(error) => Err(lease.fail(error)),
            Ok(()) => {
                lease.succeed();
                Ok(())
            }
        };
        if let Some(pass) = pass {
            pass.end(result.as_ref().map(drop));
        }
        journal.end(result.as_ref().map(drop));
        Poll::Ready(result.err().map(Err))
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        let mut stage = lock(&self.stage);
        let expiring = matches!(stage.state, State::Expiring);
        let taken = stage.take(State::Over);
        drop(stage);
        // The journal ends after that, as that of a call whose caller has gone away.
        if let Some(Open {
            lease,
            chunks,
            journal: _journal,
            ..
        }) = taken
        {
            linger::spawn(lease, self.call, Outcome::Cancelled, chunks.rest());
        }
        if let Some(timer) = self.timer.take().filter(|_| expiring) {
            // It has the call, and sees to the slot.
            timer.detach();
        }
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
