//! The journal of a call: its events and its span, from its beginning to its end.

mod observed;
mod over;

use std::cell::LazyCell;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::lease::Lease;
use crate::call::{CallOptions, Request};
use crate::code::ErrorCode;
use crate::error::{Error, Phase};
use crate::events::open_span::{Sent, Traced, number, text};
use crate::events::record::SpanKind;
use crate::events::{TraceContext, TraceState, emit, kind};
use crate::id::{CallId, WorkerId};
use crate::pool::shared::Shared;

/// One call, or one batch. Dropping it before its end reports that the caller has gone away.
pub(crate) struct Journal<S: Deref<Target = Shared>> {
    shared: S,
    pub(crate) progress: Progress,
    over: bool,
}

/// The progress of one call. Its number is the same in all its attempts.
pub(crate) struct Progress {
    pub(crate) call: CallId,
    pub(crate) tool: Arc<str>,
    traced: Traced,
    begun: Instant,
    items: u64,
    /// Number of times that the call was sent to a worker.
    attempts: u32,
    /// The last worker of the call.
    worker: Option<WorkerId>,
    /// Time at which it entered the queue.
    waits: Option<Instant>,
    /// Time of the call in the queue so far.
    queued: Duration,
    /// Chunks of a stream that has begun.
    chunks: Option<Chunks>,
    /// The observer's mark of the last attempt.
    mark: Option<u32>,
    /// Bytes of its arguments, all attempts together.
    sent: u64,
    /// Bytes of its results.
    pub(crate) received: u64,
    /// Time at which its slot was free. `None` before, and after a failure.
    pub(crate) ended: Option<Instant>,
}

/// The chunks of a stream.
struct Chunks {
    since: Instant,
    taken: u64,
    first: Option<Duration>,
}

/// The end of a call, as its events report it.
struct End {
    outcome: &'static str,
    code: Option<&'static str>,
    failed: u64,
}

/// Begins the span of a call that is made `now`. Must run on the caller's thread.
pub(crate) fn trace(shared: &Shared, options: &CallOptions, now: Instant) -> Traced {
    let what = ("snakepit.call", SpanKind::Client);
    let parent = (options.trace, &options.trace_state);
    Traced::begin(&shared.hub, parent, what, now)
}

impl<S: Deref<Target = Shared>> Journal<S> {
    /// Begins the journal of a call that is made at `begun`.
    pub(crate) fn begin(shared: S, tool: Arc<str>, traced: Traced, begun: Instant) -> Self {
        let progress = Progress {
            call: CallId::next(),
            tool,
            traced,
            begun,
            items: 1,
            attempts: 0,
            worker: None,
            waits: None,
            queued: Duration::ZERO,
            chunks: None,
            mark: None,
            sent: 0,
            received: 0,
            ended: None,
        };
        Self {
            shared,
            progress,
            over: false,
        }
    }

    /// Marks the journal as that of a batch of so many items.
    pub(crate) fn items(mut self, items: usize) -> Self {
        self.progress.items = items as u64;
        self
    }

    /// Ends the call.
    #[inline]
    pub(crate) fn end(&mut self, result: Result<(), &Error>) {
        let failed = self.progress.items;
        self.close(|| match result {
            Ok(()) => End {
                outcome: "ok",
                code: None,
                failed: 0,
            },
            Err(error) => End {
                outcome: outcome(error),
                code: Some(error.code().as_str()),
                failed,
            },
        });
    }

    /// Ends a batch, with a result for each item.
    pub(crate) fn end_batch<T>(&mut self, results: &[Result<T, Error>]) {
        self.close(|| {
            let mut failures = results.iter().filter_map(|result| result.as_ref().err());
            let first = failures.next();
            End {
                outcome: first.map_or("ok", outcome),
                code: first.map(|error| error.code().as_str()),
                failed: first.map_or(0, |_| 1 + failures.count() as u64),
            }
        });
    }

    #[inline]
    fn close(&mut self, end: impl FnOnce() -> End) {
        self.over = true;
        let ended = self.progress.ended;
        let now = LazyCell::new(|| ended.unwrap_or_else(Instant::now));
        let end = LazyCell::new(end);
        if let Some(observer) = self.shared.observer.get() {
            self.progress.observe_end(&**observer, &end, *now);
        }
        let hub = &self.shared.hub;
        let told = hub.enabled(kind::CallCompleted) || hub.enabled(kind::StreamEnded);
        if told || self.progress.traced.span.is_some() {
            self.progress.over(&self.shared, &end, *now);
        }
    }
}

impl<S: Deref<Target = Shared>> Drop for Journal<S> {
    fn drop(&mut self) {
        if !self.over {
            let failed = self.progress.items;
            self.close(|| End {
                outcome: "cancelled",
                code: Some(ErrorCode::Cancelled.as_str()),
                failed,
            });
        }
    }
}

