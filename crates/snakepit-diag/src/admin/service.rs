//! Handlers of the admin service's requests.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::Stream;
use futures_util::stream::{StreamExt as _, iter, unfold};
use snakepit_core::error::{ErrorCode, Stacks};
use snakepit_core::events::{Emitted, Pattern};
use snakepit_core::id::{CallId, WorkerId};
use snakepit_core::pool::Pool;
use snakepit_core::worker::{LogLine, Tail};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::error::refusal;
use super::host::AdminHost;
use super::incoming::Peer;
use super::pb::admin_server::Admin;
use super::{PROTOCOL, pb, profile};

/// Longest time that a worker has to report its stacks.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Time that a worker has if the request names none.
const WAIT: Duration = Duration::from_secs(2);

/// Workers whose stacks are requested at the same time.
const CONCURRENT: usize = 16;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service for one host.
pub(super) struct Service {
    host: AdminHost,
    stop: CancellationToken,
}

impl Service {
    pub(super) const fn new(host: AdminHost, stop: CancellationToken) -> Self {
        Self { host, stop }
    }

    /// Wraps a stream so that it ends when the service stops.
    fn answers<T: Send + 'static>(
        &self,
        stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Response<Answers<T>> {
        let stopped = self.stop.clone().cancelled_owned();
        Response::new(Box::pin(stream.take_until(stopped)))
    }

    /// Returns the worker that an action concerns, and emits the event of the action.
    fn action(
        &self,
        request: &Request<pb::WorkerRequest>,
        action: &'static str,
    ) -> Result<(Pool, WorkerId), Status> {
        let message = request.get_ref();
        allowed(message.allow_actions, action)?;
        let named = |worker: &str| {
            refusal(
                ErrorCode::UnknownWorker,
                format!("the host has no worker `{worker}`"),
            )
        };
        if message.worker.is_empty() {
            return Err(named(""));
        }
        let workers = self.host.workers("", &message.worker)?;
        let (pool, worker) = workers
            .into_iter()
            .next()
            .ok_or_else(|| named(&message.worker))?;
        self.host
            .report_action(&pool, action, &worker, None, peer(request));
        Ok((pool, worker))
    }
}

fn allowed(allow_actions: bool, action: &str) -> Result<(), Status> {
    if allow_actions {
        return Ok(());
    }
    Err(refusal(
        ErrorCode::ActionNotAllowed,
        format!("`{action}` changes what the host does, and actions are not allowed"),
    ))
}

fn peer<T>(request: &Request<T>) -> Option<u32> {
    request.extensions().get::<Peer>().and_then(Peer::pid)
}

#[tonic::async_trait]
impl Admin for Service {
    async fn host(&self, _: Request<pb::HostRequest>) -> Result<Response<pb::HostReply>, Status> {
        Ok(Response::new(pb::HostReply {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.host.run(),
            pid: std::process::id(),
            program: self.host.program().to_owned(),
        }))
    }

    async fn report(
        &self,
        _: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportReply>, Status> {
        let report = serde_json::to_vec(&self.host.report());
        let report = report.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(pb::ReportReply {
            report: report.into(),
        }))
    }

    type StacksStream = Answers<pb::WorkerStacks>;

    async fn stacks(
        &self,
        request: Request<pb::StacksRequest>,
    ) -> Result<Response<Self::StacksStream>, Status> {
        let message = request.into_inner();
        let wait = match message.wait_ms {
            0 => WAIT,
            millis => Duration::from_millis(millis.into()).min(LONGEST_WAIT),
        };
        let workers = self.host.workers(&message.pool, &message.worker)?;
        let queries = iter(workers).map(move |(pool, worker)| async move {
            let stacks = pool.stacks(&worker, wait).await;
            Ok(stacks_of(&pool, &worker, stacks))
        });
        Ok(self.answers(queries.buffer_unordered(CONCURRENT)))
    }

