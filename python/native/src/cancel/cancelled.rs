//! Cancelled calls of a slot, and how far the running one is on its escalation.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::cancel::escalation::{CancelEscalation, CancelStep, InterpreterRequest, Means};
use crate::cancel::offspring::Offspring;
use crate::cancel::signal::Target;
use crate::link::renewal;
use crate::link::reports::Reports;
use crate::process::clock;
use crate::process::fork;

/// Number of cancellations that are remembered because they came before their call.
const REMEMBERED: usize = 256;

/// Number of calls that are remembered as begun, and of calls that the host has taken back. The
/// host sends only a few calls ahead: one that is no longer in the list was answered long ago, and
/// the host has read the answer.
const BEGUN: usize = 64;

/// Cancellations of one slot.
#[derive(Debug)]
pub(crate) struct Cancels {
    state: Mutex<CancelState>,
    /// The slot's thread runs the tool's own code, the only place where an exception may be raised.
    inside: AtomicBool,
    /// Another thread has set an exception for the slot's thread.
    pending: AtomicBool,
    reports: Arc<Reports>,
}

#[derive(Debug, Default)]
struct CancelState {
    running: Option<Running>,
    early: VecDeque<(u64, Duration)>,
    begun: VecDeque<u64>,
    /// Calls to skip when their frames arrive.
    taken_back: VecDeque<u64>,
    /// The flag of the last call, reused by the next call if no other reference exists.
    last_flag: Option<Arc<AtomicBool>>,
}

#[derive(Debug)]
struct Running {
    call: u64,
    flag: Arc<AtomicBool>,
    means: Means,
    escalation: Option<CancelEscalation>,
    /// The last step whose exception another thread has set.
    sent: Option<CancelStep>,
    /// The slot's thread while it is parked before the tool begins.
    sleeper: Option<Thread>,
    /// The host has taken the call back while that thread was parked.
    taken_back: bool,
    /// Processes that the tool had started when it was last reached.
    offspring: Offspring,
}

impl Cancels {
    pub(crate) fn new(reports: Arc<Reports>) -> Self {
        Self {
            state: Mutex::default(),
            inside: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            reports,
        }
    }

    /// Records that the frame of a call has arrived. Returns `false` if the host has taken the call
    /// back: the call must not begin.
    pub(crate) fn admit(&self, call: u64) -> bool {
        let mut state = self.lock();
        if let Some(place) = state.taken_back.iter().position(|id| *id == call) {
            state.taken_back.remove(place);
            return false;
        }
        push(&mut state.begun, call);
        true
    }

    /// Takes a call back for the host. Returns `false` if the call has begun.
    pub(crate) fn recall(&self, call: u64) -> bool {
        let mut state = self.lock();
        if state.begun.contains(&call) {
            return state.take_waiting_back(call);
        }
        if !state.taken_back.contains(&call) {
            push(&mut state.taken_back, call);
        }
        true
    }

    /// Takes a call back for the host if it waits here before its tool begins; returns `false`
    /// otherwise.
    pub(crate) fn take_waiting_back(&self, call: u64) -> bool {
        self.lock().take_waiting_back(call)
    }

    /// Returns whether the slot runs this call.
    pub(crate) fn runs(&self, call: u64) -> bool {
        let running = &self.lock().running;
        running.as_ref().is_some_and(|running| running.call == call)
    }

    /// Returns whether the slot has begun this call; only the last few calls are known.
    pub(crate) fn has_begun(&self, call: u64) -> bool {
        self.lock().begun.contains(&call)
    }

    /// Returns whether the host has taken the running call back.
    pub(crate) fn is_taken_back(&self) -> bool {
        let running = &self.lock().running;
        running.as_ref().is_some_and(|running| running.taken_back)
    }

