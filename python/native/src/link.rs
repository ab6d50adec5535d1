//! The slot connection as the threads of one call share it.
//!
//! One thread reads at a time. A thread that waits for an answer takes the reader if it is free,
//! hands the other threads their answers, and puts the reader back when it has its own. The slot's
//! own thread lends the reader out while a tool with a context runs, and takes it back first when
//! the tool is over. Nothing here needs the interpreter.

pub(crate) mod body;
mod of_loop;
pub(crate) mod outbox;
mod outcome;
pub(crate) mod outlet;
pub(crate) mod reader;
pub(crate) mod renewal;
pub(crate) mod reports;
mod state;
pub(crate) mod wake;

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use snakepit_grpc::frame::{FLAG_ERROR, Header, Kind};

use crate::link::outbox::{Frame, Outbox};
use crate::link::reader::{Incoming, Reader};
use crate::link::wake::{Ready, Wake};
use crate::process::clock;
pub(crate) use outcome::{Failure, Outcome, Waited};
pub(crate) use state::Port;
use state::{Open, ReaderState};

/// Largest number of requests that the host answers at the same time; further ones wait in a queue.
const MAX_OPEN: usize = 64;

/// Interval at which a thread that cannot be interrupted while it waits checks for signals.
const SIGNALS: Duration = Duration::from_millis(100);

/// A slot connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) outbox: Arc<Outbox>,
    /// The reading side.
    way: Way,
    state: Mutex<ReaderState>,
    changed: Condvar,
}

/// The reading side of a connection.
#[derive(Debug)]
enum Way {
    /// The threads of the call read the connection; the wake-up ends the wait of the reading one.
    Own { socket: RawFd, wake: Wake },
    /// An event loop on this thread reads the connection, for many calls.
    Loop(ThreadId),
}

/// Bits of a request's number that count the requests of one call; the others are the call.
const NUMBER_BITS: u32 = 24;

impl Link {
    pub(crate) fn new(outbox: Outbox, socket: RawFd) -> io::Result<Self> {
        let wake = Wake::new()?;
        Ok(Self::over(Arc::new(outbox), Way::Own { socket, wake }))
    }

