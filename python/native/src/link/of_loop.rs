//! A link whose answers an event loop reads, for the requests of one of many calls.

use std::io;
use std::sync::Arc;
use std::thread::ThreadId;

use snakepit_grpc::frame::Header;

use super::{Link, NUMBER_BITS, Outcome, Way};
use crate::outbox::Outbox;

impl Link {
    /// The requests of one call at a time, on a connection that the event loop of `thread` reads
    /// for many.
    pub(crate) fn of_loop(outbox: Arc<Outbox>, thread: ThreadId) -> Self {
        Self::over(outbox, Way::Loop(thread))
    }

    /// Whether a wait on this thread would never end: it is the one that reads the answers.
    pub(crate) fn is_read_here(&self) -> bool {
        matches!(&self.way, Way::Loop(thread) if *thread == std::thread::current().id())
    }

    /// The call that a request was made for; of a connection that an event loop reads.
    pub(crate) const fn call_of(number: u64) -> u64 {
        number >> NUMBER_BITS
    }

    /// A call begins whose answers an event loop reads.
    pub(crate) fn begin_call(&self, call: u64) {
        let mut state = self.lock();
        state.call = call;
        state.before = call << NUMBER_BITS;
        state.last = state.before;
        state.in_flight = 0;
    }

    /// The event loop has read an answer.
    pub(crate) fn answer(&self, header: Header, outcome: Outcome) -> io::Result<()> {
        self.answered(header, outcome, None).map(drop)
    }
}