    /// Starts a call and returns its flag, which is already set if the host has cancelled the call
    /// before.
    pub(crate) fn begin(&self, call: u64, means: Means) -> Arc<AtomicBool> {
        let mut state = self.lock();
        let early = state.early.iter().find(|(id, _)| *id == call).copied();
        let escalation = early.map(|(_, grace)| {
            state.early.retain(|(id, _)| *id != call);
            CancelEscalation::new(clock::now(), grace, means)
        });
        let last = state.last_flag.take();
        let own = last.filter(|flag| Arc::strong_count(flag) == 1);
        let flag = own.unwrap_or_default();
        flag.store(escalation.is_some(), Ordering::Relaxed);
        state.running = Some(Running {
            call,
            flag: Arc::clone(&flag),
            means,
            escalation,
            sent: None,
            sleeper: None,
            taken_back: false,
            offspring: Offspring::default(),
        });
        flag
    }

    /// Runs `wait` on the slot's thread before the tool begins. A cancellation unparks the thread.
    pub(crate) fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.set_sleeper(Some(thread::current()));
        let done = wait();
        self.set_sleeper(None);
        done
    }

    fn set_sleeper(&self, sleeper: Option<Thread>) {
        if let Some(running) = &mut self.lock().running {
            running.sleeper = sleeper;
        }
    }

    /// Records the processes that the tool's thread has started, before the running tool is
    /// reached. The record is kept until the call is over.
    pub(crate) fn remember_offspring(&self, thread: Target) {
        if !self.asks() {
            return;
        }
        let offspring = thread.offspring();
        if let Some(running) = &mut self.lock().running {
            running.offspring = offspring;
        }
    }

    /// Ends the running call. If it was cancelled, reports to the host what stopped it, and ends
    /// the processes that it orphaned.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        let Some(running) = state.running.take() else {
            return;
        };
        state.last_flag = Some(running.flag);
        drop(state);
        running.offspring.end_orphans();
        if let Some(escalation) = running.escalation {
            self.reports
                .stopped(running.call, escalation.end(clock::now()));
        }
    }

    /// Returns the step that stopped the running call; `None` unless the call was cancelled and a
    /// step has reached the tool.
    pub(crate) fn stopped(&self) -> Option<(CancelStep, Duration)> {
        let state = self.lock();
        let escalation = state.running.as_ref()?.escalation.as_ref()?;
        Some(escalation.end(clock::now()))
    }

    /// Runs the tool's own code. An exception may be raised in it from its beginning to its end.
    pub(crate) fn inside<T>(&self, code: impl FnOnce() -> T) -> T {
        self.inside.store(true, Ordering::Relaxed);
        let done = code();
        fork::end_child();
        // Pairs with `deliver`: either `deliver` sees that the code is over, or the exception that
        // it sets is seen here.
        self.inside.store(false, Ordering::SeqCst);
        if self.pending.load(Ordering::SeqCst) {
            self.withdraw();
        }
        done
    }

    /// Withdraws an exception that comes too late, so that it does not hit the next call.
    fn withdraw(&self) {
        let mut state = self.lock();
        self.pending.store(false, Ordering::SeqCst);
        Target::current().unset_exception();
        if let Some(running) = &mut state.running {
            running.sent = None;
        }
    }

    /// Runs code that cleans up after the tool; a cancellation interrupts it only if it takes long.
    pub(crate) fn closing<T>(&self, code: impl FnOnce() -> T) -> T {
        if let Some(escalation) = escalation(&mut self.lock()) {
            escalation.closing();
        }
        self.inside(code)
    }

    /// Cancels a call for the host, which kills the worker `grace` from now unless the call is
    /// over. Returns `false` if this slot does not run the call.
    pub(crate) fn cancel(&self, call: u64, grace: Duration) -> bool {
        self.lock().cancel(call, grace)
    }

    /// Cancels a call as [`cancel`](Self::cancel) does, and remembers the cancellation if the call
    /// may be on its way to this slot.
    pub(crate) fn cancel_or_remember(&self, call: u64, grace: Duration) -> bool {
        let mut state = self.lock();
        let runs = state.cancel(call, grace);
        if !runs {
            if state.early.len() == REMEMBERED {
                state.early.pop_front();
            }
            state.early.push_back((call, grace));
        }
        runs
    }

    /// Returns when the control thread must look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        escalation(&mut self.lock())?.due()
    }

    /// Escalates as far as the time allows. Returns whether the tool's thread needs a
    /// signal. `waits` reports whether that thread waits in a system call.
    pub(crate) fn escalate(&self, waits: impl FnOnce() -> bool) -> bool {
        escalation(&mut self.lock())
            .is_some_and(|escalation| escalation.escalate(clock::now(), waits))
    }

    /// Takes the next request to the interpreter and its call, on the slot's thread. Each request
    /// is returned once.
    pub(crate) fn take(&self) -> Option<(InterpreterRequest, u64)> {
        if !self.inside.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.lock();
        let running = state.running.as_mut()?;
        let ask = running.escalation.as_mut()?.take()?;
        Some((ask, running.call))
    }

    /// Returns whether an exception is to be raised in the running tool.
    pub(crate) fn wants_exception(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
            && escalation(&mut self.lock()).is_some_and(|escalation| escalation.wants_exception())
    }

    /// Returns whether [`deliver`](Self::deliver) may have something to do.
    pub(crate) fn asks(&self) -> bool {
        escalation(&mut self.lock()).is_some_and(|escalation| escalation.asks().is_some())
    }

    /// Takes the next request as [`take`](Self::take) does, on another thread that is attached to
    /// the interpreter. An exception is set with `raise` and arrives later.
    pub(crate) fn deliver(&self, raise: impl FnOnce()) -> Option<(InterpreterRequest, u64)> {
        let mut state = self.lock();
        let running = state.running.as_mut()?;
        let escalation = running.escalation.as_mut()?;
        if escalation.asks() != Some(InterpreterRequest::Raise) {
            let inside = self.inside.load(Ordering::SeqCst);
            let ask = inside.then(|| escalation.fetch()).flatten()?;
            return Some((ask, running.call));
        }
        self.pending.store(true, Ordering::SeqCst);
        if !self.inside.load(Ordering::SeqCst) {
            return None;
        }
        let step = escalation.step();
        let again = step == CancelStep::Again;
        // The exception waits until the interpreter checks for it. A second one would hit the code
        // that cleans up after the first.
        if running.sent.is_none_or(|sent| again && sent != step) {
            running.sent = Some(step);
            raise();
        }
        escalation.fetch();
        Some((InterpreterRequest::Raise, running.call))
    }

    /// Records that the exception which was set has arrived in the tool, and returns the call.
    pub(crate) fn arrived(&self) -> Option<u64> {
        let mut state = self.lock();
        self.pending.store(false, Ordering::SeqCst);
        // The place where it arrived is not known for sure.
        renewal::want();
        let running = state.running.as_mut()?;
        running.escalation.as_mut()?.arrive();
        Some(running.call)
    }

    /// Records that the asyncio task of `call` was cancelled.
    pub(crate) fn task_told(&self, call: u64) {
        let mut state = self.lock();
        if let Some(running) = state.running.as_mut()
            && running.call == call
            && let Some(escalation) = &mut running.escalation
        {
            escalation.task_told();
        }
    }

    fn lock(&self) -> MutexGuard<'_, CancelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CancelState {
    fn take_waiting_back(&mut self, call: u64) -> bool {
        let running = self.running.as_mut();
        let Some(running) = running.filter(|running| running.call == call) else {
            return false;
        };
        if let Some(sleeper) = &running.sleeper {
            running.taken_back = true;
            running.flag.store(true, Ordering::Release);
            sleeper.unpark();
        }
        running.taken_back
    }

    fn cancel(&mut self, call: u64, grace: Duration) -> bool {
        let running = self.running.as_mut();
        let Some(running) = running.filter(|running| running.call == call) else {
            return false;
        };
        running.flag.store(true, Ordering::Release);
        if let Some(sleeper) = &running.sleeper {
            sleeper.unpark();
        }
        let escalation = || CancelEscalation::new(clock::now(), grace, running.means);
        running.escalation.get_or_insert_with(escalation);
        true
    }
}

/// Appends a call; drops the oldest one if the list is full.
fn push(calls: &mut VecDeque<u64>, call: u64) {
    if calls.len() == BEGUN {
        calls.pop_front();
    }
    calls.push_back(call);
}

fn escalation(state: &mut CancelState) -> Option<&mut CancelEscalation> {
    state.running.as_mut()?.escalation.as_mut()
}
