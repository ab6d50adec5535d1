//! The limit of workers that are in replacement at the same time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Limits the workers that are being replaced at the same time, over all pools that share it: a
/// tenth of all their workers, but at least one. Cheap to clone; clones are the same budget.
#[derive(Clone, Default)]
pub struct RecycleBudget {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    counts: Mutex<Counts>,
    /// Notifies when a replacement may have become possible.
    freed: watch::Sender<()>,
}

#[derive(Default)]
struct Counts {
    workers: usize,
    taken: usize,
}

impl RecycleBudget {
    /// Creates a budget, to be shared by pools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of workers that are being replaced now.
    pub fn taken(&self) -> usize {
        self.lock().taken
    }

    /// Number of workers that may be in replacement at the same time.
    pub fn allowed(&self) -> usize {
        self.lock().allowed()
    }

    pub(crate) fn join(&self, workers: usize) -> Member {
        self.lock().workers += workers;
        Member {
            freed: self.inner.freed.subscribe(),
            budget: self.clone(),
            workers,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        let counts = &self.inner.counts;
        counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn allowed(&self) -> usize {
        (self.workers / 10).max(1)
    }
}

impl fmt::Debug for RecycleBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.lock();
        f.debug_struct("RecycleBudget")
            .field("taken", &counts.taken)
            .field("allowed", &counts.allowed())
            .finish_non_exhaustive()
    }
}

/// One pool's share in a budget.
pub(crate) struct Member {
    budget: RecycleBudget,
    workers: usize,
    freed: watch::Receiver<()>,
}

impl Member {
    /// Notes the number of workers that the pool keeps now.
    pub(crate) fn resize(&mut self, workers: usize) {
        let mut counts = self.budget.lock();
        counts.workers = counts.workers - self.workers + workers;
        drop(counts);
        self.workers = workers;
        self.budget.inner.freed.send_replace(());
    }

    /// Takes a permit to replace one worker, held until it is dropped.
    pub(crate) fn try_take(&mut self) -> Option<Token> {
        // Permits freed before this check need no notification.
        self.freed.borrow_and_update();
        let mut counts = self.budget.lock();
        if counts.taken >= counts.allowed() {
            return None;
        }
        counts.taken += 1;
        drop(counts);
        Some(Token(self.budget.clone()))
    }

    /// Waits until a further attempt may succeed.
    pub(crate) async fn freed(&mut self) {
        // The sender lives in the budget.
        self.freed.changed().await.ok();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.budget.lock().workers -= self.workers;
    }
}

/// The permit to replace one worker.
pub(crate) struct Token(RecycleBudget);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.lock().taken -= 1;
        self.0.inner.freed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_all_workers_but_one_at_least() {
        let budget = RecycleBudget::new();
        assert_eq!(budget.allowed(), 1);
        let (mut small, mut large) = (budget.join(5), budget.join(15));
        assert_eq!(budget.allowed(), 2);
        let one = small.try_take().expect("nothing is taken");
        let two = large.try_take().expect("one is left");
        assert!(small.try_take().is_none() && large.try_take().is_none());
        drop(one);
        assert!(large.try_take().is_some());
        large.resize(35);
        assert_eq!((budget.allowed(), budget.taken()), (4, 1));
        drop((large, small));
        assert_eq!((budget.allowed(), budget.taken()), (1, 1));
        drop(two);
        assert_eq!(budget.taken(), 0);
    }

    #[tokio::test]
    async fn a_pool_hears_of_what_another_gives_back() {
        let budget = RecycleBudget::new();
        let (mut one, mut other) = (budget.join(1), budget.join(1));
        let token = one.try_take().expect("nothing is taken");
        assert!(other.try_take().is_none());
        drop(token);
        other.freed().await;
        assert!(other.try_take().is_some());
    }
}
