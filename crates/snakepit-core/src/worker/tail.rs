//! The latest entries of some kind, for readers that come later and readers that wait for more.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tracing::Level;

use crate::id::WorkerId;

/// Keeps the latest entries, bounded in number and in bytes. Entries are numbered from 1; a gap
/// means that entries between were dropped. Cheap to clone; all clones are one tail.
pub struct Tail<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    max_entries: usize,
    max_bytes: usize,
    entries: Mutex<Entries<T>>,
    added: Notify,
}

struct Entries<T> {
    entries: VecDeque<(u64, usize, Arc<T>)>,
    bytes: usize,
    last: u64,
}

/// One line that a worker has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Time at which the host read it.
    pub at: SystemTime,
    /// Worker.
    pub worker: WorkerId,
    /// `stdout`, `stderr`, or the name of a logger.
    pub source: Arc<str>,
    /// Severity.
    pub level: Level,
    /// Text, with apparent secrets removed.
    pub text: String,
}

/// Largest size of one entry and of all together in bytes, so that the sum of two sizes does not
/// overflow.
const LARGEST: usize = usize::MAX / 2;

impl<T> Tail<T> {
    /// Creates a tail without entries. The last entry is kept even if it alone has more bytes.
    pub fn new(max_entries: usize, max_bytes: usize) -> Self {
        let entries = Entries {
            entries: VecDeque::new(),
            bytes: 0,
            last: 0,
        };
        Self {
            inner: Arc::new(Inner {
                max_entries: max_entries.max(1),
                max_bytes: max_bytes.min(LARGEST),
                entries: Mutex::new(entries),
                added: Notify::new(),
            }),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<T>> {
        let entries = self.inner.entries.lock();
        entries.unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry of `bytes` bytes and drops the oldest ones to make room.
    pub fn push(&self, entry: T, bytes: usize) {
        let mut guard = self.entries();
        let state = &mut *guard;
        state.last += 1;
        let bytes = bytes.min(LARGEST);
        state.bytes += bytes;
        let entry = (state.last, bytes, Arc::new(entry));
        state.entries.push_back(entry);
        while state.entries.len() > 1
            && (state.bytes > self.inner.max_bytes || state.entries.len() > self.inner.max_entries)
            && let Some((_, bytes, _)) = state.entries.pop_front()
        {
            state.bytes -= bytes;
        }
        drop(guard);
        self.inner.added.notify_waiters();
    }

    /// Returns the entries after the one with this number, oldest first; all of them after 0.
    pub fn after(&self, number: u64) -> Vec<(u64, Arc<T>)> {
        let state = self.entries();
        let first = state.entries.partition_point(|entry| entry.0 <= number);
        let entries = state.entries.range(first..);
        entries
            .map(|(number, _, entry)| (*number, Arc::clone(entry)))
            .collect()
    }

    /// Waits until there is an entry after the one with this number, and returns all such entries.
    ///
    /// # Cancel safety
    /// Safe: no entry is lost.
    pub async fn wait_after(&self, number: u64) -> Vec<(u64, Arc<T>)> {
        loop {
            // Created before the check: an entry that is added in between wakes it.
            let added = self.inner.added.notified();
            let entries = self.after(number);
            if !entries.is_empty() {
                return entries;
            }
            added.await;
        }
    }
}

impl Default for Tail<LogLine> {
    /// Creates a tail of 4,096 lines with at most 1 MiB of text.
    fn default() -> Self {
        Self::new(4096, 1 << 20)
    }
}

impl<T> Clone for Tail<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> fmt::Debug for Tail<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("last", &self.entries().last)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn entries_are_numbered_and_bounded_in_number_and_bytes() {
        let tail = Tail::new(10, 100);
        for n in 1..=15 {
            tail.push(n, 1);
        }
        let entries = tail.after(0);
        assert_eq!((entries.len(), entries[0].0, *entries[0].1), (10, 6, 6));
        assert_eq!(tail.after(13).len(), 2);
        assert!(tail.after(15).is_empty() && tail.after(u64::MAX).is_empty());
        tail.push(16, 95);
        let kept: Vec<_> = tail.after(0).iter().map(|entry| entry.0).collect();
        assert_eq!(kept, [11, 12, 13, 14, 15, 16]);
        tail.push(17, usize::MAX);
        assert_eq!(tail.after(0).len(), 1, "the last one stays");
        tail.push(18, 1);
        assert_eq!(
            tail.after(0).len(),
            1,
            "what is too large leaves with the next one"
        );
    }

    #[tokio::test]
    async fn an_entry_wakes_who_waits_for_it() {
        let tail = Tail::new(4, 100);
        tail.push('a', 1);
        assert_eq!(tail.wait_after(0).await.len(), 1, "at once");
        let mut waits = std::pin::pin!(tail.wait_after(1));
        assert!(waits.as_mut().now_or_never().is_none());
        tail.push('b', 1);
        let entries = waits.await;
        assert_eq!((entries.len(), *entries[0].1), (1, 'b'));
    }
}
