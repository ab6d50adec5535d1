//! The calls of a shared connection, and the escalations of the cancelled ones. Nothing here needs
//! the interpreter.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use snakepit_grpc::frame::Header;

use crate::cancel::escalation::{CancelEscalation, CancelStep, InterpreterRequest, Means};
use crate::cancel::offspring::Offspring;
use crate::link::{Link, Outcome};
use crate::process::clock;
use crate::serve::multiplexed::window::Window;

/// Number of cancellations that are remembered because they came before their call.
const REMEMBERED: usize = 1024;

/// The means of a task, which is cancelled at once: while it awaits, it cannot look at its flag.
const TASK: Means = Means {
    flag: false,
    task: true,
};

/// The calls that run on a connection.
#[derive(Debug)]
pub(crate) struct Table {
    /// Largest number of calls that the host has open on the connection at a time.
    calls: usize,
    state: Mutex<TableState>,
}

#[derive(Debug, Default)]
struct TableState {
    running: HashMap<u64, Entry>,
    /// Ladders of cancelled calls.
    escalations: HashMap<u64, CancelEscalation>,
    early: VecDeque<(u64, Duration)>,
    /// The last calls that were answered. The host reads answers in order, so those that it has not
    /// read are among them.
    answered: VecDeque<u64>,
    /// Calls to skip when their frames arrive.
    taken_back: HashSet<u64>,
}

/// A running call.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) flag: Arc<AtomicBool>,
    /// The call is a task of the event loop; other calls have the escalation of their slot.
    pub(crate) task: bool,
    /// Code of the tool has run, or may run at any moment.
    pub(crate) begun: bool,
    /// `None` if the tool cannot make requests to the host.
    pub(crate) link: Option<Arc<Link>>,
    /// `None` if the call is not a stream.
    pub(crate) window: Option<Arc<Window>>,
    /// Programs that the call has started, if it is a task.
    pub(crate) programs: Offspring,
}

impl Table {
    pub(crate) fn new(calls: u16) -> Self {
        Self {
            calls: calls.into(),
            state: Mutex::default(),
        }
    }

    /// Records that the frame of a call has arrived. Returns `false` if the host has taken the call
    /// back: it must be skipped.
    pub(crate) fn admit(&self, call: u64) -> bool {
        !self.lock().taken_back.remove(&call)
    }

    /// Records that the tool of a call is about to run. Returns `false` if the host has taken the
    /// call back: the tool must not run.
    pub(crate) fn started(&self, call: u64) -> bool {
        let mut state = self.lock();
        let entry = state.running.get_mut(&call);
        entry.is_some_and(|entry| {
            entry.begun = true;
            true
        })
    }

    /// Returns whether this call runs on the connection.
    pub(crate) fn runs(&self, call: u64) -> bool {
        self.lock().running.contains_key(&call)
    }

    /// Returns whether this call was answered; only the last few calls are known.
    pub(crate) fn was_answered(&self, call: u64) -> bool {
        self.lock().answered.contains(&call)
    }

    /// Takes a call back for the host. Returns `false` if its tool has begun, or the call is over.
    pub(crate) fn recall(&self, call: u64) -> bool {
        let mut state = self.lock();
        match state.running.get(&call) {
            Some(entry) if entry.begun => return false,
            Some(_) => {
                let entry = state.running.remove(&call);
                state.escalations.remove(&call);
                drop(state);
                // Outside the lock: this may drop the last reference to a link.
                drop(entry);
                return true;
            }
            None => {}
        }
        let over = state.answered.contains(&call);
        if !over {
            state.taken_back.insert(call);
        }
        !over
    }

    /// Starts a call. If the host has cancelled it before, its flag is set at once.
    pub(crate) fn begin(&self, call: u64, entry: Entry) {
        let mut state = self.lock();
        if let Some(at) = state.early.iter().position(|(id, _)| *id == call)
            && let Some((_, grace)) = state.early.remove(at)
        {
            entry.flag.store(true, Ordering::Release);
            if entry.task {
                let escalation = CancelEscalation::new(clock::now(), grace, TASK);
                state.escalations.insert(call, escalation);
            }
        }
        state.running.insert(call, entry);
    }

    /// Records a program that a task has started, and that ends with the task if it is cancelled.
    /// Ignores calls that are over, and calls on threads.
    pub(crate) fn add_program(&self, call: u64, pid: i32) {
        let mut state = self.lock();
        if let Some(entry) = state.running.get_mut(&call).filter(|entry| entry.task) {
            entry.programs.add_child(pid);
        }
    }

    /// Records the descendants of a task's programs before the task is cancelled, while their
    /// parents live.
    pub(crate) fn look_at_programs(&self, call: u64) {
        let take = |state: &mut TableState| {
            let entry = state.running.get_mut(&call)?;
            Some(std::mem::take(&mut entry.programs))
        };
        let programs = take(&mut self.lock());
        let Some(mut programs) = programs.filter(|programs| !programs.is_empty()) else {
            return;
        };
        programs.look();
        if let Some(entry) = self.lock().running.get_mut(&call) {
            entry.programs.add_all(programs);
        }
    }

