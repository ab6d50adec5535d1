//! The way of a slot to the call that waits for it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::lease::Lease;
use crate::error::Error;
use crate::pool::shared::Shared;
use crate::pool::state::Granted;

/// The receiving end of a slot. If it is dropped while a slot arrives, the slot goes to the next
/// call.
pub(super) struct Arrival {
    shared: Arc<Shared>,
    /// `None` once the slot has arrived, or none will.
    receiver: Option<oneshot::Receiver<Result<Granted, Error>>>,
}

impl Arrival {
    pub(super) const fn new(
        shared: Arc<Shared>,
        receiver: oneshot::Receiver<Result<Granted, Error>>,
    ) -> Self {
        Self {
            shared,
            receiver: Some(receiver),
        }
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits for the slot. `None` if none will arrive.
    ///
    /// # Cancel safety
    /// Safe: the slot is in the channel until this returns it.
    pub(super) async fn slot(&mut self) -> Option<Result<Box<Lease>, Error>> {
        let answer = self.receiver.as_mut()?.await;
        self.receiver = None;
        let lease = |granted| Lease::new(Arc::clone(&self.shared), granted);
        Some(answer.ok()?.map(lease))
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let Some(mut receiver) = self.receiver.take() else {
            return;
        };
        // From here on a sender keeps the slot, and passes it on itself.
        receiver.close();
        if let Ok(Ok(granted)) = receiver.try_recv() {
            self.shared.release(granted.grant, None, None);
        }
    }
}
