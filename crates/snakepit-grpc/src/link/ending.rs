//! The end of a connection.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::parser::ProtocolError;
use super::pending::Pending;
use super::serving::Serving;

/// The reason for the end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The worker closed the connection, or it was lost; usually the worker exits by itself.
    Lost(Arc<str>),
    /// The worker broke the protocol, and its connection cannot be used any further.
    ProtocolBroken(Arc<str>),
}

impl LinkEnd {
    /// Returns the reason, which continues the name of the worker.
    pub const fn reason(&self) -> &Arc<str> {
        match self {
            Self::Lost(reason) | Self::ProtocolBroken(reason) => reason,
        }
    }

    pub(super) fn lost(reason: impl Into<Arc<str>>) -> Self {
        Self::Lost(reason.into())
    }

    pub(super) fn protocol(error: &dyn fmt::Display) -> Self {
        Self::ProtocolBroken(format!("broke the protocol: {error}").into())
    }
}

impl From<ProtocolError> for LinkEnd {
    fn from(error: ProtocolError) -> Self {
        Self::protocol(&error)
    }
}

impl From<prost::DecodeError> for LinkEnd {
    fn from(error: prost::DecodeError) -> Self {
        Self::protocol(&error)
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// Waits for the end of a connection. `None` if the task that reports it is gone.
pub(super) async fn ended(mut end: watch::Receiver<Option<LinkEnd>>) -> Option<LinkEnd> {
    end.wait_for(Option::is_some).await.ok()?.clone()
}

/// Ends the connection when dropped, even if the task is dropped with its runtime.
pub(super) struct End {
    pub(super) ended: watch::Sender<Option<LinkEnd>>,
    pub(super) pending: Arc<Pending>,
    pub(super) serving: Arc<Serving>,
    pub(super) end: LinkEnd,
    /// The worker answers one call after the other, so that only the first unanswered one can have
    /// begun.
    pub(super) in_turn: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        let (pending, serving) = (&self.pending, &self.serving);
        end(&self.ended, pending, serving, &self.end, self.in_turn);
    }
}

/// Ends the connection, see [`Pending::end`]. The first reason is kept, and all waiting calls fail.
pub(super) fn end(
    ended: &watch::Sender<Option<LinkEnd>>,
    pending: &Pending,
    serving: &Serving,
    how: &LinkEnd,
    answered_in_turn: bool,
) {
    // The reason is set before the waiters fail, because a stream reads it when its channel closes.
    ended.send_if_modified(|current| {
        let first = current.is_none();
        current.get_or_insert_with(|| how.clone());
        first
    });
    serving.end_all();
    pending.end(how.reason(), answered_in_turn);
}