    async fn profile(
        &self,
        request: Request<pb::ProfileRequest>,
    ) -> Result<Response<pb::ProfileReply>, Status> {
        let made = profile::make(&self.host, request.into_inner());
        let report = tokio::select! {
            report = made => report?,
            () = self.stop.cancelled() => return Err(Status::unavailable("the host ends")),
        };
        let report = serde_json::to_vec(&report);
        let report = report.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(pb::ProfileReply {
            report: report.into(),
        }))
    }

    type EventsStream = Answers<pb::EventRecord>;

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let message = request.into_inner();
        let pattern = match message.pattern.as_str() {
            "" => "*",
            pattern => pattern,
        };
        let pattern = Pattern::new(pattern);
        let pattern =
            pattern.map_err(|error| refusal(ErrorCode::InvalidRequest, error.to_string()))?;
        let events = entries(&self.host.history().events, message.after, message.follow);
        let record = move |(number, emitted): (u64, Arc<Emitted>)| {
            let matching = pattern.matches(emitted.event.name());
            let event = matching
                .then(|| serde_json::to_vec(&*emitted).ok())
                .flatten();
            std::future::ready(event.map(|event| {
                let event = event.into();
                Ok(pb::EventRecord { number, event })
            }))
        };
        Ok(self.answers(events.filter_map(record)))
    }

    type LogsStream = Answers<pb::LogRecord>;

    async fn logs(
        &self,
        request: Request<pb::LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let message = request.into_inner();
        let known = self.host.workers(&message.pool, &message.worker);
        // A worker that is gone is no longer listed, but its lines are: match by name.
        let of_pool = format!("{}-", message.pool);
        let wanted = move |line: &LogLine| {
            let worker = line.worker.as_str();
            (message.worker.is_empty() || worker == message.worker)
                && (message.pool.is_empty()
                    || worker
                        .strip_prefix(&*of_pool)
                        .is_some_and(|rest| rest.parse::<u64>().is_ok()))
        };
        let lines = self.host.lines();
        let kept = lines.after(0);
        let own = kept.iter().filter(|(_, line)| wanted(line));
        if own.clone().next().is_none() {
            known?;
        }
        let skipped = match usize::try_from(message.tail) {
            Ok(0) | Err(_) => None,
            Ok(tail) => own.rev().nth(tail).map(|(number, _)| *number),
        };
        let entries = entries(lines, skipped.unwrap_or(0), message.follow);
        let (mut last, mut lost) = (None, 0);
        let record = move |(number, line): (u64, Arc<LogLine>)| {
            // Lines that are older than the first one were never asked for.
            lost += last.replace(number).map_or(0, |last| number - last - 1);
            let record =
                wanted(&line).then(|| Ok(line_of(number, &line, std::mem::take(&mut lost))));
            std::future::ready(record)
        };
        Ok(self.answers(entries.filter_map(record)))
    }

    async fn recycle(
        &self,
        request: Request<pb::WorkerRequest>,
    ) -> Result<Response<pb::RecycleReply>, Status> {
        let (pool, worker) = self.action(&request, "recycle")?;
        let replaced = pool.recycle(&worker).await;
        let replacement = replaced.map_err(|error| refusal(error.code(), error.to_string()))?;
        Ok(Response::new(pb::RecycleReply {
            replacement: replacement.as_str().to_owned(),
        }))
    }

    async fn drain(
        &self,
        request: Request<pb::WorkerRequest>,
    ) -> Result<Response<pb::ActionReply>, Status> {
        let (pool, worker) = self.action(&request, "drain")?;
        let drained = pool.drain(&worker);
        drained.map_err(|error| refusal(error.code(), error.to_string()))?;
        Ok(Response::new(pb::ActionReply {}))
    }

    async fn cancel_call(
        &self,
        request: Request<pb::CancelCallRequest>,
    ) -> Result<Response<pb::ActionReply>, Status> {
        let message = request.get_ref();
        allowed(message.allow_actions, "cancel")?;
        let (pool, call) = self.host.call(message.call)?;
        let worker = WorkerId::new(call.worker);
        self.host.report_action(
            &pool,
            "cancel",
            &worker,
            Some(CallId(call.call)),
            peer(&request),
        );
        if !pool.cancel(&worker, CallId(call.attempt)) {
            return Err(refusal(
                ErrorCode::NotRunning,
                format!("no call {} runs", call.call),
            ));
        }
        Ok(Response::new(pb::ActionReply {}))
    }
}

/// Returns the entries after a number; with `follow`, continues with new ones.
fn entries<T: Send + Sync + 'static>(
    tail: &Tail<T>,
    after: u64,
    follow: bool,
) -> impl Stream<Item = (u64, Arc<T>)> + Send + 'static {
    let kept = (!follow).then(|| tail.after(after));
    let state = (tail.clone(), after, kept);
    let batches = unfold(state, move |(tail, after, kept)| async move {
        let batch = if follow {
            tail.wait_after(after).await
        } else {
            kept?
        };
        let last = batch.last().map_or(after, |(number, _)| *number);
        Some((iter(batch), (tail, last, None)))
    });
    batches.flatten()
}

fn stacks_of(pool: &Pool, worker: &WorkerId, stacks: Option<Stacks>) -> pb::WorkerStacks {
    let silent = stacks.is_none();
    let Stacks { threads, truncated } = stacks.unwrap_or_default();
    let threads = threads.into_iter().map(|thread| pb::ThreadStack {
        name: thread.name,
        id: thread.id,
        call: thread.call.unwrap_or_default(),
        frames: thread
            .frames
            .into_iter()
            .map(|frame| pb::StackFrame {
                file: frame.file,
                line: frame.line,
                function: frame.function,
            })
            .collect(),
    });
    pb::WorkerStacks {
        pool: pool.name().as_str().to_owned(),
        worker: worker.as_str().to_owned(),
        silent,
        threads: threads.collect(),
        truncated,
    }
}

fn line_of(number: u64, line: &LogLine, lost: u64) -> pb::LogRecord {
    let since = line.at.duration_since(SystemTime::UNIX_EPOCH);
    pb::LogRecord {
        number,
        at: since.unwrap_or_default().as_secs_f64(),
        worker: line.worker.as_str().to_owned(),
        source: line.source.to_string(),
        level: line.level.as_str().to_ascii_lowercase(),
        text: line.text.clone(),
        lost,
    }
}
