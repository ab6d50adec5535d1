//! The ready workers of a pool, by scheduler key.

use std::sync::Arc;

use tokio::time::Instant;

use crate::schedule::WorkerKey;
use crate::{Worker, WorkerId};

/// One worker that was ready.
pub(super) struct Live {
    pub(super) worker: Arc<dyn Worker>,
    pub(super) id: WorkerId,
    pub(super) ready: Instant,
    /// Calls that ended, items of batches counted one by one.
    pub(super) calls: u64,
    pub(super) draining: bool,
}

/// A table with the scheduler's places as index: a look-up on the hot path costs no hash.
#[derive(Default)]
pub(super) struct Workers {
    places: Vec<Option<(WorkerKey, Live)>>,
}

impl Workers {
    pub(super) fn insert(&mut self, key: WorkerKey, live: Live) {
        if key.index() >= self.places.len() {
            self.places.resize_with(key.index() + 1, || None);
        }
        self.places[key.index()] = Some((key, live));
    }

    pub(super) fn get(&self, key: WorkerKey) -> Option<&Live> {
        self.places
            .get(key.index())?
            .as_ref()
            .filter(|place| place.0 == key)
            .map(|place| &place.1)
    }

    pub(super) fn get_mut(&mut self, key: WorkerKey) -> Option<&mut Live> {
        self.places
            .get_mut(key.index())?
            .as_mut()
            .filter(|place| place.0 == key)
            .map(|place| &mut place.1)
    }

    pub(super) fn remove(&mut self, key: WorkerKey) -> Option<Live> {
        self.get(key)?;
        self.places[key.index()].take().map(|place| place.1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerKey, &Live)> {
        self.places.iter().flatten().map(|(key, live)| (*key, live))
    }
}
