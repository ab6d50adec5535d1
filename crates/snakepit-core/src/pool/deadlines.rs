//! The deadlines of the open streams of a pool.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// A stream whose call ends at its deadline, whether it is read or not.
pub(super) trait Expires: Send + Sync {
    /// Ends the call, if it is still open. `after` is its time limit.
    fn expire(self: Arc<Self>, after: Duration, tasks: &TaskTracker);
}

/// Deadline of a stream, and a number that distinguishes it from others of the same moment.
type Key = (Instant, u64);

/// Deadlines of open streams, watched by one task. A new stream starts no task, and wakes the
/// watcher only if its deadline is the earliest.
pub(super) struct Deadlines {
    tasks: TaskTracker,
    runtime: Handle,
    due: Arc<Due>,
    /// The task. `None` before the first deadline.
    watcher: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Default)]
struct Due {
    table: Mutex<Table>,
    /// Notified if a deadline is added that precedes the moment for which the watcher sleeps.
    sooner: Notify,
}

#[derive(Default)]
struct Table {
    streams: BTreeMap<Key, Entry>,
    next: u64,
    /// Moment until which the watcher sleeps. `None` if it waits for a deadline.
    sleeps_until: Option<Instant>,
}

struct Entry {
    stream: Weak<dyn Expires>,
    /// Time limit of the call.
    after: Duration,
}

/// A watched deadline. Dropping it ends the watch.
pub(super) struct Watched {
    deadlines: Arc<Deadlines>,
    key: Key,
}

impl Deadlines {
    pub(super) fn new(tasks: TaskTracker, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            tasks,
            runtime,
            due: Arc::default(),
            watcher: Mutex::default(),
        })
    }

    /// Ends the call of a stream at this moment if it is open then.
    pub(super) fn watch(
        self: &Arc<Self>,
        stream: Weak<dyn Expires>,
        (at, after): (Instant, Duration),
    ) -> Watched {
        let mut table = self.due.lock();
        let key = (at, table.next);
        table.next += 1;
        table.streams.insert(key, Entry { stream, after });
        let sooner = table.sleeps_until.is_none_or(|until| at < until);
        drop(table);
        if sooner {
            self.wake();
        }
        Watched {
            deadlines: Arc::clone(self),
            key,
        }
    }

    fn wake(&self) {
        let mut watcher = self.watcher();
        if watcher.is_none() {
            let run = run(Arc::clone(&self.due), self.tasks.clone());
            *watcher = Some(AbortOnDropHandle::new(self.runtime.spawn(run)));
        }
        drop(watcher);
        self.due.sooner.notify_one();
    }

    fn watcher(&self) -> MutexGuard<'_, Option<AbortOnDropHandle<()>>> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Returns true if the watcher is gone, together with the pool's runtime.
    pub(super) fn is_orphaned(&self) -> bool {
        let watcher = self.deadlines.watcher();
        watcher.as_ref().is_some_and(AbortOnDropHandle::is_finished)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.deadlines.due.lock().streams.remove(&self.key);
    }
}

impl Due {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a stream whose deadline has passed, or returns the moment until which to sleep.
    fn next(&self) -> Result<Entry, Option<Instant>> {
        let mut table = self.lock();
        let first = table.streams.first_key_value().map(|(key, _)| key.0);
        if first.is_some_and(|at| at <= Instant::now())
            && let Some((_, entry)) = table.streams.pop_first()
        {
            return Ok(entry);
        }
        table.sleeps_until = first;
        Err(first)
    }
}

async fn run(due: Arc<Due>, tasks: TaskTracker) {
    loop {
        match due.next() {
            Ok(entry) => {
                if let Some(stream) = entry.stream.upgrade() {
                    stream.expire(entry.after, &tasks);
                }
            }
            Err(None) => due.sooner.notified().await,
            Err(Some(at)) => {
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = due.sooner.notified() => {}
                }
            }
        }
    }
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines").finish_non_exhaustive()
    }
}
