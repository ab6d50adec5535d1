//! The calls of a shared connection, and how far the cancelled ones are on their ladders. Nothing
//! here needs the interpreter.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use snakepit_grpc::frame::Header;

use crate::clock;
use crate::ladder::{Ask, Ladder, Reach, Step};
use crate::link::{Link, Outcome};
use crate::offspring::Offspring;
use crate::shared::window::Window;

/// Cancellations that came before their call are remembered, the last so many.
const REMEMBERED: usize = 1024;

/// A task is cancelled at once: while it awaits it cannot look at its flag.
const TASK: Reach = Reach {
    flag: false,
    task: true,
};

/// What runs on a connection.
#[derive(Debug)]
pub(crate) struct Table {
    /// Calls that the host has on the connection at a time, at most.
    calls: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<u64, Entry>,
    /// Of the calls that are cancelled.
    ladders: HashMap<u64, Ladder>,
    early: VecDeque<(u64, Duration)>,
    /// Calls that are over. The host reads answers in their order, so that those which it has not
    /// read are among the last so many.
    answered: VecDeque<u64>,
    /// Calls to be skipped when they come.
    taken_back: HashSet<u64>,
}

/// One running call.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) flag: Arc<AtomicBool>,
    /// It is a task of the event loop; others climb the ladder of their slot.
    pub(crate) task: bool,
    /// Code of the tool has run, or may run at any moment.
    pub(crate) begun: bool,
    /// There when the tool may ask the host.
    pub(crate) link: Option<Arc<Link>>,
    /// There when it is a stream.
    pub(crate) window: Option<Arc<Window>>,
    /// The programs that it has started, if it is a task.
    pub(crate) programs: Offspring,
}

impl Table {
    pub(crate) fn new(calls: u16) -> Self {
        Self {
            calls: calls.into(),
            state: Mutex::default(),
        }
    }

    /// A call has come: `false` when the host has taken it back in the meantime, and it must be
    /// skipped.
    pub(crate) fn admit(&self, call: u64) -> bool {
        !self.lock().taken_back.remove(&call)
    }

    /// The tool of a call is about to run: `false` when the host has taken the call back, and it
    /// must not.
    pub(crate) fn started(&self, call: u64) -> bool {
        let mut state = self.lock();
        let entry = state.running.get_mut(&call);
        entry.is_some_and(|entry| {
            entry.begun = true;
            true
        })
    }

    /// Returns whether the loop has this call.
    pub(crate) fn runs(&self, call: u64) -> bool {
        self.lock().running.contains_key(&call)
    }

    /// Returns whether this call was answered, one of the last.
    pub(crate) fn was_answered(&self, call: u64) -> bool {
        self.lock().answered.contains(&call)
    }

