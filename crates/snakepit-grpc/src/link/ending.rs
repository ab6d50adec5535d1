//! The end of a slot connection.

use std::sync::Arc;

use tokio::sync::watch;

use super::pending::Pending;
use super::serving::Serving;

/// Ends the connection when dropped, even if the task is dropped with its runtime.
pub(super) struct End {
    pub(super) ended: watch::Sender<Option<Arc<str>>>,
    pub(super) pending: Arc<Pending>,
    pub(super) serving: Arc<Serving>,
    pub(super) reason: Arc<str>,
    /// The worker answers one call after the other, so that only the first unanswered one can have
    /// begun.
    pub(super) in_turn: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        let (pending, serving) = (&self.pending, &self.serving);
        end(&self.ended, pending, serving, &self.reason, self.in_turn);
    }
}

/// Ends the connection, see [`Pending::end`]. The first reason is kept, and all waiting calls fail.
pub(super) fn end(
    ended: &watch::Sender<Option<Arc<str>>>,
    pending: &Pending,
    serving: &Serving,
    reason: &Arc<str>,
    answered_in_turn: bool,
) {
    // The reason is set before the waiters fail, because a stream reads it when its channel closes.
    ended.send_if_modified(|current| {
        let first = current.is_none();
        current.get_or_insert_with(|| Arc::clone(reason));
        first
    });
    serving.end_all();
    pending.end(reason, answered_in_turn);
}
