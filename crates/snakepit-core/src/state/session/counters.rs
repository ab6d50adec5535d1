//! Counters of the whole store, and the quotas that limit them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{Quota, StateError};

/// Counters of the whole store. `live` and `bytes` are limited by quotas.
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

    /// Reserves `asked` of a limited amount.
    pub(super) fn reserve(
        &self,
        used: &AtomicUsize,
        quota: Quota,
        limit: usize,
        asked: usize,
    ) -> Result<(), StateError> {
        Self::take(used, limit, asked).map_err(|usage| self.refuse(quota, limit, usage, asked))
    }

    /// Like [`reserve`](Self::reserve), but a rejection returns only the amount in use.
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

    /// Checks a count whose lock the caller holds.
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
