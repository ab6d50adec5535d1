//! The last changes of one session. It has no clock and does not wait.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Change, ChangeBatch, ChangeKind, Origin, WatchFilter};
use crate::state::VariableType;
use crate::value::{Value, value_bytes};

/// Largest number of changes examined at once, so that a filter that matches few does not hold the
/// lock for long.
const LOOKED_AT: usize = 4096;

/// The last changes of one session.
#[derive(Debug, Default)]
pub(crate) struct Log {
    changes: VecDeque<Arc<Change>>,
    /// Number of the last change.
    last: u64,
    /// Bytes of the values of all changes but the newest.
    bytes: usize,
    /// Set once there is a watcher.
    notify: Option<Arc<Notify>>,
}

/// A change before it has a number.
pub(crate) struct Draft {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ChangeKind,
    pub(crate) version: u64,
    pub(crate) variable: VariableType,
    pub(crate) value: Arc<Value>,
    pub(crate) origin: Origin,
}

impl Log {
    /// Appends a change, and drops old ones beyond the limits.
    pub(crate) fn push(&mut self, draft: Draft, max_changes: usize, max_bytes: usize) {
        self.last += 1;
        if let Some(newest) = self.changes.back() {
            self.bytes += value_bytes(&newest.value);
        }
        self.changes.push_back(Arc::new(Change {
            seq: self.last,
            name: draft.name,
            kind: draft.kind,
            version: draft.version,
            variable: draft.variable,
            value: draft.value,
            origin: draft.origin,
        }));
        while self.changes.len() > 1 && (self.changes.len() > max_changes || self.bytes > max_bytes)
        {
            let oldest = self.changes.pop_front().expect("there are several");
            self.bytes -= value_bytes(&oldest.value);
        }
    }

    /// Wakes the waiting watchers. Called once all changes made together are in the log.
    pub(crate) fn wake(&self) {
        if let Some(notify) = &self.notify {
            notify.notify_waiters();
        }
    }

    pub(crate) fn notify(&mut self) -> Arc<Notify> {
        Arc::clone(self.notify.get_or_insert_default())
    }

    /// Returns the number of the last change.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Returns up to `max` changes after this number.
    pub(crate) fn after(&self, after: u64, filter: &WatchFilter, max: usize) -> ChangeBatch {
        let after = after.min(self.last);
        // Numbers have no gaps, so the place of a change follows from its number.
        let forgotten = self.last - self.changes.len() as u64;
        let missed = forgotten.saturating_sub(after);
        let start = usize::try_from((after + missed) - forgotten).expect("a place in the log");
        let mut changes = Vec::new();
        let mut next = after + missed;
        for change in self.changes.range(start..).take(LOOKED_AT) {
            if changes.len() >= max {
                break;
            }
            next = change.seq;
            if filter.wants(change) {
                changes.push(Arc::clone(change));
            }
        }
        ChangeBatch {
            changes,
            next,
            missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(n: usize, max_changes: usize, max_bytes: usize) -> Log {
        let mut log = Log::default();
        for n in 0..n {
            let draft = Draft {
                name: format!("v{}", n % 2).into(),
                kind: ChangeKind::Set,
                version: n as u64,
                variable: VariableType::String,
                value: Arc::new(Value::from("x".repeat(100))),
                origin: Origin::Host,
            };
            log.push(draft, max_changes, max_bytes);
        }
        log
    }

    fn seqs(batch: &ChangeBatch) -> Vec<u64> {
        batch.changes.iter().map(|change| change.seq).collect()
    }

    #[test]
    fn what_was_forgotten_is_counted() {
        let log = log(10, 4, usize::MAX);
        let batch = log.after(3, &WatchFilter::all(), 2);
        assert_eq!((seqs(&batch), batch.next, batch.missed), (vec![7, 8], 8, 3));
        let batch = log.after(8, &WatchFilter::names(["v0"]), 9);
        assert_eq!((seqs(&batch), batch.next, batch.missed), (vec![9], 10, 0));
        let batch = log.after(99, &WatchFilter::all(), 9);
        assert_eq!((seqs(&batch), batch.next, batch.missed), (vec![], 10, 0));
        let batch = log.after(0, &WatchFilter::all(), 0);
        assert_eq!((seqs(&batch), batch.next, batch.missed), (vec![], 6, 6));
    }

    #[test]
    fn the_newest_change_is_kept_whatever_its_size() {
        let each = value_bytes(&Value::from("x".repeat(100)));
        assert_eq!(log(5, 100, 0).changes.len(), 1);
        assert_eq!(log(9, 100, 2 * each).changes.len(), 3);
    }
}