    /// Records that a thread begins a call, whose answers from the host go to `link`.
    pub(crate) fn lend(&self, call: u64, link: &Arc<Link>) {
        if let Some(entry) = self.lock().running.get_mut(&call) {
            entry.link = Some(Arc::clone(link));
        }
    }

    /// Ends a call. If it was cancelled, returns what stopped it, and how long that took.
    pub(crate) fn end(&self, call: u64) -> Option<(CancelStep, Duration)> {
        let mut state = self.lock();
        let mut entry = state.running.remove(&call);
        let stopped = state.escalations.remove(&call);
        if state.answered.len() >= self.calls {
            state.answered.pop_front();
        }
        state.answered.push_back(call);
        drop(state);
        let programs = entry
            .as_mut()
            .map(|entry| std::mem::take(&mut entry.programs));
        if let Some(programs) =
            programs.filter(|programs| stopped.is_some() && !programs.is_empty())
        {
            programs.end_programs();
        }
        if let Some(link) = entry.and_then(|entry| entry.link) {
            link.end_call();
        }
        stopped.map(|escalation| escalation.end(clock::now()))
    }

    /// Cancels a call for the host, which gives up the worker `grace` from now unless the call is
    /// over.
    pub(crate) fn cancel(&self, call: u64, grace: Duration) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(entry) = state.running.get(&call) else {
            if state.early.len() == REMEMBERED {
                state.early.pop_front();
            }
            state.early.push_back((call, grace));
            return;
        };
        entry.flag.store(true, Ordering::Release);
        if entry.task {
            let escalation = || CancelEscalation::new(clock::now(), grace, TASK);
            state.escalations.entry(call).or_insert_with(escalation);
        }
        let (link, window) = (entry.link.clone(), entry.window.clone());
        drop(guard);
        if let Some(link) = link {
            link.cancel(call);
        }
        if let Some(window) = window {
            window.cancel();
        }
    }

    /// Returns the time at which [`Self::escalate`] must be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lock()
            .escalations
            .values()
            .filter_map(CancelEscalation::due)
            .min()
    }

    /// Escalates as far as the time allows. Returns whether the event loop has requests to
    /// take, and whether its thread needs a signal because the loop may be blocked. `waits` reports
    /// whether that thread waits in a system call.
    pub(crate) fn escalate(&self, waits: impl Fn() -> bool) -> Escalated {
        let now = clock::now();
        let mut escalated = Escalated::default();
        for escalation in self.lock().escalations.values_mut() {
            if escalation.escalate(now, &waits) {
                escalated.wake = true;
                escalated.signal |= escalation.wants_exception();
            }
        }
        escalated
    }

    /// Returns the calls whose tasks are to be cancelled now. Called on the event loop, between two
    /// steps of its tasks.
    pub(crate) fn tasks_to_cancel(&self) -> Vec<u64> {
        let mut state = self.lock();
        let asked = state.escalations.iter_mut();
        asked
            .filter_map(|(call, escalation)| escalation.take_for_task().then_some(*call))
            .collect()
    }

    /// Returns the calls in which an exception is to be raised wherever they are.
    pub(crate) fn to_raise(&self) -> Vec<u64> {
        let state = self.lock();
        let asked = state.escalations.iter();
        asked
            .filter(|(_, escalation)| escalation.wants_exception())
            .map(|(call, _)| *call)
            .collect()
    }

    /// Takes the request to raise an exception in a call. Returns whether there was one.
    pub(crate) fn take_raise(&self, call: u64) -> bool {
        let mut state = self.lock();
        let escalation = state.escalations.get_mut(&call);
        escalation.is_some_and(|escalation| {
            escalation.wants_exception() && escalation.take() == Some(InterpreterRequest::Raise)
        })
    }

    /// Returns the step that stopped a running call so far; `None` if the call was not cancelled.
    pub(crate) fn stopped(&self, call: u64) -> Option<(CancelStep, Duration)> {
        let state = self.lock();
        let escalation = state.escalations.get(&call)?;
        Some(escalation.end(clock::now()))
    }

    /// Delivers an answer of the host. Drops it if its call is over.
    pub(crate) fn answered(&self, header: Header, outcome: Outcome) -> io::Result<()> {
        let link = {
            let state = self.lock();
            let entry = state.running.get(&Link::call_of(header.call));
            entry.and_then(|entry| entry.link.clone())
        };
        link.map_or(Ok(()), |link| link.answer(header, outcome))
    }

    /// Returns the window of a stream.
    pub(crate) fn window(&self, call: u64) -> Option<Arc<Window>> {
        self.lock().running.get(&call)?.window.clone()
    }

    /// Returns whether no call runs.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().running.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, TableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wake-ups that a escalate requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Escalated {
    pub(crate) wake: bool,
    pub(crate) signal: bool,
}
