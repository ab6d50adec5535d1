//! Which calls are cancelled, and how far the running one is on its ladder.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::ladder::{Ask, Ladder, Reach, Step};
use crate::offspring::Offspring;
use crate::reports::Reports;
use crate::signal::Target;
use crate::{clock, fork, renewal};

/// Cancellations that came before their call are remembered, the last so many.
const REMEMBERED: usize = 256;

/// Calls that were begun are remembered, the last so many, and as many that the host has taken
/// back. It sends only a few ahead, so one that is not among those begun any more was answered long
/// ago, and the host has read that.
const BEGUN: usize = 64;

/// The cancellations of a slot.
#[derive(Debug)]
pub(crate) struct Cancels {
    state: Mutex<State>,
    /// The slot's thread is in the tool's own code, the only place where an exception may be
    /// raised.
    inside: AtomicBool,
    /// Another thread has set an exception for the slot's thread.
    pending: AtomicBool,
    reports: Arc<Reports>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    early: VecDeque<(u64, Duration)>,
    begun: VecDeque<u64>,
    /// Calls to be skipped when they come.
    taken_back: VecDeque<u64>,
    /// The flag of the last call, which the next one uses if nobody else has it any more.
    last_flag: Option<Arc<AtomicBool>>,
}

#[derive(Debug)]
struct Running {
    call: u64,
    flag: Arc<AtomicBool>,
    reach: Reach,
    ladder: Option<Ladder>,
    /// The last step whose exception another thread has set.
    sent: Option<Step>,
    /// The slot's thread, while it sleeps before the tool begins.
    sleeper: Option<Thread>,
    /// The host has taken it back while that thread slept.
    taken_back: bool,
    /// What the tool had started when it was last reached.
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

    /// A call has come: `false` when the host has taken it back in the meantime, and it must not be
    /// begun.
    pub(crate) fn admit(&self, call: u64) -> bool {
        let mut state = self.lock();
        if let Some(place) = state.taken_back.iter().position(|id| *id == call) {
            state.taken_back.remove(place);
            return false;
        }
        push(&mut state.begun, call);
        true
    }

    /// The host takes a call back: `false` when it was begun.
    pub(crate) fn take_back(&self, call: u64) -> bool {
        let mut state = self.lock();
        if state.begun.contains(&call) {
            return state.take_waiting_back(call);
        }
        if !state.taken_back.contains(&call) {
            push(&mut state.taken_back, call);
        }
        true
    }

    /// The host takes a call back: `false` unless it waits here before its tool begins.
    pub(crate) fn take_waiting_back(&self, call: u64) -> bool {
        self.lock().take_waiting_back(call)
    }

    /// Returns whether the slot runs this call.
    pub(crate) fn runs(&self, call: u64) -> bool {
        let running = &self.lock().running;
        running.as_ref().is_some_and(|running| running.call == call)
    }

    /// Returns whether the slot has begun with this call, one of the last.
    pub(crate) fn has_begun(&self, call: u64) -> bool {
        self.lock().begun.contains(&call)
    }

    /// Whether the host has taken the running call back.
    pub(crate) fn is_taken_back(&self) -> bool {
        let running = &self.lock().running;
        running.as_ref().is_some_and(|running| running.taken_back)
    }

    /// A call starts: its flag, already set when the host cancelled it before.
    pub(crate) fn begin(&self, call: u64, reach: Reach) -> Arc<AtomicBool> {
        let mut state = self.lock();
        let early = state.early.iter().find(|(id, _)| *id == call).copied();
        let ladder = early.map(|(_, grace)| {
            state.early.retain(|(id, _)| *id != call);
            Ladder::new(clock::now(), grace, reach)
        });
        let last = state.last_flag.take();
        let own = last.filter(|flag| Arc::strong_count(flag) == 1);
        let flag = own.unwrap_or_default();
        flag.store(ladder.is_some(), Ordering::Relaxed);
        state.running = Some(Running {
            call,
            flag: Arc::clone(&flag),
            reach,
            ladder,
            sent: None,
            sleeper: None,
            taken_back: false,
            offspring: Offspring::default(),
        });
        flag
    }

    /// On the slot's thread: waits for something before the tool begins. A cancellation unparks the
    /// thread.
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

    /// The tool of the running call is about to be reached: what its thread has started is
    /// remembered until the call is over.
    pub(crate) fn remember_offspring(&self, thread: Target) {
        if !self.asks() {
            return;
        }
        let offspring = thread.offspring();
        if let Some(running) = &mut self.lock().running {
            running.offspring = offspring;
        }
    }

