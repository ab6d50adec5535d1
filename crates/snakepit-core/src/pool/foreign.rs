//! Calls into the implementation of a worker. It is foreign code: a panic in it affects only that
//! worker.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;

use crate::error::Stacks;
use crate::id::{CallId, Slot};
use crate::value::Payload;
use crate::worker::profiling::{Profile, Profiling};
use crate::worker::{CallError, ChunkStream, Worker, WorkerExit};

/// Time for the end of a worker whose end cannot be observed.
const LAST_STOP: Duration = Duration::from_secs(5);

/// Returns the exit of a worker whose implementation panicked.
fn panicked(place: &str) -> WorkerExit {
    WorkerExit {
        reason: format!("its implementation panicked in `{place}`"),
        ..WorkerExit::default()
    }
}

/// Returns the outcome of a call that panicked. The tool may continue, so the worker has to end.
pub(super) fn failed(place: &str) -> CallError {
    CallError::Died {
        exit: Box::new(panicked(place)),
        ambiguous: true,
    }
}

/// Waits for the end of a worker. If its implementation panics, the worker is killed and counts as
/// gone.
pub(super) async fn closed(worker: Arc<dyn Worker>) -> WorkerExit {
    let closed = AssertUnwindSafe(async { worker.closed().await }).catch_unwind();
    match closed.await {
        Ok(exit) => exit,
        Err(_) => {
            tokio::time::timeout(LAST_STOP, stop(&*worker, Duration::ZERO))
                .await
                .ok();
            panicked("closed")
        }
    }
}

/// Reports the reason for its end to a worker.
pub(super) fn will_end(worker: &dyn Worker, why: &str) {
    catch_unwind(AssertUnwindSafe(|| worker.will_end(why))).ok();
}

/// Ends a worker.
pub(super) async fn stop(worker: &dyn Worker, grace: Duration) {
    let stop = AssertUnwindSafe(async { worker.stop(grace).await }).catch_unwind();
    // Nothing more can be done about a worker that does not even stop.
    stop.await.ok();
}

/// Cancels a call; the pool kills the worker if that has no effect.
pub(super) fn cancel(worker: &dyn Worker, call: CallId, grace: Duration) {
    catch_unwind(AssertUnwindSafe(|| worker.cancel(call, grace))).ok();
}

/// Requests the stacks of a worker's threads, for at most `wait`. `None` without a request if
/// `wait` is zero.
pub(super) async fn stacks(worker: &dyn Worker, wait: Duration) -> Option<Stacks> {
    if wait.is_zero() {
        return None;
    }
    let ask = AssertUnwindSafe(async { worker.stacks(wait).await }).catch_unwind();
    let asked = tokio::time::timeout(wait, ask).await;
    asked.ok()?.ok().flatten()
}

/// Starts a profile of a worker.
pub(super) async fn profile(
    worker: &dyn Worker,
    profile: &Profile,
) -> Result<Box<dyn Profiling>, String> {
    let begin = AssertUnwindSafe(async { worker.profile(profile).await }).catch_unwind();
    let begun = begin.await;
    begun.unwrap_or_else(|_| Err(panicked("profile").reason))
}

/// Recalls a call. A worker that panics returns nothing.
pub(super) async fn recall(worker: &dyn Worker, slot: Slot, call: CallId) -> bool {
    let recall = AssertUnwindSafe(async { worker.recall(slot, call).await }).catch_unwind();
    recall.await.unwrap_or(false)
}

/// Makes a worker return all calls that it has not begun.
pub(super) async fn recall_all(worker: &dyn Worker) {
    let back = AssertUnwindSafe(async { worker.recall_all().await }).catch_unwind();
    // If it panics, its calls stay with it.
    back.await.ok();
}

/// Polls for the next chunk of a stream.
pub(super) fn next(
    chunks: &mut ChunkStream,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Payload, CallError>>> {
    catch_unwind(AssertUnwindSafe(|| chunks.as_mut().poll_next(context)))
        .unwrap_or_else(|_| Poll::Ready(Some(Err(failed("stream")))))
}

/// A future of a worker; a panic in it becomes its outcome.
#[must_use = "futures do nothing unless polled"]
pub(super) struct Guarded<F>(pub(super) Pin<Box<F>>, pub(super) &'static str)
where
    F: ?Sized;

impl<F, T> Future for Guarded<F>
where
    F: Future<Output = Result<T, CallError>> + ?Sized,
{
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (place, future) = (self.1, self.0.as_mut());
        catch_unwind(AssertUnwindSafe(|| future.poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(failed(place))))
    }
}
