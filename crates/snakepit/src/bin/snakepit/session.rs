//! A pool for the duration of one command.

use std::sync::Arc;
use std::time::Duration;

use snakepit::{
    BuildError, CallOptions, Error, ErrorCode, Phase, ShutdownReport, Snakepit, Stacks, StartError,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout, timeout_at};

use crate::cli::{PoolOptions, TelemetryOptions};
use crate::failure::Failure;
use crate::settings;
use crate::telemetry::Exporters;
use crate::words::Workers;

/// Name of the pool.
const POOL: &str = "main";

/// Maximum time reserved for the steps before and after the start of a worker.
const LATER: Duration = Duration::from_millis(500);

/// Time after the deadline: for the stacks, and some more for a busy machine.
const AFTER: Duration = Duration::from_millis(600);

/// Starts a pool, runs `work` and shuts the pool down, also after a signal or a time-out.
pub(crate) async fn with_pool<W>(
    workers: Workers,
    options: &PoolOptions,
    (telemetry, started): (&TelemetryOptions, Instant),
    work: W,
) -> Result<(), Failure>
where
    W: AsyncFnOnce(Snakepit, CallOptions) -> Result<(), Failure>,
{
    let mut signals = Signals::new()?;
    let exporters = Exporters::start(telemetry)?;
    let deadline = options.timeout.map(|timeout| (started + timeout, timeout));
    let snakepit = tokio::select! {
        snakepit = start(workers, options, deadline, &exporters) => snakepit?,
        number = signals.next() => return Err(Failure::Signal(number)),
    };
    let mut call = CallOptions::new();
    let left = deadline.map(|(at, after)| (at.saturating_duration_since(Instant::now()), after));
    if let Some((left, _)) = left {
        call = call.timeout(left);
    }
    let result = match left {
        // A call without any time left would only report that.
        Some((Duration::ZERO, after)) => Err(late(Phase::Start, after, None).into()),
        _ => tokio::select! {
            result = within(deadline, work(snakepit.clone(), call)) => result,
            number = signals.next() => Err(Failure::Signal(number)),
        },
    };
    if result.as_ref().is_err_and(Failure::is_timeout) {
        // After a time-out the workers are killed without clean-up. The bound covers a kernel that
        // is slow to reap.
        let _ = timeout(Duration::from_millis(100), snakepit.shutdown()).await;
    } else {
        tokio::select! {
            report = snakepit.shutdown() => warn(&report),
            number = signals.next() => return Err(Failure::Signal(number)),
        }
    }
    exporters.end().await;
    result
}

fn warn(report: &ShutdownReport) {
    if !report.leftover.is_empty() {
        tracing::error!(pids = ?report.leftover, "killed, but still running");
    }
}

async fn start(
    workers: Workers,
    options: &PoolOptions,
    deadline: Option<(Instant, Duration)>,
    exporters: &Exporters,
) -> Result<Snakepit, Failure> {
    // A worker that is not ready in time reports its stacks. Its limit is shorter than the time
    // left, since its start begins late and the report takes time.
    let limit = deadline.map(|(at, _)| {
        let left = at.saturating_duration_since(Instant::now());
        (left - LATER.min(left / 4)).max(Duration::from_millis(1))
    });
    let began = Instant::now();
    let mut pool = settings::pool(POOL, workers, options)?;
    if let Some(limit) = limit {
        pool = pool.configure(|config| config.start_timeout = config.start_timeout.min(limit));
    }
    let start = exporters.of(Snakepit::builder().pool(pool)).start();
    let Some((at, after)) = deadline else {
        return Ok(start.await?);
    };
    match timeout_at(at + AFTER, start).await {
        Ok(Ok(started)) => Ok(started),
        Ok(Err(error)) => {
            let over = limit.is_some_and(|limit| began.elapsed() >= limit);
            Err(match start_error(&error).filter(|_| over) {
                Some(source) if took_too_long(source) => {
                    let stacks = source.stacks.clone().map(|stacks| Arc::new(*stacks));
                    late(Phase::Start, after, stacks).into()
                }
                _ => error.into(),
            })
        }
        Err(_) => Err(late(Phase::Start, after, None).into()),
    }
}

/// Creates the error of a time-out of the whole program.
fn late(phase: Phase, after: Duration, stacks: Option<Arc<Stacks>>) -> Error {
    Error::Timeout {
        pool: POOL.into(),
        phase,
        after,
        stacks,
    }
}

/// Returns the error of a worker's start, if that is the cause.
fn start_error(error: &BuildError) -> Option<&StartError> {
    match error {
        BuildError::Start { error, .. } => match &**error {
            Error::Start { source, .. } => Some(source),
            _ => None,
        },
        _ => None,
    }
}

/// Returns whether the worker neither exited nor reported an error.
const fn took_too_long(error: &StartError) -> bool {
    error.exit.is_none() && error.tool_error.is_none()
}

/// Bounds the work. The pool times out a call itself and reports its stacks; this bound covers
/// everything around the call.
async fn within(
    deadline: Option<(Instant, Duration)>,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let Some((at, after)) = deadline else {
        return work.await;
    };
    match timeout_at(at + AFTER, work).await {
        Ok(result) => result.map_err(|failure| whole_time(failure, after)),
        Err(_) => Err(late(Phase::Call, after, None).into()),
    }
}

/// Reports the user's whole time-out instead of the part of it that the call had.
fn whole_time(failure: Failure, after: Duration) -> Failure {
    match failure {
        Failure::Reported { report, usage } => {
            let phase = match report.code() {
                ErrorCode::CallTimeout => Phase::Call,
                ErrorCode::QueueTimeout => Phase::Queue,
                _ => return Failure::Reported { report, usage },
            };
            let report = Box::new(report.message(late(phase, after, None).to_string()));
            Failure::Reported { report, usage }
        }
        other => other,
    }
}

/// The signals that end the program.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns its number.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}
