//! One call for each item of an iterator, in batches.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::admission::AcquireRequest;
use super::attempt::Attempt;
use super::journal::{self, Journal, Progress};
use super::limits::Limits;
use super::permit;
use crate::call::CallOptions;
use crate::code::ErrorCode;
use crate::error::{Error, ToolError};
use crate::events::open_span::Traced;
use crate::pool::Pool;
use crate::pool::shared::Shared;
use crate::value::Payload;
use crate::worker::{CallError, ItemResult};

/// Intended time of a batch on the worker: long compared to the cost of a batch, short for other
/// calls in the queue.
const BATCH_TIME: Duration = Duration::from_millis(2);
/// Largest number of items of a batch.
const MAX_ITEMS: usize = 1024;
/// Bytes of items at which a batch is complete.
const MAX_BYTES: usize = 256 << 10;
/// Largest growth from one batch to the next, so that one lucky measurement cannot overshoot.
const GROWTH: usize = 4;

/// The results of an `execute_many`: one for each item, in order.
///
/// Batches run in the background while the consumer is busy. Dropping the stream cancels running
/// batches.
pub struct ManyStream {
    pool: Pool,
    tool: Arc<str>,
    /// `None` once exhausted: the iterator is not polled again.
    items: Option<Box<dyn Iterator<Item = Payload> + Send>>,
    options: CallOptions,
    /// Running batches, each with the number of its items.
    batches: VecDeque<(usize, AbortOnDropHandle<Finished>)>,
    results: std::vec::IntoIter<Result<Payload, Error>>,
    size: usize,
}

/// A finished batch.
struct Finished {
    results: Vec<Result<Payload, Error>>,
    /// Time on the worker. `None` if the batch never reached one.
    time: Option<Duration>,
}

impl Finished {
    /// Returns the result of the last item, which was answered only if the worker lived.
    fn outcome(&self) -> Result<(), &Error> {
        self.results
            .last()
            .map_or(Ok(()), |last| last.as_ref().map(drop))
    }
}

impl ManyStream {
    pub(crate) fn new(
        pool: Pool,
        tool: Arc<str>,
        items: Box<dyn Iterator<Item = Payload> + Send>,
        mut options: CallOptions,
    ) -> Self {
        // If the session cannot be entered, each item gets the error later.
        if let Ok(Some(in_session)) = pool.shared().enter_session(&options) {
            options = *in_session;
        }
        let (batches, results) = (VecDeque::new(), Vec::new().into_iter());
        Self {
            pool,
            tool,
            items: Some(items),
            options,
            batches,
            results,
            size: 1,
        }
    }

    /// Starts batches until there are two for each slot: while one runs, the next is queued
    /// already.
    fn refill(&mut self) {
        let limit = 2 * self.pool.shared().lock().capacity().max(1);
        while self.batches.len() < limit {
            let batch = self.next_batch();
            if batch.is_empty() {
                return;
            }
            let (count, shared) = (batch.len(), Arc::clone(self.pool.shared()));
            // Begun here, where the caller's span is current.
            let now = Instant::now();
            let traced = journal::trace(&shared, &self.options, now);
            let begun = (Arc::clone(&self.tool), traced, now);
            let task = run(Arc::clone(&shared), begun, batch, self.options.clone());
            let task = shared.tasks.spawn_on(task, &shared.runtime);
            self.batches
                .push_back((count, AbortOnDropHandle::new(task)));
        }
    }

    fn next_batch(&mut self) -> Vec<Payload> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.size && bytes < MAX_BYTES {
            let Some(item) = self.items.as_mut().and_then(Iterator::next) else {
                self.items = None;
                break;
            };
            bytes += item.bytes.len();
            batch.push(item);
        }
        batch
    }

    fn adapt(&mut self, items: usize, time: Duration) {
        let fitting = BATCH_TIME.as_nanos() * items as u128 / time.as_nanos().max(1);
        let fitting = usize::try_from(fitting).unwrap_or(MAX_ITEMS);
        self.size = fitting
            .clamp(1, MAX_ITEMS)
            .min(self.size.max(items) * GROWTH);
    }
}

/// Runs one batch.
async fn run(
    shared: Arc<Shared>,
    (tool, traced, now): (Arc<str>, Traced, Instant),
    items: Vec<Payload>,
    options: CallOptions,
) -> Finished {
    let journal = Journal::begin(&*shared, tool, traced, now);
    let mut journal = journal.items(items.len());
    let finished = run_as(&shared, &mut journal.progress, items, &options).await;
    journal.end_batch(&finished.results);
    finished
}

async fn run_as(
    shared: &Arc<Shared>,
    progress: &mut Progress,
    items: Vec<Payload>,
    options: &CallOptions,
) -> Finished {
    let mut refused = Vec::new();
    let mut accepted = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match shared.screen(progress, &item, options, false) {
            Ok(_) => accepted.push(item),
            Err(error) => refused.push((index, error)),
        }
    }
    let count = accepted.len();
    if count == 0 {
        return Finished {
            results: refused.into_iter().map(|(_, error)| Err(error)).collect(),
            time: None,
        };
    }
    let attempted = match shared.permit(progress, count as u64) {
        Ok(permit) => {
            let attempted = attempt(shared, progress, accepted, options).await;
            let outcome = attempted.as_ref().map_or_else(Err, Finished::outcome);
            permit::end(permit, outcome);
            attempted
        }
        Err(error) => Err(error),
    };
    let mut finished = attempted.unwrap_or_else(|error| Finished {
        results: vec![Err(error); count],
        time: None,
    });
    // In ascending order, so that each is inserted at its place.
    for (index, error) in refused {
        finished.results.insert(index, Err(error));
    }
    finished
}