    /// The host takes a call back: `false` when its tool has begun, or it is over.
    pub(crate) fn take_back(&self, call: u64) -> bool {
        let mut state = self.lock();
        match state.running.get(&call) {
            Some(entry) if entry.begun => return false,
            Some(_) => {
                let entry = state.running.remove(&call);
                state.ladders.remove(&call);
                drop(state);
                // Outside of the lock: it may be the last that holds a link.
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

    /// A call starts. Its flag is set at once when the host cancelled it before.
    pub(crate) fn begin(&self, call: u64, entry: Entry) {
        let mut state = self.lock();
        if let Some(at) = state.early.iter().position(|(id, _)| *id == call)
            && let Some((_, grace)) = state.early.remove(at)
        {
            entry.flag.store(true, Ordering::Release);
            if entry.task {
                let ladder = Ladder::new(clock::now(), grace, TASK);
                state.ladders.insert(call, ladder);
            }
        }
        state.running.insert(call, entry);
    }

    /// A task has started a program, which ends with it if it is cancelled. Of calls that are over,
    /// and of those on threads, nothing is kept.
    pub(crate) fn add_program(&self, call: u64, pid: i32) {
        let mut state = self.lock();
        if let Some(entry) = state.running.get_mut(&call).filter(|entry| entry.task) {
            entry.programs.add_child(pid);
        }
    }

    /// A task is about to be cancelled: looks at what its programs have started, while their
    /// parents live.
    pub(crate) fn look_at_programs(&self, call: u64) {
        let take = |state: &mut State| {
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

    /// A thread begins with a call, and its answers of the host come to `link`.
    pub(crate) fn lend(&self, call: u64, link: &Arc<Link>) {
        if let Some(entry) = self.lock().running.get_mut(&call) {
            entry.link = Some(Arc::clone(link));
        }
    }

    /// A call is over. When it was cancelled: what stopped it, and how long that took.
    pub(crate) fn end(&self, call: u64) -> Option<(Step, Duration)> {
        let mut state = self.lock();
        let mut entry = state.running.remove(&call);
        let stopped = state.ladders.remove(&call);
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
        stopped.map(|ladder| ladder.end(clock::now()))
    }

    /// The host cancels a call, and gives its worker up `grace` from now unless the call is over.
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
            let ladder = || Ladder::new(clock::now(), grace, TASK);
            state.ladders.entry(call).or_insert_with(ladder);
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

    /// When somebody has to [`Self::climb`].
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lock().ladders.values().filter_map(Ladder::due).min()
    }

    /// Goes up the ladders, as far as it is time: whether the event loop is asked for something,
    /// and whether it may be that it cannot hear and its thread needs a signal. `waits` tells
    /// whether that thread waits in the system.
    pub(crate) fn climb(&self, waits: impl Fn() -> bool) -> Climbed {
        let now = clock::now();
        let mut climbed = Climbed::default();
        for ladder in self.lock().ladders.values_mut() {
            if ladder.climb(now, &waits) {
                climbed.bell = true;
                climbed.signal |= ladder.wants_exception();
            }
        }
        climbed
    }

    /// On the event loop, between two steps of its tasks: the calls whose tasks are to be cancelled
    /// now.
    pub(crate) fn tasks_to_cancel(&self) -> Vec<u64> {
        let mut state = self.lock();
        let asked = state.ladders.iter_mut();
        asked
            .filter_map(|(call, ladder)| ladder.take_for_task().then_some(*call))
            .collect()
    }

    /// The calls in which an exception is to be raised where they are.
    pub(crate) fn to_raise(&self) -> Vec<u64> {
        let state = self.lock();
        let asked = state.ladders.iter();
        asked
            .filter(|(_, ladder)| ladder.wants_exception())
            .map(|(call, _)| *call)
            .collect()
    }

    /// Takes the request to raise an exception in a call, which is then done.
    pub(crate) fn take_raise(&self, call: u64) -> bool {
        let mut state = self.lock();
        let ladder = state.ladders.get_mut(&call);
        ladder.is_some_and(|ladder| ladder.wants_exception() && ladder.take() == Some(Ask::Raise))
    }

    /// What stopped a running call so far, if it was cancelled.
    pub(crate) fn stopped(&self, call: u64) -> Option<(Step, Duration)> {
        let state = self.lock();
        let ladder = state.ladders.get(&call)?;
        Some(ladder.end(clock::now()))
    }

    /// An answer of the host came. One that nobody waits for is dropped.
    pub(crate) fn answered(&self, header: Header, outcome: Outcome) -> io::Result<()> {
        let link = {
            let state = self.lock();
            let entry = state.running.get(&Link::call_of(header.call));
            entry.and_then(|entry| entry.link.clone())
        };
        link.map_or(Ok(()), |link| link.answer(header, outcome))
    }

    /// The window of a stream.
    pub(crate) fn window(&self, call: u64) -> Option<Arc<Window>> {
        self.lock().running.get(&call)?.window.clone()
    }

    /// Whether no call runs.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().running.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a climb asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Climbed {
    pub(crate) bell: bool,
    pub(crate) signal: bool,
}
