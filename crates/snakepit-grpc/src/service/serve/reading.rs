//! The end of streams whose clients do not read. Hyper does not ask for the next part of an answer
//! until the client has room for it, so only the task of the stream can end it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

tokio::task_local! {
    static READER: Arc<Reader>;
}

/// The progress of the client that reads the answer of a task.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Grows with each step; odd while a part of the answer waits for room.
    steps: AtomicU64,
}

impl Reader {
    /// Returns the reader of this task. `None` in a task that is not of a stream.
    pub(super) fn current() -> Option<Arc<Self>> {
        READER.try_with(Arc::clone).ok()
    }

    /// Records that a part of the answer was sent, and that the next one waits for room.
    pub(super) fn sent(&self) {
        self.steps.fetch_or(1, Ordering::Relaxed);
    }

    /// Records that there is room for the next part.
    pub(super) fn has_room(&self) {
        let steps = self.steps.load(Ordering::Relaxed);
        self.steps.store((steps | 1) + 1, Ordering::Relaxed);
    }

    /// Resolves when the client has not made room for `patience`, which takes up to twice that
    /// time.
    async fn stalled(&self, patience: Duration) {
        let mut before = 0;
        loop {
            sleep(patience).await;
            let steps = self.steps.load(Ordering::Relaxed);
            if steps % 2 == 1 && steps == before {
                return;
            }
            before = steps;
        }
    }
}

/// Runs the task of a stream until it ends, or until its client has not read for `patience`.
pub(super) async fn unless_stalled<T>(task: impl Future<Output = T>, patience: Duration) {
    let reader = Arc::<Reader>::default();
    let task = READER.scope(Arc::clone(&reader), task);
    tokio::select! {
        biased;
        _ = task => {}
        () = reader.stalled(patience) => {
            tracing::debug!("a stream is closed: its client has not read for {patience:?}");
        }
    }
}
