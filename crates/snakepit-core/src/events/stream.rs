//! A subscriber that receives events as a bounded stream and counts the lost ones.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

use super::{Emitted, Subscription};

/// Events as they happen. Dropping it ends the subscription.
pub struct EventStream {
    events: mpsc::Receiver<Arc<Emitted>>,
    lost: Arc<AtomicU64>,
    subscription: Subscription,
}

pub(super) struct Sink {
    events: mpsc::Sender<Arc<Emitted>>,
    lost: Arc<AtomicU64>,
}

pub(super) struct Source {
    events: mpsc::Receiver<Arc<Emitted>>,
    lost: Arc<AtomicU64>,
}

pub(super) fn channel(capacity: usize) -> (Sink, Source) {
    let (sender, events) = mpsc::channel(capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
    let lost = Arc::new(AtomicU64::new(0));
    let sink = Sink {
        events: sender,
        lost: Arc::clone(&lost),
    };
    (sink, Source { events, lost })
}

impl Sink {
    /// Passes the event on without waiting; if it does not fit, counts it as lost.
    pub(super) fn put(&self, emitted: &Arc<Emitted>) {
        if self.events.try_send(Arc::clone(emitted)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Source {
    pub(super) fn into_stream(self, subscription: Subscription) -> EventStream {
        EventStream {
            events: self.events,
            lost: self.lost,
            subscription,
        }
    }
}

impl EventStream {
    /// Waits for the next event. `None` if the hub is gone.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<Arc<Emitted>> {
        self.events.recv().await
    }

    /// Returns the next event. `None` if none has arrived yet.
    pub fn try_next(&mut self) -> Option<Arc<Emitted>> {
        self.events.try_recv().ok()
    }

    /// Number of events lost so far because the buffer was full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Stream for EventStream {
    type Item = Arc<Emitted>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.subscription.end();
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
