//! Abandoned calls: their callers do not wait any more.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::task::consume_budget;
use tokio::time::{Instant, timeout};

use super::behind;
use super::lease::Lease;
use super::overdue::Overdue;
use crate::events::emit;
use crate::events::open_span::{OpenSpan, text};
use crate::id::{CallId, WorkerId};
use crate::pool::foreign;
use crate::pool::foreign::Guarded;
use crate::pool::shared::Shared;
use crate::pool::state::Outcome;
use crate::value::Payload;
use crate::worker::{CallError, CancelStep, ChunkStream, ItemResult, Stopped, Worker};

/// Time for the worker's report, which it sends before it gives the slot back. There is no report
/// if the call was over before the worker received the cancellation.
const REPORT: Duration = Duration::from_millis(100);

/// The part of a call's result that its worker has not delivered yet.
pub(super) trait Drain: Send + 'static {
    /// Waits for the end of the result, after which the slot is free.
    fn drain(self) -> impl Future<Output = Result<(), CallError>> + Send;
}

impl Drain for Payload {
    async fn drain(self) -> Result<(), CallError> {
        Ok(())
    }
}

impl Drain for Vec<ItemResult> {
    async fn drain(self) -> Result<(), CallError> {
        self.into_iter()
            .last()
            .map_or(Ok(()), |last| last.map(drop))
    }
}

impl Drain for ChunkStream {
    async fn drain(mut self) -> Result<(), CallError> {
        while let Some(chunk) = self.next().await {
            match chunk {
                Ok(_) | Err(CallError::Rejected(_)) => consume_budget().await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Cancels a call and waits in the background until the tool has ended; only then is the slot free.
/// If that takes longer than the grace time, the worker is killed.
pub(super) fn spawn(
    lease: Box<Lease>,
    call: CallId,
    outcome: Outcome,
    rest: impl Future<Output = Result<(), CallError>> + Send + 'static,
) {
    lease.count(outcome);
    cancel(lease, call, rest);
}

/// Like [`spawn`], for a call that was counted before.
pub(super) fn cancel(
    mut lease: Box<Lease>,
    call: CallId,
    rest: impl Future<Output = Result<(), CallError>> + Send + 'static,
) {
    let shared = lease.shared().clone();
    let number = lease.number.unwrap_or(call);
    emit!(
        shared.hub,
        CallAbandoned {
            pool: shared.config.name.clone(),
            worker: lease.id().clone(),
            call: number,
        }
    );
    // The call's span records the step that stopped the tool.
    let span = lease.span.take();
    let grace = shared.config.cancel_grace;
    // The calls behind it come back first.
    let behind = lease.recall_behind();
    if behind.is_none() {
        foreign::cancel(&**lease.worker(), call, grace);
    }
    let began = Instant::now();
    let overdue = Overdue::new(&shared, lease.key(), call);
    let (tasks, runtime) = (shared.tasks.clone(), shared.runtime.clone());
    tasks.spawn_on(
        async move {
            let _overdue = overdue;
            let mut rest = Guarded(Box::pin(rest), "call");
            let ended = behind::cancel(&lease, call, behind, began, grace, &mut rest);
            match ended.await {
                Some(
                    Ok(())
                    | Err(
                        CallError::Tool(_)
                        | CallError::Rejected(_)
                        | CallError::TooLarge { .. }
                        | CallError::NotBegun,
                    ),
                ) => {
                    let (worker, id) = (Arc::clone(lease.worker()), lease.id().clone());
                    let after = began.elapsed();
                    if worker.wants_renewal() {
                        lease.renew();
                    }
                    // The slot is free first: no caller waits for the report.
                    drop(lease);
                    let stopped = report(&*worker, call, after).await;
                    note(&shared, &id, number, stopped, span.as_deref());
                }
                Some(Err(CallError::Died { exit, ambiguous })) => {
                    lease.worker_died(&exit, ambiguous);
                }
                None if lease.stick() => {
                    let worker = lease.id().clone();
                    emit!(
                        shared.hub,
                        WorkerStuck {
                            pool: shared.config.name.clone(),
                            worker: worker.clone(),
                            call: number,
                        }
                    );
                    // The tool ends later, or with its worker, which drains.
                    let ended = rest_of(&lease, rest).await;
                    lease.unstick();
                    let step = if let Err(CallError::Died { .. }) = ended {
                        lease.lose();
                        CancelStep::Kill
                    } else {
                        // The worker drains already.
                        drop(lease);
                        CancelStep::Flag
                    };
                    let after = began.elapsed();
                    let stopped = Stopped { step, after };
                    note(&shared, &worker, number, stopped, span.as_deref());
                }
                None => {
                    // The worker has no other calls and gets no further ones.
                    let wait = shared.config.timeout_stacks;
                    let stacks = foreign::stacks(&**lease.worker(), wait).await;
                    emit!(
                        shared.hub,
                        WorkerKilled {
                            pool: shared.config.name.clone(),
                            worker: lease.id().clone(),
                            call: number,
                            stacks: stacks.as_ref().map(ToString::to_string),
                        }
                    );
                    lease.lose();
                    let why = format!(
                        "killed by its host: a cancelled call did not end within `cancel_grace` ({grace:?})"
                    );
                    foreign::will_end(&**lease.worker(), &why);
                    foreign::stop(&**lease.worker(), Duration::ZERO).await;
                    let stopped = Stopped {
                        step: CancelStep::Kill,
                        after: began.elapsed(),
                    };
                    note(&shared, lease.id(), number, stopped, span.as_deref());
                }
            }
        },
        &runtime,
    );
}

/// Waits for the end of a call that cannot be stopped. Meanwhile its worker returns the calls that
/// it has not begun.
async fn rest_of<T>(lease: &Lease, call: impl Future<Output = T>) -> T {
    let worker = Arc::clone(lease.worker());
    let (mut call, mut back) = (pin!(call), pin!(foreign::recall_all(&*worker)));
    tokio::select! {
        biased;
        ended = &mut call => ended,
        () = &mut back => call.await,
    }
}

/// Returns the worker's report. Without one, the tool ended on its own, `after` its cancellation.
async fn report(worker: &dyn Worker, call: CallId, after: Duration) -> Stopped {
    let told = AssertUnwindSafe(timeout(REPORT, worker.stopped(call))).catch_unwind();
    let told = told.await.ok().and_then(Result::ok).flatten();
    told.unwrap_or(Stopped {
        step: CancelStep::Flag,
        after,
    })
}

fn note(
    shared: &Shared,
    worker: &WorkerId,
    call: CallId,
    Stopped { step, after }: Stopped,
    span: Option<&OpenSpan>,
) {
    shared.lock().stopped(step);
    if let Some(span) = span {
        let (name, step) = text("snakepit.cancel.step", step.as_str());
        span.attribute(name, step);
    }
    emit!(
        shared.hub,
        CallStopped {
            pool: shared.config.name.clone(),
            worker: worker.clone(),
            call,
            step: step.as_str(),
            duration_us: u64::try_from(after.as_micros()).unwrap_or(u64::MAX),
        }
    );
}
