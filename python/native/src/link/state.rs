//! The open requests of one call, and their waiters.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use snakepit_grpc::frame::Header;

use super::{Failure, Outcome};
use crate::link::outbox::Frame;
use crate::link::reader::Reader;
use crate::link::wake::Wake;

#[derive(Debug, Default)]
pub(super) struct ReaderState {
    /// The reader; `None` while a thread reads, and between calls.
    pub(super) reader: Option<Box<Reader>>,
    /// The call that may make requests; 0 if there is none.
    pub(super) call: u64,
    /// The slot's thread waits for its reader.
    pub(super) over: bool,
    /// Number of the last request.
    pub(super) last: u64,
    /// Number of the last request of the calls before this one.
    pub(super) before: u64,
    /// Requests that were sent to the host and are not yet answered.
    pub(super) in_flight: usize,
    pub(super) open: Vec<Open>,
    /// Requests that wait for room.
    pub(super) queued: VecDeque<Frame>,
    /// Complete frames for the slot's thread that arrived while the tool ran.
    pub(super) early: Vec<u8>,
    /// Frames over the size limit that are not answers; the slot's thread rejects them.
    pub(super) refused: Vec<Header>,
    pub(super) gone: bool,
}

/// A request that a thread or an event loop waits for.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) outcome: Option<Outcome>,
    pub(super) port: Option<Arc<Port>>,
}

/// The queue through which an event loop receives the outcomes of its requests.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) wake: Wake,
    done: Mutex<Vec<(u64, Outcome)>>,
}

impl Port {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            wake: Wake::new()?,
            done: Mutex::default(),
        })
    }

    /// Returns the outcomes since the last call of this method.
    pub(crate) fn take(&self) -> Vec<(u64, Outcome)> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if !done.is_empty() {
            self.wake.clear();
        }
        std::mem::take(&mut done)
    }

    fn put(&self, number: u64, outcome: Outcome) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push((number, outcome));
        if done.len() == 1 {
            self.wake.notify();
        }
    }
}

impl ReaderState {
    /// Takes the reader for the slot's thread, with the frames that arrived meanwhile.
    pub(super) fn take_reader(&mut self) -> Option<Box<Reader>> {
        let mut reader = self.reader.take()?;
        if !self.early.is_empty() {
            reader.unread(&std::mem::take(&mut self.early));
        }
        reader.refuse(std::mem::take(&mut self.refused));
        Some(reader)
    }

    /// Records that the host has answered a request. Returns the next request in the queue, which
    /// takes its place.
    pub(super) fn room(&mut self) -> Option<Frame> {
        let next = self.queued.pop_front();
        if next.is_none() {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        next
    }

    /// Delivers an outcome. Returns whether a thread waits for it. The outcome of a forgotten
    /// request is dropped.
    pub(super) fn answer(&mut self, number: u64, outcome: Outcome) -> bool {
        let Some(at) = self.open.iter().position(|open| open.number == number) else {
            return false;
        };
        if let Some(port) = self.open[at].port.clone() {
            self.open.swap_remove(at);
            port.put(number, outcome);
            return false;
        }
        self.open[at].outcome.get_or_insert(outcome);
        true
    }

    /// Fails all requests that have no outcome.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.queued.clear();
        for open in &mut self.open {
            if let Some(port) = &open.port {
                port.put(open.number, Outcome::Failed(failure));
            } else {
                open.outcome.get_or_insert(Outcome::Failed(failure));
            }
        }
        self.open.retain(|open| open.port.is_none());
    }

    pub(super) fn take(&mut self, number: u64) -> Option<Outcome> {
        let at = self.open.iter().position(|open| open.number == number)?;
        self.open[at]
            .outcome
            .is_some()
            .then(|| self.open.swap_remove(at).outcome.expect("it was seen"))
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.open.retain(|open| open.number != number);
    }
}
