//! How one worker is started.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::Supervisor;
use crate::{
    CallError, ErrorCode, Payload, Request, Slot, StartContext, StartError, Worker, WorkerId,
    WorkerProfile, event,
};

/// A start that is over.
pub(super) struct Started {
    pub(super) id: WorkerId,
    pub(super) result: Result<Arc<dyn Worker>, StartError>,
}

impl Supervisor {
    /// Starts a worker and returns its name.
    pub(super) fn start(&mut self) -> WorkerId {
        let config = &self.shared.config;
        let id = WorkerId::new(format!("{}-{}", config.name, self.next_id));
        self.next_id += 1;
        let name = if self.missing > 0 {
            event::WORKER_RESTARTED
        } else {
            event::WORKER_SPAWNED
        };
        tracing::debug!(target: event::TARGET, event = name, pool = %config.name, worker = %id);
        {
            let mut state = self.shared.lock();
            if self.missing > 0 {
                self.missing -= 1;
                state.stats.restarts += 1;
            }
            state.starting.insert(id.clone(), Instant::now());
        }
        let context = StartContext {
            worker: id.clone(),
            pool: config.name.clone(),
            timeout: config.start_timeout,
            max_payload: config.max_payload,
            state: self.profile.state(),
        };
        let warm_up = config.warm_up.as_deref().map(Arc::from);
        let (profile, worker) = (Arc::clone(&self.profile), id.clone());
        // The profile keeps the time and knows best what went wrong; the second more is for a profile that does not.
        let limit = config.start_timeout.saturating_add(Duration::from_secs(1));
        let start = async move {
            let start = ready(profile, context, warm_up);
            match timeout(limit, AssertUnwindSafe(start).catch_unwind()).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(StartError::new(
                    ErrorCode::StartFailed,
                    "the profile panicked",
                )),
                Err(_) => {
                    let message = format!("worker `{worker}` was not ready within {limit:?}");
                    Err(StartError::new(ErrorCode::StartFailed, message))
                }
            }
        };
        let started = id.clone();
        self.starts.spawn(async move {
            Started {
                id: started,
                result: start.await,
            }
        });
        id
    }
}

/// Starts a worker and lets it warm up.
async fn ready(
    profile: Arc<dyn WorkerProfile>,
    context: StartContext,
    warm_up: Option<Arc<str>>,
) -> Result<Arc<dyn Worker>, StartError> {
    let worker = profile.start(context).await?;
    let Some(tool) = warm_up else {
        return Ok(worker);
    };
    let unfit = |message: String| StartError::new(ErrorCode::StartFailed, message);
    let args = Payload::encode(&()).map_err(|error| unfit(error.to_string()))?;
    let request = Request::new(Arc::clone(&tool), args);
    match Arc::clone(&worker).call(Slot(0), request).await {
        Ok(_) => Ok(worker),
        Err(error) => {
            worker.stop(Duration::ZERO).await;
            let mut start = unfit(format!("its warm-up `{tool}` failed: {error}"));
            match error {
                CallError::Tool(error) => start.tool_error = Some(error),
                CallError::Died { exit, .. } => {
                    start.exit = Some(exit.reason);
                    start.output = exit.output;
                }
                CallError::TooLarge { .. } => {}
            }
            Err(start)
        }
    }
}