    /// The running call is over. When it was cancelled the host is told what stopped it, and
    /// processes that it orphaned are ended.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        let Some(running) = state.running.take() else {
            return;
        };
        state.last_flag = Some(running.flag);
        drop(state);
        running.offspring.end_orphans();
        if let Some(ladder) = running.ladder {
            self.reports.stopped(running.call, ladder.end(clock::now()));
        }
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
        fork::end_child();
        // Together with `reach`: either that sees that the code is over, or the exception that it
        // sets is seen here.
        self.inside.store(false, Ordering::SeqCst);
        if self.pending.load(Ordering::SeqCst) {
            self.withdraw();
        }
        done
    }

    /// An exception that comes too late must not hit the next call.
    fn withdraw(&self) {
        let mut state = self.lock();
        self.pending.store(false, Ordering::SeqCst);
        Target::current().unset_exception();
        if let Some(running) = &mut state.running {
            running.sent = None;
        }
    }

    /// Runs what cleans up after the tool: it is interrupted only when it takes long.
    pub(crate) fn closing<T>(&self, code: impl FnOnce() -> T) -> T {
        if let Some(ladder) = ladder(&mut self.lock()) {
            ladder.closing();
        }
        self.inside(code)
    }

    /// The host cancels a call, and kills the worker `grace` from now unless the call is over;
    /// false when this slot does not run it.
    pub(crate) fn cancel(&self, call: u64, grace: Duration) -> bool {
        self.lock().cancel(call, grace)
    }

    /// As [`cancel`](Self::cancel), and the call may be on its way to this slot.
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

    /// When the control thread has to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        ladder(&mut self.lock())?.due()
    }

    /// Goes up the ladder, as far as it is time; true when the tool's thread needs a signal.
    /// `waits` tells whether it waits in the system.
    pub(crate) fn climb(&self, waits: impl FnOnce() -> bool) -> bool {
        ladder(&mut self.lock()).is_some_and(|ladder| ladder.climb(clock::now(), waits))
    }

    /// On the slot's thread, in the interpreter: what is to be done with the tool, once, and its
    /// call.
    pub(crate) fn take(&self) -> Option<(Ask, u64)> {
        if !self.inside.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.lock();
        let running = state.running.as_mut()?;
        let ask = running.ladder.as_mut()?.take()?;
        Some((ask, running.call))
    }

    /// Returns whether an exception is to be raised in the running tool.
    pub(crate) fn wants_exception(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
            && ladder(&mut self.lock()).is_some_and(|ladder| ladder.wants_exception())
    }

    /// Whether [`reach`](Self::reach) may have something to do.
    pub(crate) fn asks(&self) -> bool {
        ladder(&mut self.lock()).is_some_and(|ladder| ladder.asks().is_some())
    }

    /// As [`take`](Self::take), on another thread that is attached to the interpreter. An exception
    /// is set with `raise` and arrives later.
    pub(crate) fn reach(&self, raise: impl FnOnce()) -> Option<(Ask, u64)> {
        let mut state = self.lock();
        let running = state.running.as_mut()?;
        let ladder = running.ladder.as_mut()?;
        if ladder.asks() != Some(Ask::Raise) {
            let inside = self.inside.load(Ordering::SeqCst);
            let ask = inside.then(|| ladder.fetch()).flatten()?;
            return Some((ask, running.call));
        }
        self.pending.store(true, Ordering::SeqCst);
        if !self.inside.load(Ordering::SeqCst) {
            return None;
        }
        let step = ladder.step();
        let again = step == Step::Again;
        // It waits until the interpreter looks; a second one would hit what cleans up after the
        // first.
        if running.sent.is_none_or(|sent| again && sent != step) {
            running.sent = Some(step);
            raise();
        }
        ladder.fetch();
        Some((Ask::Raise, running.call))
    }

    /// The exception that was set has arrived in the tool; returns its call.
    pub(crate) fn arrived(&self) -> Option<u64> {
        let mut state = self.lock();
        self.pending.store(false, Ordering::SeqCst);
        // Where it arrived is not known for sure.
        renewal::want();
        let running = state.running.as_mut()?;
        running.ladder.as_mut()?.arrive();
        Some(running.call)
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

impl State {
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
        let ladder = || Ladder::new(clock::now(), grace, running.reach);
        running.ladder.get_or_insert_with(ladder);
        true
    }
}

/// Adds a call; the oldest one makes room.
fn push(calls: &mut VecDeque<u64>, call: u64) {
    if calls.len() == BEGUN {
        calls.pop_front();
    }
    calls.push_back(call);
}

fn ladder(state: &mut State) -> Option<&mut Ladder> {
    state.running.as_mut()?.ladder.as_mut()
}
