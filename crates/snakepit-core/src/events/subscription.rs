//! The handle of one subscriber.

use std::fmt;
use std::sync::Weak;

use super::hub::Hub;

/// A subscriber of [`Events`](super::Events). It stays attached when this handle is dropped; [`detach`](Self::detach) ends it.
pub struct Subscription {
    hub: Weak<Hub>,
    id: u64,
}

impl Subscription {
    pub(super) const fn new(hub: Weak<Hub>, id: u64) -> Self {
        Self { hub, id }
    }

    /// Detaches the subscriber. An event that is being handled on another thread is handled to its end.
    pub fn detach(self) {
        self.end();
    }

    /// Returns whether it still gets events: not after a panic of its handler, nor without a hub.
    pub fn is_attached(&self) -> bool {
        self.hub
            .upgrade()
            .is_some_and(|hub| hub.is_attached(self.id))
    }

    pub(super) fn end(&self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.detach(self.id);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("attached", &self.is_attached())
            .finish_non_exhaustive()
    }
}