/// Makes the calls of a batch. Items that a worker gives back are made elsewhere.
async fn attempt(
    shared: &Arc<Shared>,
    progress: &mut Progress,
    items: Vec<Payload>,
    options: &CallOptions,
) -> Result<Finished, Error> {
    let all: Arc<[Payload]> = items.into();
    let mut rest = Arc::clone(&all);
    let mut finished: Option<Finished> = None;
    loop {
        let again = finished.is_some();
        let next = attempt_once(shared, progress, rest, options, again).await;
        let done = match (&mut finished, next) {
            (None, next) => finished.insert(next?),
            (Some(finished), Ok(next)) => {
                finished.results.extend(next.results);
                finished.time = next.time.or(finished.time);
                finished
            }
            (Some(finished), Err(error)) => {
                finished.results.resize(all.len(), Err(error));
                finished
            }
        };
        let begun = done.results.len();
        if begun == all.len() {
            return Ok(finished.expect("it was just set"));
        }
        rest = all[begun..].into();
        progress.note_recall(shared);
    }
}

/// Makes the calls of a batch once. Returns results up to the first item that the worker gave back.
async fn attempt_once(
    shared: &Arc<Shared>,
    progress: &mut Progress,
    items: Arc<[Payload]>,
    options: &CallOptions,
    again: bool,
) -> Result<Finished, Error> {
    let count = items.len();
    let in_session = shared.enter_session(options)?;
    let options = in_session.as_deref().unwrap_or(options);
    let bytes = items.iter().map(|item| item.bytes.len()).sum();
    let request = AcquireRequest {
        items: count as u64,
        again,
        ..AcquireRequest::new(options, bytes)
    };
    let wait = || {
        let wait = options.queue_timeout?;
        Some((Instant::now().checked_add(wait)?, wait))
    };
    let lease = shared.acquire(progress, &request, wait).await?;
    let quarantine = shared.config.quarantine.as_ref();
    let blamed = quarantine.map(|_| Arc::clone(&items));
    let tool = Arc::clone(&progress.tool);
    let mut attempt = Attempt {
        shared,
        args: Payload::default(),
        options,
        limits: Limits::new(&shared.config, &tool, options),
        progress,
    };
    let batch = attempt.send(lease, bytes, |worker, slot, request| {
        Box::pin(async move { Ok(worker.call_many(slot, request, items).await) })
    });
    let start = Instant::now();
    let Some(batch) = batch.run(&attempt.limits, &tool).await? else {
        let (results, time) = (Vec::new(), None);
        return Ok(Finished { results, time });
    };
    let (mut results, mut lease) = batch.into_parts();
    let time = start.elapsed();
    // A worker that answers too few or too many items is faulty; each item still gets one result.
    results.truncate(count);
    results.resize_with(count, || {
        Err(CallError::Tool(Box::new(ToolError::new(
            ErrorCode::Protocol,
            "the worker gave no result for this item",
        ))))
    });
    let not_begun = |result: &ItemResult| matches!(result, Err(CallError::NotBegun));
    results.truncate(results.iter().position(not_begun).unwrap_or(count));
    lease.keep(results.len());
    // Items run in order, so the first one without an answer was executing.
    let died = results
        .iter()
        .position(|result| matches!(result, Err(CallError::Died { .. })));
    if let (Some(first), Some(items)) = (died, blamed) {
        lease.blamed = shared.blamed(&tool, &items[first], options, false);
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    let received = results.iter().flatten().map(|reply| reply.bytes.len());
    attempt.progress.received += received.sum::<usize>() as u64;
    let worker = lease.id().clone();
    let end = died.and_then(|first| match &results[first] {
        Err(CallError::Died { exit, ambiguous }) => Some((&**exit, *ambiguous)),
        _ => None,
    });
    lease.finish_many(failed as u64, end);
    let convert = |result: ItemResult| result.map_err(|error| Error::from_call(error, &worker));
    Ok(Finished {
        results: results.into_iter().map(convert).collect(),
        time: Some(time),
    })
}

impl Stream for ManyStream {
    type Item = Result<Payload, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(result) = this.results.next() {
                return Poll::Ready(Some(result));
            }
            this.refill();
            let Some((count, first)) = this.batches.front_mut() else {
                return Poll::Ready(None);
            };
            let (count, Poll::Ready(finished)) = (*count, Pin::new(first).poll(context)) else {
                return Poll::Pending;
            };
            this.batches.pop_front();
            // A task ends without a value only if the pool's runtime is gone, and the pool with it.
            let finished = finished.unwrap_or_else(|_| Finished {
                results: vec![Err(this.pool.shared().closed()); count],
                time: None,
            });
            if let Some(time) = finished.time {
                this.adapt(finished.results.len(), time);
            }
            this.results = finished.results.into_iter();
        }
    }
}

impl fmt::Debug for ManyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyStream")
            .field("tool", &self.tool)
            .finish_non_exhaustive()
    }
}