    fn over(outbox: Arc<Outbox>, way: Way) -> Self {
        Self {
            outbox,
            way,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Returns the connection for an event loop to watch. `None` if an event loop reads it anyway.
    pub(crate) const fn socket(&self) -> Option<RawFd> {
        match &self.way {
            Way::Own { socket, .. } => Some(*socket),
            Way::Loop(_) => None,
        }
    }

    /// Wakes the thread that reads, so that it checks the state again.
    fn notify(&self) {
        if let Way::Own { wake, .. } = &self.way {
            wake.notify();
        }
    }

    /// Begins a call that may make requests; its threads may read from now on.
    pub(crate) fn lend(&self, reader: Box<Reader>, call: u64) {
        let mut state = self.lock();
        state.reader = Some(reader);
        state.call = call;
        state.before = state.last;
        state.in_flight = 0;
    }

    /// Ends the call: its open requests fail. Returns the reader, unless another thread has it.
    pub(crate) fn end_call(&self) -> Option<Box<Reader>> {
        let mut state = self.lock();
        state.call = 0;
        if !state.open.is_empty() {
            state.fail(Failure::Over);
            self.changed.notify_all();
        }
        state.take_reader()
    }

    /// Waits until the other thread has put the reader back, which it does at once.
    pub(crate) fn reclaim(&self) -> Box<Reader> {
        let mut state = self.lock();
        loop {
            if let Some(reader) = state.take_reader() {
                state.over = false;
                return reader;
            }
            state.over = true;
            self.notify();
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Fails the open requests of a call that was cancelled, after its flag was set.
    pub(crate) fn cancel(&self, call: u64) {
        let mut state = self.lock();
        if state.call == call && !state.open.is_empty() {
            state.fail(Failure::Cancelled);
            self.changed.notify_all();
            self.notify();
        }
    }

    /// Allocates a number for a request of `call`, and returns whether it may be sent at once.
    /// Otherwise the request goes to [`Self::queue`].
    pub(crate) fn open(
        &self,
        call: u64,
        cancelled: &AtomicBool,
        port: Option<Arc<Port>>,
    ) -> Result<(u64, bool), Failure> {
        let mut state = self.lock();
        if state.call != call {
            return Err(Failure::Over);
        }
        // Read under the lock: the thread that sets the flag fails the open requests afterwards.
        if cancelled.load(Ordering::Acquire) {
            return Err(Failure::Cancelled);
        }
        if state.gone {
            return Err(Failure::HostGone);
        }
        state.last = match &self.way {
            Way::Own { .. } => state.last + 1,
            // The bits of the call stay; numbers used that long ago are free again.
            Way::Loop(_) => state.before | ((state.last + 1) % (1 << NUMBER_BITS)).max(1),
        };
        let number = state.last;
        state.open.push(Open {
            number,
            outcome: None,
            port,
        });
        let room = state.in_flight < MAX_OPEN;
        if room {
            state.in_flight += 1;
        }
        Ok((number, room))
    }

    /// Keeps the frame of a request until there is room. Returns the frame if there is room by now.
    pub(crate) fn queue(&self, frame: Frame) -> Option<Frame> {
        let mut state = self.lock();
        if state.in_flight < MAX_OPEN {
            state.in_flight += 1;
            return Some(frame);
        }
        state.queued.push_back(frame);
        None
    }

    /// Forgets a request without waiters. Returns true if its call runs, so that the
    /// host must be notified.
    pub(crate) fn give_up(&self, number: u64) -> bool {
        let mut state = self.lock();
        state.forget(number);
        state.queued.retain(|waiting| waiting.header.call != number);
        state.call != 0 && number > state.before
    }

    /// Waits for the outcome of a request.
    pub(crate) fn wait(&self, number: u64, deadline: Option<Instant>) -> Waited {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.take(number) {
                return Waited::Done(outcome);
            }
            let left = deadline.map(left);
            if left == Some(Duration::ZERO) {
                state.forget(number);
                return Waited::Done(Outcome::Failed(Failure::Late));
            }
            if !state.over
                && let Some(mut reader) = state.reader.take()
            {
                drop(state);
                let led = self.lead(&mut reader, Some(number), deadline);
                state = self.lock();
                self.put_back(&mut state, reader);
                match led {
                    Ok(Led::Own(outcome)) => {
                        state.forget(number);
                        return Waited::Done(outcome);
                    }
                    Ok(Led::Signal) => return Waited::Signal,
                    Ok(Led::Stop) => {}
                    Ok(Led::End) | Err(_) => self.end(&mut state),
                }
                continue;
            }
            let tick = left.map_or(SIGNALS, |left| left.min(SIGNALS));
            let (woken, timeout) = self
                .changed
                .wait_timeout(state, tick)
                .unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() && left.is_none_or(|left| left > SIGNALS) {
                return Waited::Signal;
            }
            state = woken;
        }
    }

    /// Reads the frames that are there, without waiting, unless another thread reads.
    pub(crate) fn pump(&self) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        let Some(mut reader) = state.reader.take() else {
            return;
        };
        drop(state);
        let led = self.lead(&mut reader, None, Some(clock::now()));
        let mut state = self.lock();
        self.put_back(&mut state, reader);
        if matches!(led, Ok(Led::End) | Err(_)) {
            self.end(&mut state);
        }
    }

    fn put_back(&self, state: &mut ReaderState, reader: Box<Reader>) {
        state.reader = Some(reader);
        if state.over || state.open.iter().any(|open| open.port.is_none()) {
            self.changed.notify_all();
        }
    }

    fn end(&self, state: &mut ReaderState) {
        state.gone = true;
        state.fail(Failure::HostGone);
        self.changed.notify_all();
    }

    /// Reads and hands out answers until the caller's own answer arrives, the time is up, or
    /// another thread needs the reader.
    fn lead(
        &self,
        reader: &mut Reader,
        own: Option<u64>,
        deadline: Option<Instant>,
    ) -> io::Result<Led> {
        loop {
            match reader.parse()? {
                Some(Incoming::End) => return Ok(Led::End),
                Some(Incoming::TooLarge(header)) => {
                    let outcome = Outcome::TooLarge(header.body_len);
                    if header.kind != Kind::HostReply {
                        self.lock().refused.push(header);
                    } else if let Some(own) = self.answered(header, outcome, own)? {
                        return Ok(own);
                    }
                }
                Some(Incoming::Frame(frame)) if frame.header.kind == Kind::HostReply => {
                    let outcome = if frame.header.flags & FLAG_ERROR == 0 {
                        Outcome::Reply(reader.take_body(&frame))
                    } else {
                        Outcome::Error(reader.head(&frame).to_vec())
                    };
                    if let Some(own) = self.answered(frame.header, outcome, own)? {
                        return Ok(own);
                    }
                }
                Some(Incoming::Frame(frame)) => {
                    let mut state = self.lock();
                    state.early.extend_from_slice(&frame.header.encode());
                    state.early.extend_from_slice(reader.head(&frame));
                    state.early.extend_from_slice(reader.body(&frame));
                }
                None => match self.wake()?.wait(reader.fd(), deadline.map(left))? {
                    Ready::Socket => match reader.fill() {
                        Ok(true) => {}
                        Ok(false) => return reader.end().map(|_| Led::End),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                            return Ok(Led::Signal);
                        }
                        Err(error) => return Err(error),
                    },
                    Ready::Woken | Ready::Late => return Ok(Led::Stop),
                    Ready::Interrupted => return Ok(Led::Signal),
                },
            }
        }
    }

    /// Returns the wake-up. Only connections that their own threads read are led.
    fn wake(&self) -> io::Result<&Wake> {
        match &self.way {
            Way::Own { wake, .. } => Ok(wake),
            Way::Loop(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Hands an answer to the thread that waits for it, and sends a request that waited for room.
    /// Returns the answer if it is the caller's own.
    fn answered(
        &self,
        header: Header,
        outcome: Outcome,
        own: Option<u64>,
    ) -> io::Result<Option<Led>> {
        let number = header.call;
        let mut state = self.lock();
        let next = (number > state.before).then(|| state.room()).flatten();
        let led = if own == Some(number) {
            Some(Led::Own(outcome))
        } else {
            if state.answer(number, outcome) {
                self.changed.notify_all();
            }
            None
        };
        drop(state);
        if let Some(frame) = next {
            self.outbox.send_detached(frame)?;
        }
        Ok(led)
    }

    fn lock(&self) -> MutexGuard<'_, ReaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason why a thread stopped reading.
#[derive(Debug)]
enum Led {
    /// The thread's own answer is there.
    Own(Outcome),
    /// The thread must check the state again, or the time is up.
    Stop,
    /// A signal arrived.
    Signal,
    /// The connection has ended.
    End,
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(clock::now())
}
