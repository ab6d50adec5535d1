//! Stack dumps for the host: reports where the threads are, whatever they do.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message as _;
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb::StackDump;
use snakepit_grpc::pb::stack_dump::{Frame, Thread};

use crate::link::reports::Reports;
use crate::observe::names::{Frames, Named, Names, Task};
use crate::observe::profile::{self, Walker};
use crate::observe::snapshot::{Snapshot, block_signals};
use crate::observe::traceback::{self, Traced};

/// Largest answer in bytes.
const MAX_BYTES: usize = 64 << 10;

/// Limits on the frames of each thread, tried one after the other until the answer fits.
const FRAMES: [usize; 7] = [traceback::MAX_FRAMES, 50, 25, 12, 6, 3, 1];

/// Time to wait for the names of the threads.
const NAMES: Duration = Duration::from_millis(15);

/// Largest number of requests that wait; further ones get no answer.
const MAX_WAITING: usize = 16;

/// Answers the host's `STACKS`, on a thread that exists only while there are requests.
#[derive(Debug)]
pub(crate) struct Stacks {
    /// Reads the stacks if the self-check has passed; otherwise the snapshot does.
    walker: Option<Arc<Walker>>,
    /// `None` if the interpreter has no faulthandler.
    snapshot: Option<Snapshot>,
    names: Arc<Names>,
    reports: Arc<Reports>,
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    numbers: Vec<u64>,
    running: bool,
}

impl Stacks {
    /// Creates the responder. Called on the thread that runs the tools.
    pub(crate) fn new(py: Python<'_>, reports: Arc<Reports>, walker: Option<Arc<Walker>>) -> Self {
        Self {
            walker,
            snapshot: Snapshot::prepare(py).ok(),
            names: Arc::default(),
            reports,
            requests: Mutex::default(),
        }
    }

    /// Queues a request, which is answered later. Requests that arrive during one dump get the
    /// result of the next.
    pub(crate) fn ask(self: &Arc<Self>, number: u64) {
        let mut requests = self.lock();
        if requests.numbers.len() < MAX_WAITING {
            requests.numbers.push(number);
        }
        if !requests.running {
            let this = Arc::clone(self);
            let thread = std::thread::Builder::new()
                .name("snakepit-stacks".to_owned())
                .stack_size(256 << 10);
            requests.running = thread.spawn(move || this.answer()).is_ok();
        }
    }

    fn answer(&self) {
        block_signals();
        while let Some(numbers) = self.waiting() {
            // An answer without threads says that none could be read.
            let dump = self.look().unwrap_or_default();
            let head = dump.encode_to_vec();
            for number in numbers {
                let mut header = Header::new(Kind::StacksReply, number);
                header.head_len = u32::try_from(head.len()).expect("it is bounded");
                self.reports
                    .send_long(&[&header.encode()[..], &head].concat());
            }
        }
    }

    fn waiting(&self) -> Option<Vec<u64>> {
        let mut requests = self.lock();
        let numbers = std::mem::take(&mut requests.numbers);
        requests.running = !numbers.is_empty();
        requests.running.then_some(numbers)
    }

