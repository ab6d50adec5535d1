//! Counters of the whole store, and the quotas that are checked against them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{Quota, StateError};

/// Counters of the whole store. `live` and `bytes` are also what the quotas are checked against.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) live: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    pub(super) created: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes `asked` out of what the limit leaves.
    pub(super) fn reserve(
        &self,
        used: &AtomicUsize,
        quota: Quota,
        limit: usize,
        asked: usize,
    ) -> Result<(), StateError> {
        Self::take(used, limit, asked).map_err(|usage| self.refuse(quota, limit, usage, asked))
    }

    /// As [`reserve`](Self::reserve), but a refusal says only what is used.
    pub(super) fn take(used: &AtomicUsize, limit: usize, asked: usize) -> Result<(), usize> {
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |usage| {
            usage.checked_add(asked).filter(|sum| *sum <= limit)
        })
        .map(drop)
    }

    /// Gives bytes back.
    pub(super) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Checks a count that the caller holds the lock for.
    pub(super) fn check(
        &self,
        quota: Quota,
        limit: usize,
        usage: usize,
        asked: usize,
    ) -> Result<(), StateError> {
        if usage.checked_add(asked).is_some_and(|sum| sum <= limit) {
            return Ok(());
        }
        Err(self.refuse(quota, limit, usage, asked))
    }

    fn refuse(&self, quota: Quota, limit: usize, usage: usize, asked: usize) -> StateError {
        Self::add(&self.refused, 1);
        StateError::Quota {
            quota,
            limit,
            usage,
            asked,
        }
    }
}
