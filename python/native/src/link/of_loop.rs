//! Links whose answers an event loop reads, each for one of the many calls on a connection.

use std::io;
use std::sync::Arc;
use std::thread::ThreadId;

use snakepit_grpc::frame::Header;

use super::{Link, NUMBER_BITS, Outcome, Way};
use crate::link::outbox::Outbox;

impl Link {
    /// Creates a link on a connection that the event loop of `thread` reads; the link serves one
    /// call at a time.
    pub(crate) fn of_loop(outbox: Arc<Outbox>, thread: ThreadId) -> Self {
        Self::over(outbox, Way::Loop(thread))
    }

    /// Returns whether this is the thread that reads the answers: a wait here would never end.
    pub(crate) fn is_read_here(&self) -> bool {
        matches!(&self.way, Way::Loop(thread) if *thread == std::thread::current().id())
    }

    /// Returns the call for which a request was made, on a connection that an event loop reads.
    pub(crate) const fn call_of(number: u64) -> u64 {
        number >> NUMBER_BITS
    }

    /// Begins a call whose answers an event loop reads.
    pub(crate) fn begin_call(&self, call: u64) {
        let mut state = self.lock();
        state.call = call;
        state.before = call << NUMBER_BITS;
        state.last = state.before;
        state.in_flight = 0;
    }

    /// Delivers an answer that the event loop has read.
    pub(crate) fn answer(&self, header: Header, outcome: Outcome) -> io::Result<()> {
        self.answered(header, outcome, None).map(drop)
    }
}
