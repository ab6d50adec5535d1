//! The state that is kept for one call of a worker while it runs.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use snakepit_core::error::ToolError;
use snakepit_core::host_tools::ToolStream;
use snakepit_core::state::{Session, SessionHold};
use snakepit_core::value::Payload;

/// Largest number of streams that one call may have open at the same time.
pub(super) const MAX_STREAMS: usize = 64;

/// One open stream of a host tool. The worker pulls one batch at a time.
pub(super) type Open = Arc<tokio::sync::Mutex<Pulled>>;

/// A stream, and an item that was pulled from it but not sent yet.
pub(super) struct Pulled {
    pub(super) stream: ToolStream,
    /// An item that did not fit into the last batch.
    pub(super) kept: Option<Payload>,
}

fn opened(stream: ToolStream) -> Open {
    let kept = None;
    Arc::new(tokio::sync::Mutex::new(Pulled { stream, kept }))
}

#[derive(Default)]
pub(super) struct Call {
    state: Mutex<CallState>,
}

#[derive(Default)]
struct CallState {
    /// The session and a hold on it, so that it does not expire before the call is over.
    session: Option<(Session, SessionHold)>,
    streams: HashMap<u64, Open>,
    last: u64,
}

impl Call {
    /// Returns the session that the first request found or created. If that session ends, the
    /// requests of this call that need it fail.
    pub(super) fn session(
        &self,
        find: impl FnOnce() -> Result<(Session, SessionHold), Box<ToolError>>,
    ) -> Result<Session, Box<ToolError>> {
        let mut state = self.lock();
        if let Some((session, _)) = &state.session {
            return Ok(session.clone());
        }
        let (session, hold) = find()?;
        state.session = Some((session.clone(), hold));
        Ok(session)
    }

    /// Stores a stream and returns its number. `None` if too many streams are open.
    pub(super) fn open(&self, stream: ToolStream) -> Option<u64> {
        let mut state = self.lock();
        if state.streams.len() >= MAX_STREAMS {
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.streams.insert(number, opened(stream));
        Some(number)
    }

    pub(super) fn stream(&self, number: u64) -> Option<Open> {
        self.lock().streams.get(&number).cloned()
    }

    /// Makes the next pull of a stream fail with this error. The stream ends after it.
    pub(super) fn put_error(&self, number: u64, error: Box<ToolError>) {
        let failing: ToolStream = Box::pin(Failing(Some(error)));
        let open = opened(failing);
        if let Some(stream) = self.lock().streams.get_mut(&number) {
            *stream = open;
        }
    }

    /// Drops a stream. Returns `false` if there is none with this number.
    pub(super) fn close(&self, number: u64) -> bool {
        let closed = self.lock().streams.remove(&number);
        closed.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of one error.
struct Failing(Option<Box<ToolError>>);

impl Stream for Failing {
    type Item = Result<Payload, Box<ToolError>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Call")
            .field("session", &state.session)
            .field("streams", &state.streams.len())
            .finish_non_exhaustive()
    }
}