/// Returns the outcome of a failed call as one word.
const fn outcome(error: &Error) -> &'static str {
    match error {
        Error::Timeout {
            phase: Phase::Queue,
            ..
        } => "queue_timeout",
        Error::Timeout { .. } => "call_timeout",
        Error::Saturated { .. } | Error::CircuitOpen { .. } | Error::Quarantined { .. } => {
            "rejected"
        }
        _ => "error",
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Progress {
    /// Returns the context of the call in the trace, for its worker.
    pub(crate) const fn trace(&self) -> Option<TraceContext> {
        self.traced.context
    }

    /// Returns the state of tracing systems that belongs to that context.
    pub(crate) const fn trace_state(&self) -> &TraceState {
        &self.traced.state
    }

    /// Returns the number of this attempt for its worker. The first attempt has the number of the
    /// call. Each further one gets its own, because a worker may remember the number of an attempt
    /// that it gave back.
    pub(crate) fn attempt(&self) -> CallId {
        if self.attempts > 1 {
            CallId::next()
        } else {
            self.call
        }
    }

    /// Notes that the call entered the queue, which then has `queue_size` calls.
    pub(crate) fn queued(&mut self, shared: &Shared, options: &CallOptions, queue_size: usize) {
        self.waits = Some(Instant::now());
        emit!(
            shared.hub,
            CallQueued {
                pool: shared.config.name.clone(),
                call: self.call,
                tool: Arc::clone(&self.tool),
                session: options.session.clone(),
                queue_size: queue_size as u64,
            }
        );
    }

    /// Notes that the call has its old place in the queue again.
    pub(crate) fn waits_again(&mut self) {
        self.waits = Some(Instant::now());
    }

    /// Notes that the call leaves the queue, with or without a slot. Returns its time there, if it
    /// was there.
    fn leave_queue(&mut self, error: Option<&'static str>) -> Option<Duration> {
        let since = self.waits.take()?;
        let now = Instant::now();
        let waited = now.saturating_duration_since(since);
        self.queued += waited;
        if let Some(span) = &self.traced.span {
            span.child("snakepit.queue", (since, now), error);
        }
        Some(waited)
    }

    /// Notes that the call is about to be sent to the worker of this lease.
    pub(super) fn dispatched(&mut self, shared: &Shared, lease: &mut Lease) {
        let waited = self.leave_queue(None);
        let attempt = self.attempts;
        self.attempts += 1;
        self.worker = Some(lease.id().clone());
        lease.number = Some(self.call);
        if let Some(span) = &self.traced.span {
            lease.span = Some(Arc::clone(span));
            let worker = lease.id().clone();
            let since = lease.since().unwrap_or_else(Instant::now);
            span.sent(since, Sent { worker, attempt });
        }
        emit!(
            shared.hub,
            CallDispatched {
                pool: shared.config.name.clone(),
                worker: lease.id().clone(),
                slot: lease.slot().0,
                call: self.call,
                tool: Arc::clone(&self.tool),
                attempt,
                queued: waited.is_some(),
                queued_us: micros(waited.unwrap_or_default()),
            }
        );
    }

    /// Notes that the call is sent to the worker of this lease, with `bytes` bytes of arguments.
    pub(super) fn sent(&mut self, shared: &Shared, request: &Request, lease: &Lease, bytes: usize) {
        let bytes = bytes as u64;
        self.sent += bytes;
        if let Some(observer) = shared.observer.get() {
            self.observe_sent(&**observer, request, lease, bytes);
        }
    }

    /// Notes that the worker has given the call back before it began it.
    pub(crate) fn note_recall(&self, shared: &Shared) {
        if let Some(span) = &self.traced.span {
            span.event("snakepit.recalled", Instant::now(), Vec::new());
        }
        emit!(
            shared.hub,
            CallRecalled {
                pool: shared.config.name.clone(),
                call: self.call,
                tool: Arc::clone(&self.tool),
            }
        );
    }

    /// Notes that the call failed and is repeated after `wait`, as attempt number `attempt`.
    pub(crate) fn retries(&mut self, shared: &Shared, attempt: u32, wait: Duration, error: &Error) {
        let code = error.code().as_str();
        self.leave_queue(Some(code));
        if let Some(span) = &self.traced.span {
            let attributes = vec![
                number("snakepit.attempt", attempt.into()),
                text("error.type", code),
            ];
            span.event("snakepit.retry", Instant::now(), attributes);
        }
        emit!(
            shared.hub,
            RetryAttempt {
                pool: shared.config.name.clone(),
                call: self.call,
                tool: Arc::clone(&self.tool),
                attempt,
                wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                code,
                error: error.to_string(),
            }
        );
    }

    /// Notes that the worker has accepted the call as a stream.
    pub(super) fn streams(&mut self, shared: &Shared, lease: &Lease) {
        self.chunks = Some(Chunks {
            since: lease.since().unwrap_or_else(Instant::now),
            taken: 0,
            first: None,
        });
        emit!(
            shared.hub,
            StreamStarted {
                pool: shared.config.name.clone(),
                worker: lease.id().clone(),
                call: self.call,
                tool: Arc::clone(&self.tool),
            }
        );
    }

    /// Notes that the caller takes a chunk of the stream.
    pub(crate) fn chunk(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if let Some(chunks) = &mut self.chunks {
            chunks.taken += 1;
            let since = chunks.since;
            chunks.first.get_or_insert_with(|| since.elapsed());
        }
    }
}
