//! The end of a call that its caller has given up before its turn.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::abandon;
use super::lease::Lease;
use crate::id::CallId;
use crate::pool::state::Outcome;
use crate::worker::CallError;

/// Time after which the recall of a call is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes back a call that its caller has given up before its turn. Its place is free once the
/// worker confirms that; if the worker has begun the call, it is cancelled like any other.
pub(super) fn withdraw(
    mut lease: Box<Lease>,
    call: CallId,
    outcome: Outcome,
    rest: impl Future<Output = Result<(), CallError>> + Send + 'static,
) {
    let shared = Arc::clone(lease.shared());
    shared.lock().record(outcome, 1);
    let (tasks, runtime) = (shared.tasks.clone(), shared.runtime.clone());
    tasks.spawn_on(
        async move {
            let mut rest = Box::pin(rest);
            tokio::select! {
                biased;
                ended = &mut rest => {
                    if let Err(CallError::Died { exit, ambiguous }) = ended {
                        lease.worker_died(&exit, ambiguous);
                    }
                }
                back = is_recalled(&lease, call) => {
                    if !back {
                        abandon::cancel(lease, call, rest);
                    }
                }
            }
        },
        &runtime,
    );
}

/// Recalls an abandoned call until there is an answer: `false` if the worker has begun it.
async fn is_recalled(lease: &Lease, call: CallId) -> bool {
    loop {
        if let Ok(back) = timeout(AGAIN, lease.recall(call)).await {
            return back.unwrap_or(false);
        }
    }
}
