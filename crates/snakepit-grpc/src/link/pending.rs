//! The calls that wait for an answer on a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use snakepit_core::worker::{CallError, ItemResult, WorkerExit};
use tokio::sync::{mpsc, oneshot};

use super::calls::CallMap;
use super::chunks::{Batch, Credit};
use super::client::DescribeError;
use super::gathered::Gathered;
use super::parser::ProtocolError;
use super::spans::Spans;
use crate::pb;

/// The waiting side of a running call.
#[derive(Debug)]
pub(super) enum Waiter {
    Describe(oneshot::Sender<Result<pb::DescribeResponse, DescribeError>>),
    Call {
        sender: oneshot::Sender<Result<Bytes, CallError>>,
        /// Position in the order of sending; set by [`Pending::add`].
        number: u64,
    },
    Stream(Streaming),
    Many {
        sender: oneshot::Sender<Vec<ItemResult>>,
        results: Vec<ItemResult>,
        expected: usize,
    },
}

/// A running stream.
#[derive(Debug)]
pub(super) struct Streaming {
    pub(super) sender: mpsc::Sender<Batch>,
    /// The error with which the stream will end, if it has failed already.
    pub(super) failed: Option<CallError>,
    /// The account of the bytes that the stream may send. `None` unless the connection is
    /// multiplexed.
    pub(super) credit: Option<Credit>,
}

/// A stream whose chunks are being collected.
pub(super) struct Open {
    pub(super) call: u64,
    pub(super) stream: Streaming,
    pub(super) batch: Batch,
    /// Total size of the collected chunks.
    pub(super) bytes: usize,
}

impl Open {
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), ProtocolError> {
        self.count(chunk.len())?;
        self.batch.chunks.push(chunk);
        Ok(())
    }

    /// Adds a chunk that is no larger than [`SMALL`](super::gathered::SMALL).
    pub(super) fn push_small(&mut self, chunk: &[u8]) -> Result<(), ProtocolError> {
        self.count(chunk.len())?;
        self.batch.chunks.push_small(chunk);
        Ok(())
    }

    fn count(&mut self, length: usize) -> Result<(), ProtocolError> {
        if let Some(credit) = &mut self.stream.credit
            && !credit.take(length)
        {
            return Err(ProtocolError::Window(self.call));
        }
        self.bytes += length;
        Ok(())
    }
}

/// The running calls, and the reason for the end of the connection once it has ended.
#[derive(Debug, Default)]
pub(super) struct Pending {
    state: Mutex<PendingCalls>,
    /// `true` once the worker has requested its replacement.
    renewal: AtomicBool,
    pub(super) spans: Spans,
}

/// Number of recent calls that a connection remembers.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
struct PendingCalls {
    waiters: CallMap<Waiter>,
    /// Number of calls so far.
    calls: u64,
    /// The last attempts with the numbers of their calls: a ring buffer whose next entry goes to
    /// `place`.
    last: Vec<(u64, u64)>,
    place: usize,
    ended: Option<Arc<str>>,
}

impl Pending {
    /// Records that the worker has requested its replacement.
    pub(super) fn want_renewal(&self) {
        self.renewal.store(true, Ordering::Release);
    }

    /// Returns `true` if the worker has requested its replacement.
    pub(super) fn wants_renewal(&self) -> bool {
        self.renewal.load(Ordering::Acquire)
    }

    /// Adds an attempt (`call`) of the call with number `of`. Fails if the connection has ended.
    pub(super) fn add(&self, (call, of): (u64, u64), mut waiter: Waiter) -> Result<(), CallError> {
        let mut state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        if let Some(reason) = &state.ended {
            return Err(died(reason, false));
        }
        if let Waiter::Call { number, .. } = &mut waiter {
            state.calls += 1;
            *number = state.calls;
        }
        state.remember((call, of));
        state.waiters.insert(call, waiter);
        Ok(())
    }

    /// Returns the number of the call of an attempt that waits for its answer or was one of the
    /// last. For a waiting attempt that is no longer remembered, returns its own id, which is right
    /// for every first attempt.
    pub(super) fn number_of(&self, attempt: u64) -> Option<u64> {
        let state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        let mut last = state.last.iter();
        let known = last.find(|(one, _)| *one == attempt).map(|(_, of)| *of);
        known.or_else(|| state.waiters.contains_key(&attempt).then_some(attempt))
    }

