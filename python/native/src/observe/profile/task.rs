//! The thread `snakepit-prof`. It starts with the host's first request, and ends after a while
//! without any.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prost::Message as _;
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb::{Profile, ProfileOp, ProfilePart};

use super::check;
use super::own::Walker;
use super::session::Session;
use crate::link::reports::Reports;
use crate::observe::names::Names;
use crate::observe::snapshot::block_signals;
use crate::process::clock;
use crate::serve::slots::Slots;

/// Bytes of a profile in one answer.
const PART: usize = 48 << 10;

/// Largest number of requests that wait; further ones get no answer.
const MAX_WAITING: usize = 16;

/// Time without a request after which the thread ends.
const REST: Duration = Duration::from_secs(60);

/// Time that an answer waits for the host to read earlier ones.
const ROOM: Duration = Duration::from_secs(1);

/// Answers the host's `PROFILE`.
#[derive(Debug)]
pub(crate) struct Profiler {
    /// The reader of stacks, or the reason why there is none.
    walker: Result<Arc<Walker>, String>,
    names: Arc<Names>,
    reports: Arc<Reports>,
    slots: Arc<Slots>,
    state: Mutex<SamplerState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SamplerState {
    questions: VecDeque<(u64, Profile)>,
    running: bool,
    stopped: bool,
}

impl Profiler {
    /// Creates the profiler and runs the self-check. Called on the thread that runs the tools,
    /// attached to the interpreter.
    pub(crate) fn new(py: Python<'_>, reports: Arc<Reports>, slots: Arc<Slots>) -> Self {
        Self {
            walker: check::walker(py),
            names: Arc::default(),
            reports,
            slots,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Returns the reader of stacks; `None` if stacks cannot be read.
    pub(crate) fn walker(&self) -> Option<Arc<Walker>> {
        self.walker.as_ref().ok().cloned()
    }

    /// Queues a request, which the thread answers later.
    pub(crate) fn ask(self: &Arc<Self>, number: u64, question: Profile) {
        let mut state = self.lock();
        if state.stopped || state.questions.len() >= MAX_WAITING {
            return;
        }
        state.questions.push_back((number, question));
        if !state.running {
            let this = Arc::clone(self);
            let thread = std::thread::Builder::new()
                .name("snakepit-prof".to_owned())
                .stack_size(512 << 10);
            state.running = thread.spawn(move || this.serve()).is_ok();
        }
        self.changed.notify_one();
    }

    /// Stops the thread: the interpreter is about to end.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_one();
    }

    fn serve(&self) {
        block_signals();
        let mut session: Option<Session> = None;
        loop {
            // A session that has ended waits for its reader, however long that takes.
            let due = session.as_ref();
            let due = due.map(|session| session.due().unwrap_or_else(|| clock::now() + REST));
            match self.next(due) {
                Next::Question(number, question) => {
                    let starts = question.op() == ProfileOp::Start;
                    self.answer(&mut session, number, question);
                    let over = session.as_ref().filter(|it| starts && it.has_ended());
                    if let Some(over) = over {
                        self.send(over.number, &ended());
                    }
                }
                Next::Due => {
                    let Some(sampling) = session.as_mut().filter(|it| it.due().is_some()) else {
                        continue;
                    };
                    sampling.tick(&self.slots);
                    if sampling.has_ended() {
                        self.send(sampling.number, &ended());
                    }
                }
                Next::End => return,
            }
        }
    }

    fn next(&self, due: Option<Instant>) -> Next {
        let patience = due.map_or(REST, clock::until);
        let nothing = |state: &mut SamplerState| state.questions.is_empty() && !state.stopped;
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), patience, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let next = match state.questions.pop_front() {
            _ if state.stopped => Next::End,
            Some((number, question)) => Next::Question(number, question),
            None if due.is_some() => Next::Due,
            None => Next::End,
        };
        state.running = !matches!(next, Next::End);
        next
    }

    fn answer(&self, session: &mut Option<Session>, number: u64, question: Profile) {
        let refused = |why: &str| ProfilePart {
            refused: why.to_owned(),
            ..ProfilePart::default()
        };
        if question.op() == ProfileOp::Start {
            let part = match (&self.walker, session.as_ref()) {
                (Err(why), _) => refused(why),
                (Ok(_), Some(_)) => refused("another profile of this worker is being made"),
                (Ok(walker), None) => {
                    let (walker, names) = (Arc::clone(walker), Arc::clone(&self.names));
                    let mut begun = Session::new(number, &question, walker, names);
                    // The first sample comes before the answer: code that runs when the host
                    // learns of the start is sampled at least once.
                    begun.tick(&self.slots);
                    *session = Some(begun);
                    ProfilePart::default()
                }
            };
            self.send(number, &part);
            return;
        }
        let Some(asked) = session.as_mut().filter(|it| it.number == question.profile) else {
            self.send(number, &refused("unknown profile"));
            return;
        };
        match question.op() {
            ProfileOp::Stop | ProfileOp::Read => {
                let data = asked.finish();
                let from = usize::try_from(question.from).unwrap_or(usize::MAX);
                let rest = data.get(from..).unwrap_or_default();
                let part = ProfilePart {
                    size: data.len() as u64,
                    data: rest[..rest.len().min(PART)].to_vec().into(),
                    ..ProfilePart::default()
                };
                self.send(number, &part);
            }
            ProfileOp::Drop => {
                *session = None;
                self.send(number, &ProfilePart::default());
            }
            ProfileOp::Start | ProfileOp::Unspecified => {
                self.send(number, &refused("unknown profile request"));
            }
        }
    }

    fn send(&self, number: u64, part: &ProfilePart) {
        let head = part.encode_to_vec();
        let mut header = Header::new(Kind::ProfilePart, number);
        header.head_len = u32::try_from(head.len()).expect("it is bounded");
        self.reports.wait_for_room(ROOM);
        self.reports
            .send_long(&[&header.encode()[..], &head].concat());
    }

    fn lock(&self) -> MutexGuard<'_, SamplerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next action of the thread.
enum Next {
    Question(u64, Profile),
    /// A sample is due.
    Due,
    End,
}

fn ended() -> ProfilePart {
    ProfilePart {
        ended: true,
        ..ProfilePart::default()
    }
}
