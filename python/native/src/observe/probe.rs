//! A probe of the interpreter: measures how long it has been out of reach, without waiting for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::process::clock;

/// A thread that takes the interpreter's lock for an instant on request. It starts with the first
/// request.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<ProbeState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ProbeState {
    /// Time of the request for which the thread waits for the lock.
    since: Option<Instant>,
    stopped: bool,
}

impl Probe {
    /// Returns how long the thread has been waiting for the lock. If it is not waiting, returns
    /// `None` and sends it the next request. Never blocks on the interpreter.
    pub(crate) fn held(&self) -> Option<Duration> {
        let mut thread = lock(&self.thread);
        let mut state = lock(&self.shared.state);
        if state.stopped {
            return None;
        }
        if let Some(since) = state.since {
            return Some(clock::now() - since);
        }
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without the thread, the time is unknown; pings are answered all the same.
            *thread = start(shared).ok();
        }
        if thread.is_some() {
            state.since = Some(clock::now());
            self.shared.changed.notify_one();
        }
        None
    }

    /// Ends the thread before the interpreter ends: a thread that requests the lock of an
    /// interpreter that is gone would hang.
    pub(crate) fn stop(&self, py: Python<'_>) {
        lock(&self.shared.state).stopped = true;
        self.shared.changed.notify_one();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // It may be waiting for the lock that this thread has.
            py.detach(|| drop(thread.join()));
        }
    }
}

fn start(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new()
        .name("snakepit-probe".to_owned())
        .stack_size(256 << 10);
    builder.spawn(move || {
        while shared.wait() {
            Python::try_attach(|_| ());
            lock(&shared.state).since = None;
        }
    })
}

impl Shared {
    /// Waits for a request. Returns `false` if the thread is to end.
    fn wait(&self) -> bool {
        let state = lock(&self.state);
        let rests = |state: &mut ProbeState| state.since.is_none() && !state.stopped;
        let state = self.changed.wait_while(state, rests);
        !state.unwrap_or_else(PoisonError::into_inner).stopped
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
