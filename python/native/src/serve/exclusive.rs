//! Mutual exclusion of calls, in the order of their arrival, for code that is not declared
//! thread-safe.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use pyo3::prelude::*;

use crate::cancel::cancelled::Cancels;

/// A fair lock that one call holds at a time.
#[derive(Debug, Default)]
pub(crate) struct Exclusive {
    state: Mutex<ExclusiveState>,
}

#[derive(Debug, Default)]
struct ExclusiveState {
    taken: bool,
    /// Waiting threads, the oldest first.
    waiting: VecDeque<Seat>,
    /// The seat to which the lock was handed, until its thread notices.
    given: Option<u64>,
    /// Number of seats so far.
    seats: u64,
}

#[derive(Debug)]
struct Seat {
    number: u64,
    thread: Thread,
}

/// A guard: its call holds the lock until it is dropped.
#[derive(Debug)]
#[must_use = "the exclusive is over when this is dropped"]
pub(crate) struct Held<'a>(&'a Exclusive);

impl Exclusive {
    /// Acquires the lock for the slot's call; `None` if the call is cancelled or taken back first.
    pub(crate) fn take(
        &self,
        py: Python<'_>,
        cancelled: &AtomicBool,
        cancels: &Cancels,
    ) -> Option<Held<'_>> {
        if self.take_now() {
            return Some(Held(self));
        }
        let came = py.detach(|| cancels.waiting(|| self.wait(cancelled)));
        let held = came.then(|| Held(self));
        // The host may have taken the call back when the lock had just been handed over.
        held.filter(|_| !cancels.is_taken_back())
    }

    fn take_now(&self) -> bool {
        !std::mem::replace(&mut self.lock().taken, true)
    }

    /// Parks until the lock is handed over, or the flag is set and the thread unparked. Returns
    /// whether the lock is held.
    fn wait(&self, cancelled: &AtomicBool) -> bool {
        let number = {
            let mut state = self.lock();
            if !std::mem::replace(&mut state.taken, true) {
                return true;
            }
            state.seats += 1;
            let number = state.seats;
            let thread = thread::current();
            state.waiting.push_back(Seat { number, thread });
            number
        };
        loop {
            {
                let mut state = self.lock();
                if state.given == Some(number) {
                    state.given = None;
                    return true;
                }
                if cancelled.load(Ordering::Acquire) {
                    state.waiting.retain(|seat| seat.number != number);
                    return false;
                }
            }
            thread::park();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ExclusiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        match state.waiting.pop_front() {
            Some(seat) => {
                state.given = Some(seat.number);
                drop(state);
                seat.thread.unpark();
            }
            None => state.taken = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread::JoinHandle;

    use super::*;

    /// Starts a thread that waits for the lock; returns once it is in the queue.
    fn waits(
        exclusive: &Arc<Exclusive>,
        flag: &Arc<AtomicBool>,
        then: impl FnOnce(bool) + Send + 'static,
    ) -> JoinHandle<()> {
        let before = exclusive.lock().seats;
        let (shared, flag) = (Arc::clone(exclusive), Arc::clone(flag));
        let thread = thread::spawn(move || {
            let came = shared.wait(&flag);
            let held = came.then(|| Held(&shared));
            then(came);
            drop(held);
        });
        while exclusive.lock().seats == before {
            thread::yield_now();
        }
        thread
    }

    #[test]
    fn turns_come_in_the_order_of_the_calls() {
        let exclusive = Arc::new(Exclusive::default());
        assert!(exclusive.take_now() && !exclusive.take_now());
        let (order, seen) = mpsc::channel();
        let flag = Arc::default();
        let threads: Vec<_> = (0..20)
            .map(|n| {
                let order = order.clone();
                waits(&exclusive, &flag, move |came| {
                    assert!(came);
                    order.send(n).unwrap();
                })
            })
            .collect();
        drop((Held(&exclusive), order));
        let order: Vec<_> = seen.iter().collect();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(exclusive.take_now(), "nobody has it");
    }

    #[test]
    fn a_call_that_is_given_up_leaves_the_row() {
        let exclusive = Arc::new(Exclusive::default());
        assert!(exclusive.take_now());
        let (gone, kept) = (Arc::<AtomicBool>::default(), Arc::default());
        let first = waits(&exclusive, &gone, |came| assert!(!came));
        let second = waits(&exclusive, &kept, |came| assert!(came));
        gone.store(true, Ordering::Release);
        first.thread().unpark();
        first.join().unwrap();
        assert_eq!(exclusive.lock().waiting.len(), 1);
        drop(Held(&exclusive));
        second.join().unwrap();
        assert!(exclusive.take_now());
    }
}
