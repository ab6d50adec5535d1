//! Who waits for which answer on a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use snakepit_core::{CallError, ItemResult, WorkerExit};
use tokio::sync::{mpsc, oneshot};

use super::calls::CallMap;
use super::chunks::{Batch, Credit};
use super::client::DescribeError;
use super::parser::ProtocolError;
use super::spans::Spans;
use crate::pb;

/// One running call.
#[derive(Debug)]
pub(super) enum Waiter {
    Describe(oneshot::Sender<Result<pb::DescribeResponse, DescribeError>>),
    Call {
        sender: oneshot::Sender<Result<Bytes, CallError>>,
        /// Order of sending; set by [`Pending::add`].
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
    /// Why it fails at its end.
    pub(super) failed: Option<CallError>,
    /// What it may send, where many calls share the connection.
    pub(super) credit: Option<Credit>,
}

/// A stream whose chunks are being collected.
pub(super) struct Open {
    pub(super) call: u64,
    pub(super) stream: Streaming,
    pub(super) batch: Batch,
    /// Bytes of its chunks.
    pub(super) bytes: usize,
}

impl Open {
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), ProtocolError> {
        if let Some(credit) = &mut self.stream.credit
            && !credit.take(chunk.len())
        {
            return Err(ProtocolError::Window(self.call));
        }
        self.bytes += chunk.len();
        self.batch.chunks.push(chunk);
        Ok(())
    }
}

/// The running calls, and whether the connection still lives.
#[derive(Debug, Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    /// The worker wants to be replaced.
    renewal: AtomicBool,
    pub(super) spans: Spans,
}

/// Calls that a connection remembers.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
struct State {
    waiters: CallMap<Waiter>,
    /// Calls so far.
    calls: u64,
    /// The last attempts with the numbers of their calls, in the order of their coming; the place of the next one goes round.
    last: Vec<(u64, u64)>,
    place: usize,
    ended: Option<Arc<str>>,
}

impl Pending {
    /// The worker has asked to be replaced.
    pub(super) fn want_renewal(&self) {
        self.renewal.store(true, Ordering::Release);
    }

    /// Returns whether the worker has asked to be replaced.
    pub(super) fn wants_renewal(&self) -> bool {
        self.renewal.load(Ordering::Acquire)
    }

    /// Adds an attempt of the call of this number, unless the connection has ended.
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

    /// Returns the number of the call of an attempt that waits for its answer, or was one of the last. That of one which others have
    /// pushed out is its own, as it is of all first attempts.
    pub(super) fn number_of(&self, attempt: u64) -> Option<u64> {
        let state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        let mut last = state.last.iter();
        let known = last.find(|(one, _)| *one == attempt).map(|(_, of)| *of);
        known.or_else(|| state.waiters.contains_key(&attempt).then_some(attempt))
    }

    /// The calls that wait for an answer.
    pub(super) fn calls(&self) -> Vec<u64> {
        let state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        state.waiters.keys().copied().collect()
    }

    /// Takes a call out: to complete it, or to put it back.
    pub(super) fn take(&self, call: u64) -> Option<Waiter> {
        let mut state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        state.waiters.remove(&call)
    }

    /// Puts a call back that goes on. False when the connection ended in the meantime.
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

    /// Ends the connection and fails every call. Their requests had been sent. Where they are `answered_in_turn`, and all answers that there
    /// are have been read, only the first that is left can have been begun.
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

impl State {
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
    /// Order of sending, of a plain call.
    const fn number(&self) -> Option<u64> {
        match self {
            Self::Call { number, .. } => Some(*number),
            _ => None,
        }
    }

    /// Completes a call that the worker has given back. A caller that is gone does not matter.
    pub(super) fn give_back(self) {
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
                // Nothing of it has come, so that there is room.
                let end = Some(Err(CallError::NotBegun));
                let chunks = Vec::new();
                let _ = stream.sender.try_send(Batch { chunks, end });
            }
            // It is no call.
            Self::Describe(_) => {}
        }
    }

    /// Completes the call with a lost connection; it may have been `begun`. A caller that is gone does not matter.
    fn fail(self, reason: &str, begun: bool) {
        match self {
            Self::Describe(sender) => {
                let _ = sender.send(Err(DescribeError::Ended(reason.to_owned())));
            }
            Self::Call { sender, .. } => {
                let _ = sender.send(Err(died(reason, begun)));
            }
            // Without an end the stream reports the lost connection by itself, also when the
            // channel is full just now.
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

/// The error of a call whose connection is gone.
pub(super) fn died(reason: &str, ambiguous: bool) -> CallError {
    let mut exit = WorkerExit::default();
    exit.reason = reason.to_owned();
    CallError::Died {
        exit: Box::new(exit),
        ambiguous,
    }
}
