//! The start of one worker.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::Supervisor;
use crate::call::Request;
use crate::code::ErrorCode;
use crate::error::StartError;
use crate::events::emit;
use crate::id::{Slot, WorkerId};
use crate::pool::foreign;
use crate::value::Payload;
use crate::worker::{CallError, StartContext, ToolInfo, Worker, WorkerInfo, WorkerProfile};

/// A finished start.
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
        let (hub, pool, worker) = (&self.shared.hub, || config.name.clone(), || id.clone());
        if self.missing > 0 {
            emit!(
                hub,
                WorkerRestarted {
                    pool: pool(),
                    worker: worker()
                }
            );
        }
        emit!(
            hub,
            WorkerSpawned {
                pool: pool(),
                worker: worker()
            }
        );
        let restart = self.missing > 0;
        self.missing -= usize::from(restart);
        let now = Instant::now();
        self.shared.lock().begin_start(id.clone(), restart, now);
        let context = StartContext {
            worker: id.clone(),
            pool: config.name.clone(),
            timeout: config.start_timeout,
            max_payload: config.max_payload,
            state: self.profile.state(),
            stacks: config.timeout_stacks,
            events: self.shared.hub.clone(),
            telemetry: self.shared.telemetry.lock().clone(),
        };
        let warm_up = config.warm_up.as_deref().map(Arc::from);
        let (profile, worker) = (Arc::clone(&self.profile), id.clone());
        // The profile keeps the time limit and knows best what went wrong; the extra second is for
        // a profile that does not keep it.
        let limit = config.start_timeout + config.timeout_stacks + Duration::from_secs(1);
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
    let until = Instant::now() + context.timeout;
    let (name, time, stacks) = (context.worker.clone(), context.timeout, context.stacks);
    let worker = profile.start(context).await?;
    // Called here, where a panic in it is a failed start.
    let _ = worker.info();
    let Some(tool) = warm_up else {
        return Ok(worker);
    };
    let plain = worker.unadapted().unwrap_or_else(|| Arc::clone(&worker));
    let info = plain.info();
    if !may_have(info, &tool) {
        let error = unknown(&tool, &info.tools);
        foreign::stop(&*worker, Duration::ZERO).await;
        return Err(error);
    }
    let unfit = |message: String| StartError::new(ErrorCode::StartFailed, message);
    let args = Payload::encode(&()).map_err(|error| unfit(error.to_string()))?;
    let request = Request::new(Arc::clone(&tool), args);
    let called = Arc::clone(&plain).call(Slot(0), request);
    let start = match timeout_at(until, foreign::Guarded(called, "call")).await {
        Ok(Ok(_)) => return Ok(worker),
        Ok(Err(error)) => {
            let mut start = unfit(format!(
                "warm-up `{tool}` of worker `{name}` failed: {error}"
            ));
            match error {
                CallError::Tool(error) | CallError::Rejected(error) => {
                    // Rejected before any code of the tool ran: it would be rejected again.
                    start.permanent = error.type_name.is_empty();
                    start.tool_error = Some(error);
                }
                CallError::Died { exit, .. } => {
                    start.exit = Some(exit.reason);
                    start.output = exit.output;
                }
                CallError::TooLarge { .. } | CallError::NotBegun => {}
            }
            start.help = Some(format!("correct the tool `{tool}`, or remove `warm_up`"));
            start
        }
        Err(_) => {
            let mut start = unfit(format!(
                "warm-up `{tool}` of worker `{name}` did not end within {time:?} of its start"
            ));
            start.stacks = foreign::stacks(&*worker, stacks).await.map(Box::new);
            start.help = Some(format!("raise `start_timeout`, or do less in `{tool}`"));
            start
        }
    };
    foreign::stop(&*worker, Duration::ZERO).await;
    Err(start)
}

/// Returns true if the worker has a tool of this name, or has not reported its tools.
fn may_have(info: &WorkerInfo, tool: &str) -> bool {
    let named = info.tools.iter().any(|known| known.name == tool);
    named || info.tools.is_empty() || info.health_checks.iter().any(|check| check == tool)
}

/// Returns the error of a warm-up tool that workers do not have: no further start can help.
fn unknown(tool: &str, tools: &[ToolInfo]) -> StartError {
    let message = format!("`warm_up` names `{tool}`, which is not a tool of the workers");
    let mut error = StartError::new(ErrorCode::UnknownTool, message);
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    error.help = Some(format!("the tools are: {}", names.join(", ")));
    error.permanent = true;
    error
}