    /// Returns the calls that wait for an answer.
    pub(super) fn calls(&self) -> Vec<u64> {
        let state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        state.waiters.keys().copied().collect()
    }

    /// Removes a call, to complete it or to put it back.
    pub(super) fn take(&self, call: u64) -> Option<Waiter> {
        let mut state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        state.waiters.remove(&call)
    }

    /// Puts back a call that continues. If the connection has ended meanwhile, the call fails.
    pub(super) fn put_back(&self, call: u64, waiter: Waiter) {
        let mut state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        match state.ended.clone() {
            None => {
                state.waiters.insert(call, waiter);
            }
            Some(reason) => {
                drop(state);
                waiter.fail(&reason, true);
            }
        }
    }

    /// Ends the connection and fails every call. All their requests had been sent. With
    /// `answered_in_turn`, and once all available answers were read, only the first remaining call
    /// can have been begun.
    pub(super) fn end(&self, reason: &Arc<str>, answered_in_turn: bool) {
        let waiters = {
            let mut state = self
                .state
                .lock()
                .expect("nothing panics while it is locked");
            if state.ended.is_none() {
                state.ended = Some(Arc::clone(reason));
            }
            std::mem::take(&mut state.waiters)
        };
        let numbers = waiters.values().map(Waiter::number);
        let first = numbers.collect::<Option<Vec<_>>>();
        let first = first.filter(|_| answered_in_turn);
        let first = first.and_then(|numbers| numbers.into_iter().min());
        for (call, waiter) in waiters {
            let begun = first.is_none() || waiter.number() == first;
            if !begun {
                self.spans.forget(call);
            }
            waiter.fail(reason, begun);
        }
    }
}

impl PendingCalls {
    fn remember(&mut self, call: (u64, u64)) {
        if self.last.len() < REMEMBERED {
            self.last.push(call);
            return;
        }
        self.last[self.place] = call;
        self.place = (self.place + 1) % REMEMBERED;
    }
}

impl Waiter {
    /// Returns the position in the order of sending. `None` unless the call is a plain one.
    const fn number(&self) -> Option<u64> {
        match self {
            Self::Call { number, .. } => Some(*number),
            _ => None,
        }
    }

    /// Completes a call that the worker has given back. Has no effect if the caller is gone.
    pub(super) fn end_recalled(self) {
        match self {
            Self::Call { sender, .. } => {
                let _ = sender.send(Err(CallError::NotBegun));
            }
            Self::Many {
                sender, expected, ..
            } => {
                let _ = sender.send(vec![Err(CallError::NotBegun); expected]);
            }
            Self::Stream(stream) => {
                // No chunk of the stream has arrived, so the channel has room.
                let end = Some(Err(CallError::NotBegun));
                let chunks = Gathered::default();
                let _ = stream.sender.try_send(Batch { chunks, end });
            }
            // A description cannot be given back.
            Self::Describe(_) => {}
        }
    }

    /// Fails a call because its connection is gone. `begun` is `true` if the worker may have begun
    /// it. Has no effect if the caller is gone.
    fn fail(self, reason: &str, begun: bool) {
        match self {
            Self::Describe(sender) => {
                let _ = sender.send(Err(DescribeError::Ended(reason.to_owned())));
            }
            Self::Call { sender, .. } => {
                let _ = sender.send(Err(died(reason, begun)));
            }
            // The stream itself reports the lost connection if it has no end, even while the
            // channel is full.
            Self::Stream(_) => {}
            Self::Many {
                sender,
                mut results,
                expected,
            } => {
                let missing = expected.saturating_sub(results.len());
                results.extend((0..missing).map(|_| Err(died(reason, true))));
                let _ = sender.send(results);
            }
        }
    }
}

/// Returns the error of a call whose connection is gone.
pub(super) fn died(reason: &str, ambiguous: bool) -> CallError {
    let mut exit = WorkerExit::default();
    exit.reason = reason.to_owned();
    CallError::Died {
        exit: Box::new(exit),
        ambiguous,
    }
}
