//! Flow control of a stream: the number of bytes that may be on their way to the host.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use snakepit_grpc::frame::{HEADER_LEN, STREAM_WINDOW};

/// The window of one stream.
#[derive(Debug)]
pub(crate) struct Window {
    state: Mutex<WindowState>,
    changed: Condvar,
}

#[derive(Debug)]
struct WindowState {
    /// Bytes that may still be sent; negative if a chunk has exceeded it.
    left: i64,
    /// A task of the event loop waits.
    awaited: bool,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(WindowState {
                left: STREAM_WINDOW as i64,
                awaited: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Records a sent chunk of this many bytes. Returns whether the next chunk must wait until
    /// [`Self::open`] returns `true`.
    pub(crate) fn spend(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        state.left = state.left.saturating_sub((HEADER_LEN + bytes) as i64);
        state.awaited = state.left <= 0;
        state.awaited
    }

    /// Records that the host has taken this many bytes. Returns whether a task waits for that and
    /// may continue.
    pub(crate) fn open(&self, bytes: u64) -> bool {
        let mut state = self.lock();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        state.left = state.left.saturating_add(bytes);
        if state.left <= 0 {
            return false;
        }
        self.changed.notify_all();
        std::mem::take(&mut state.awaited)
    }

    /// Waits, on a thread of its own, until the next chunk may be sent or the call is cancelled.
    pub(crate) fn wait(&self, cancelled: &AtomicBool) {
        let mut state = self.lock();
        while state.left <= 0 && !cancelled.load(Ordering::Acquire) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes the waiting thread of a call that was cancelled, after its flag was set.
    pub(crate) fn cancel(&self) {
        let _state = self.lock();
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, WindowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_may_overdraw_it_and_the_next_one_waits() {
        let window = Window::new();
        assert!(!window.spend(1));
        assert!(window.spend(2 * STREAM_WINDOW as usize));
        assert!(!window.open(STREAM_WINDOW));
        assert!(window.open(STREAM_WINDOW + 1000));
        assert!(!window.spend(1));
    }

    #[test]
    fn a_window_that_was_opened_for_good_stays_open() {
        let window = Window::new();
        window.open(u64::MAX);
        assert!(!window.spend(usize::MAX >> 2));
        assert!(!window.open(u64::MAX));
    }
}
