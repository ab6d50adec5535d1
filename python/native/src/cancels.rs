//! Which calls are cancelled, and how far the running one is on its ladder.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prost::Message as _;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::clock;
use crate::ladder::{Ask, Ladder, Reach, Step};
use crate::socket;

/// Cancellations that came before their call are remembered, the last so many.
const REMEMBERED: usize = 256;

/// The cancellations of a worker.
#[derive(Debug)]
pub(crate) struct Cancels {
    state: Mutex<State>,
    /// The slot's thread is in the tool's own code, the only place where an exception may be raised.
    inside: AtomicBool,
    /// The control connection.
    control: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    early: VecDeque<(u64, Duration)>,
}

#[derive(Debug)]
struct Running {
    call: u64,
    flag: Arc<AtomicBool>,
    reach: Reach,
    ladder: Option<Ladder>,
}

impl Cancels {
    /// `control` is the connection that reports go to.
    pub(crate) fn new(control: OwnedFd) -> Self {
        Self {
            state: Mutex::default(),
            inside: AtomicBool::new(false),
            control,
        }
    }

    /// A call starts: its flag, already set when the host cancelled it before.
    pub(crate) fn begin(&self, call: u64, reach: Reach) -> Arc<AtomicBool> {
        let mut state = self.lock();
        let early = state.early.iter().find(|(id, _)| *id == call).copied();
        let ladder = early.map(|(_, grace)| {
            state.early.retain(|(id, _)| *id != call);
            Ladder::new(clock::now(), grace, reach)
        });
        let flag = Arc::new(AtomicBool::new(ladder.is_some()));
        state.running = Some(Running {
            call,
            flag: Arc::clone(&flag),
            reach,
            ladder,
        });
        flag
    }

    /// The running call is over. When it was cancelled the host is told what stopped it.
    pub(crate) fn end(&self) {
        let Some(running) = self.lock().running.take() else {
            return;
        };
        let Some((step, after)) = running.ladder.map(|ladder| ladder.end(clock::now())) else {
            return;
        };
        let head = pb::Stopped {
            step: step as u32,
            after_us: u64::try_from(after.as_micros()).unwrap_or(u64::MAX),
        };
        let head = head.encode_to_vec();
        let mut header = Header::new(Kind::Stopped, running.call);
        header.head_len = u32::try_from(head.len()).expect("two numbers are short");
        self.send(&[&header.encode()[..], &head].concat());
    }

    /// Sends a short frame on the control connection. It does not wait: a host that does not read loses it, as a whole, for the kernel
    /// takes such a frame in one piece or not at all.
    pub(crate) fn send(&self, frame: &[u8]) {
        // The lock keeps frames of two threads apart.
        let _state = self.lock();
        // A connection that ended is noticed by its reader.
        let _ = socket::write(&self.control, [frame, &[]], false);
    }

    /// What stopped the running call, if it was cancelled and something has arrived.
    pub(crate) fn stopped(&self) -> Option<(Step, Duration)> {
        let state = self.lock();
        let ladder = state.running.as_ref()?.ladder.as_ref()?;
        Some(ladder.end(clock::now()))
    }

    /// Runs the tool's own code: from its beginning to its end an exception may be raised in it.
    pub(crate) fn inside<T>(&self, code: impl FnOnce() -> T) -> T {
        self.inside.store(true, Ordering::Relaxed);
        let done = code();
        self.inside.store(false, Ordering::Relaxed);
        done
    }

    /// Runs what cleans up after the tool: it is interrupted only when it takes long.
    pub(crate) fn closing<T>(&self, code: impl FnOnce() -> T) -> T {
        if let Some(ladder) = ladder(&mut self.lock()) {
            ladder.closing();
        }
        self.inside(code)
    }

    /// The host cancels a call, and kills the worker `grace` from now unless the call is over.
    pub(crate) fn cancel(&self, call: u64, grace: Duration) {
        let mut state = self.lock();
        match &mut state.running {
            Some(running) if running.call == call => {
                running.flag.store(true, Ordering::Release);
                let ladder = || Ladder::new(clock::now(), grace, running.reach);
                running.ladder.get_or_insert_with(ladder);
            }
            _ => {
                if state.early.len() == REMEMBERED {
                    state.early.pop_front();
                }
                state.early.push_back((call, grace));
            }
        }
    }

    /// When the control thread has to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        ladder(&mut self.lock())?.due()
    }

    /// Goes up the ladder, as far as it is time; true when the tool's thread needs a signal. `waits` tells whether it waits in the system.
    pub(crate) fn climb(&self, waits: impl FnOnce() -> bool) -> bool {
        ladder(&mut self.lock()).is_some_and(|ladder| ladder.climb(clock::now(), waits))
    }

    /// On the slot's thread, in the interpreter: what is to be done with the tool, once, and its call.
    pub(crate) fn take(&self) -> Option<(Ask, u64)> {
        if !self.inside.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.lock();
        let running = state.running.as_mut()?;
        let ask = running.ladder.as_mut()?.take()?;
        Some((ask, running.call))
    }

    /// The asyncio task of `call` has been told.
    pub(crate) fn task_told(&self, call: u64) {
        let mut state = self.lock();
        if let Some(running) = state.running.as_mut()
            && running.call == call
            && let Some(ladder) = &mut running.ladder
        {
            ladder.task_told();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ladder(state: &mut State) -> Option<&mut Ladder> {
    state.running.as_mut()?.ladder.as_mut()
}
