//! The consequences of a change of the state, for when the lock is released.

use super::{Granted, PoolCore, Recall, Waiter};
use crate::error::Error;
use crate::schedule::{Grant, Lost, WorkerKey};

/// The consequences of a change: calls to wake, and what other parts of the pool must know. Each
/// call makes two of them, so they are small.
#[derive(Default)]
#[must_use = "calls wait for what is in it"]
pub(crate) struct Effects {
    /// A waiting call that got a slot.
    pub(crate) wake: Option<(Waiter, Granted)>,
    /// Waiting calls whose session's worker is gone.
    pub(crate) lost: Vec<(Waiter, Lost)>,
    /// A draining worker that has no more calls, or only calls that cannot be stopped.
    pub(crate) idle: Option<WorkerKey>,
    /// A worker is due to be replaced.
    pub(crate) due: bool,
    /// Calls that wait for a worker of their own, or for the first worker, must look again.
    pub(crate) changed: bool,
    /// Consequences that only changes of workers have.
    pub(crate) further: Option<Box<Further>>,
}

/// Consequences of a change of a worker, or of the pool.
#[derive(Default)]
pub(crate) struct Further {
    /// Waiting calls that got slots.
    pub(crate) wakes: Vec<(Waiter, Granted)>,
    /// Waiting calls that get no slot any more, and the reason.
    pub(crate) failed: Option<(Vec<Waiter>, Error)>,
    /// Calls that their workers must return.
    pub(crate) recalls: Vec<Recall>,
}

impl From<Further> for Effects {
    fn from(further: Further) -> Self {
        Self {
            further: Some(Box::new(further)),
            ..Self::default()
        }
    }
}

impl PoolCore {
    /// Wakes waiting calls that got slots.
    pub(super) fn woken(&self, wakes: Vec<(Waiter, Grant)>) -> Effects {
        let wakes = wakes.into_iter();
        let wakes = wakes.map(|(waiter, grant)| (waiter, self.granted(grant)));
        let further = Further {
            wakes: wakes.collect(),
            ..Further::default()
        };
        further.into()
    }

    /// Makes a worker return the calls that were sent ahead to it. The caller has ensured that no
    /// more are sent.
    pub(super) fn recall_effects(&mut self, key: WorkerKey) -> Effects {
        self.recall(key).map_or_else(Effects::default, |recall| {
            let further = Further {
                recalls: vec![recall],
                ..Further::default()
            };
            further.into()
        })
    }
}