    fn look(&self) -> io::Result<StackDump> {
        let walker = self.walker.as_ref();
        if let Some((threads, whole)) =
            walker.and_then(|walker| profile::stacks(walker, std::process::id()))
        {
            let (names, tasks) = self.names.look_at_tasks(NAMES);
            return Ok(fit(with_tasks(threads, &names, tasks), whole));
        }
        let Some(snapshot) = &self.snapshot else {
            return Ok(StackDump::default());
        };
        let mut written = snapshot.take()?;
        if !written.complete {
            // It may have read a thread in the middle of a change, which is over by now.
            let again = snapshot.take()?;
            if again.text.len() > written.text.len() || again.complete {
                written = again;
            }
        }
        let (threads, whole) = traceback::read(&written.text);
        let (names, tasks) = self.names.look_at_tasks(NAMES);
        let threads = with_tasks(threads, &names, tasks);
        Ok(fit(threads, whole && written.complete))
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names the threads, puts the frames of their coroutines on top of their stacks, and inserts the
/// tasks of calls after the first thread.
fn with_tasks(
    mut threads: Vec<Traced>,
    names: &HashMap<u64, Named>,
    tasks: Vec<Task>,
) -> Vec<Thread> {
    let (of_calls, of_threads): (Vec<_>, Vec<_>) =
        tasks.into_iter().partition(|task| task.call > 0);
    for task in of_threads {
        let thread = threads.iter_mut().find(|traced| traced.ident == task.ident);
        if let Some(thread) = thread {
            thread.thread.frames.splice(0..0, frames(task.frames));
            thread.thread.frames.truncate(traceback::MAX_FRAMES);
        }
    }
    let mut shown = name(threads, names);
    let at = shown.len().min(1);
    let of_calls = of_calls.into_iter().map(|task| Thread {
        name: task.name,
        id: 0,
        frames: frames(task.frames).collect(),
        call: task.call,
    });
    shown.splice(at..at, of_calls);
    shown.truncate(traceback::MAX_THREADS);
    shown
}

fn frames(frames: Frames) -> impl Iterator<Item = Frame> {
    frames.into_iter().map(|(file, line, function)| Frame {
        file,
        line,
        function,
    })
}

/// Names the threads. The first one is the thread that runs the tools: the main thread, whose id is
/// that of the process.
fn name(threads: Vec<Traced>, names: &HashMap<u64, Named>) -> Vec<Thread> {
    let mut named = Vec::with_capacity(threads.len());
    for (index, mut traced) in threads.into_iter().enumerate() {
        if let Some(known) = names.get(&traced.ident) {
            traced.thread.name.clone_from(&known.name);
            traced.thread.id = known.id;
        } else if index == 0 {
            "MainThread".clone_into(&mut traced.thread.name);
            traced.thread.id = u64::from(std::process::id());
        }
        named.push(traced.thread);
    }
    named
}

/// Shortens the dump to what can be sent. The first thread keeps all its frames as long as
/// possible.
fn fit(threads: Vec<Thread>, whole: bool) -> StackDump {
    let mut dump = StackDump {
        threads,
        truncated: !whole,
    };
    for frames in FRAMES {
        for thread in dump.threads.iter_mut().skip(1) {
            dump.truncated |= thread.frames.len() > frames;
            thread.frames.truncate(frames);
        }
        if dump.encoded_len() <= MAX_BYTES {
            return dump;
        }
    }
    dump.truncated = true;
    while dump.encoded_len() > MAX_BYTES {
        dump.threads.pop();
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(frames: usize, width: usize) -> Thread {
        let frame = Frame {
            file: "f".repeat(width),
            line: 7,
            function: "g".into(),
        };
        Thread {
            frames: vec![frame; frames],
            ..Thread::default()
        }
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let dump = fit(vec![thread(100, 20), thread(90, 20)], true);
        assert!(!dump.truncated);
        assert_eq!(dump.threads[1].frames.len(), 90);
    }

    #[test]
    fn many_threads_keep_their_innermost_frames_and_the_first_all() {
        let threads = (0..100).map(|_| thread(100, 60)).collect();
        let dump = fit(threads, true);
        assert!(dump.truncated && dump.encoded_len() <= MAX_BYTES);
        assert_eq!(dump.threads.len(), 100);
        assert_eq!(dump.threads[0].frames.len(), 100);
        assert!(dump.threads[1].frames.len() >= 3);
    }

    #[test]
    fn long_paths_cost_threads() {
        let threads = (0..100).map(|_| thread(100, 500)).collect();
        let dump = fit(threads, true);
        assert!(dump.truncated && dump.encoded_len() <= MAX_BYTES);
        assert!(!dump.threads.is_empty());
    }

    #[test]
    fn coroutines_are_on_top_of_their_thread_and_tasks_of_calls_stand_behind_the_first() {
        let traced = |ident| Traced {
            ident,
            thread: thread(2, 1),
        };
        let task = |call, ident| Task {
            call,
            ident,
            name: String::new(),
            frames: vec![("tools.py".into(), 3, "waits".into())],
        };
        let shown = with_tasks(
            vec![traced(1), traced(2)],
            &HashMap::new(),
            vec![task(9, 0), task(0, 2)],
        );
        let shape: Vec<_> = shown
            .iter()
            .map(|one| (one.call, one.frames.len()))
            .collect();
        assert_eq!(shape, [(0, 2), (9, 1), (0, 3)]);
        assert_eq!(shown[2].frames[0].function, "waits");
    }

    #[test]
    fn names_are_those_of_the_interpreter() {
        let traced = |ident| Traced {
            ident,
            thread: thread(1, 1),
        };
        let known = Named {
            name: "loader".into(),
            id: 42,
        };
        let names = HashMap::from([(2, known)]);
        let named = name(vec![traced(1), traced(2), traced(3)], &names);
        assert_eq!(named[0].name, "MainThread");
        assert_eq!((&*named[1].name, named[1].id), ("loader", 42));
        assert_eq!((&*named[2].name, named[2].id), ("", 0));
    }
}
