//! The handle of one subscriber.

use std::fmt;
use std::sync::Weak;

use super::hub::Hub;

/// A subscriber of [`Events`](super::Events). Dropping this handle keeps it attached;
/// [`detach`](Self::detach) ends it.
pub struct Subscription {
    hub: Weak<Hub>,
    id: u64,
}

impl Subscription {
    pub(super) const fn new(hub: Weak<Hub>, id: u64) -> Self {
        Self { hub, id }
    }

    /// Detaches the subscriber. A handler that runs on another thread at this moment finishes its
    /// event.
    pub fn detach(self) {
        self.end();
    }

    /// Returns true if the subscriber still receives events: its handler has not panicked, and the
    /// hub exists.
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
