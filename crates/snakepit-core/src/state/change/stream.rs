//! Stream of the changes of a session.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::Change;
use crate::state::StateError;

/// An item of a [`ChangeStream`].
#[derive(Clone, Debug, PartialEq)]
pub enum WatchItem {
    /// The next change.
    Change(Arc<Change>),
    /// The watcher was too slow: this many changes before the next item are lost, including those
    /// that the filter leaves out.
    Lagged {
        /// Number of changes.
        missed: u64,
    },
}

/// Changes of one session in order, each exactly once except for those reported as
/// [`WatchItem::Lagged`].
///
/// When the session ends, the last item is the error for that. Watching does not keep a session
/// alive.
pub struct ChangeStream {
    inner: Items,
}

type Items = Pin<Box<dyn Stream<Item = Result<WatchItem, StateError>> + Send>>;

impl ChangeStream {
    pub(crate) const fn new(inner: Items) -> Self {
        Self { inner }
    }
}

impl Stream for ChangeStream {
    type Item = Result<WatchItem, StateError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(context)
    }
}

impl fmt::Debug for ChangeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeStream").finish_non_exhaustive()
    }
}
