//! `CommandWorker`: a live process that serves `BridgeService`, behind the trait `Worker`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use snakepit_core::call::Request;
use snakepit_core::id::{CallId, SessionId, Slot};
use snakepit_core::value::Payload;
use snakepit_core::worker::{
    CallError, ChunkStream, ItemResult, Pulse, StartContext, TelemetryControl, ToolInfo, Worker,
    WorkerExit, WorkerInfo,
};
use snakepit_grpc::service::{EventsEnd, GrpcWorker, LOST, PeerTool, WorkerEvents};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::host::Entry;
use crate::child::Process;
use crate::explained::{Explain, Explained};
use crate::worker_dir::WorkerDir;

/// Time that a failed call waits for the exit status; only a busy machine takes so long.
const EXIT_STATUS: Duration = Duration::from_secs(1);

/// Time that a worker whose connection has ended has to exit by itself.
const EXIT_AFTER_LINK: Duration = Duration::from_millis(200);

/// Pause before a stream of events that has failed is opened again.
const EVENTS_AGAIN: Duration = Duration::from_secs(1);

/// One worker process. Dropping it kills the process group, unless that may outlive its host.
#[derive(Debug)]
pub(super) struct CommandWorker {
    info: WorkerInfo,
    link: Arc<GrpcWorker>,
    process: Arc<Process>,
    telemetry: watch::Sender<TelemetryControl>,
    /// Sessions whose calls it has had.
    sessions: Mutex<HashSet<SessionId>>,
    runtime: Handle,
    _place: WorkerDir,
    _entry: Entry,
    _watching: JoinSet<()>,
}

impl CommandWorker {
    pub(super) fn new(
        link: GrpcWorker,
        tools: Vec<PeerTool>,
        process: Process,
        (place, entry): (WorkerDir, Entry),
        context: &StartContext,
    ) -> Arc<Self> {
        let (link, process) = (Arc::new(link), Arc::new(process));
        let telemetry = watch::Sender::new(context.telemetry.clone());
        let mut info = link.info().clone();
        info.pid = Some(process.pid());
        info.tools.extend(tools.into_iter().map(described));
        let mut watching = JoinSet::new();
        watching.spawn({
            let (link, process) = (Arc::clone(&link), Arc::clone(&process));
            async move { end_with_link(&link.broken().await, &process).await }
        });
        watching.spawn({
            let (link, process) = (Arc::clone(&link), Arc::clone(&process));
            async move {
                process.ended().await;
                // A child that outlives the worker may hold its connections; it must not answer.
                link.cut("its process has ended");
                let exit = process.gone().await;
                link.lose(&exit.reason);
            }
        });
        if link.capabilities().telemetry {
            let (link, settings) = (Arc::clone(&link), telemetry.subscribe());
            let events = context.events.clone();
            let events = WorkerEvents::new(context.pool.clone(), context.worker.clone(), events);
            watching.spawn(read_events(link, events, settings));
        }
        Arc::new(Self {
            info,
            link,
            process,
            telemetry,
            sessions: Mutex::default(),
            runtime: Handle::current(),
            _place: place,
            _entry: entry,
            _watching: watching,
        })
    }

    /// Returns true if the worker wants to know which sessions have ended.
    pub(super) fn keeps_sessions(&self) -> bool {
        self.link.capabilities().sessions
    }

    /// Reports the end of a session to the worker, in the background, if the worker has served
    /// calls of the session.
    pub(super) fn session_ended(self: &Arc<Self>, session: &SessionId) {
        let mut known = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if known.remove(session) {
            let (worker, session) = (Arc::clone(self), session.clone());
            let tasks = self.process.tasks();
            let telling = async move { worker.link.end_session(&session).await };
            tasks.spawn_on(telling, &self.runtime);
        }
    }

    fn note_session(&self, request: &Request) {
        if let Some(session) = request.session.as_ref().filter(|_| self.keeps_sessions()) {
            let mut known = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            if !known.contains(session) {
                known.insert(session.clone());
            }
        }
    }

    /// Returns the error of a call that was not sent because the worker can no longer be used.
    /// Waits until the process is gone: otherwise the pool would send the call here again.
    async fn refusal(&self) -> Option<CallError> {
        if !self.link.is_broken() {
            return None;
        }
        self.process.exited().await;
        Some(CallError::NotBegun)
    }

    /// Adds the exit of the process to the error of a lost connection.
    async fn complete(&self, error: CallError) -> CallError {
        let CallError::Died { exit, ambiguous } = error else {
            return error;
        };
        let known = timeout(EXIT_STATUS, self.process.exited()).await;
        CallError::Died {
            exit: known.map_or(exit, Box::new),
            ambiguous,
        }
    }
}

/// Returns the description of a tool that a worker has registered.
fn described(registered: PeerTool) -> ToolInfo {
    let mut tool = ToolInfo::default();
    tool.name = registered.name;
    tool.description = registered.description;
    tool.streaming = registered.streaming;
    tool
}

/// Ends a worker that can no longer be used: kills it, unless it has lost its connection because it
/// exits by itself.
async fn end_with_link(reason: &str, process: &Process) {
    let exits = async {
        reason.starts_with(LOST) && timeout(EXIT_AFTER_LINK, process.exited()).await.is_ok()
    };
    if !exits.await && !process.is_stopping() {
        process.kill_for(reason);
    }
}

/// Publishes the events of a worker as long as it lives.
async fn read_events(
    link: Arc<GrpcWorker>,
    mut events: WorkerEvents,
    settings: watch::Receiver<TelemetryControl>,
) {
    loop {
        match link.read_events(&mut events, settings.clone()).await {
            EventsEnd::Unsupported => return,
            end => tracing::debug!(
                ?end,
                "the events of a worker have ended; they are read again"
            ),
        }
        sleep(EVENTS_AGAIN).await;
    }
}

#[async_trait]
impl Worker for CommandWorker {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    async fn call(self: Arc<Self>, _: Slot, request: Request) -> Result<Payload, CallError> {
        if let Some(refusal) = self.refusal().await {
            return Err(refusal);
        }
        self.note_session(&request);
        match Arc::clone(&self.link).call(request).await {
            Err(error @ CallError::Died { .. }) => Err(self.complete(error).await),
            answer => answer,
        }
    }

    async fn stream(self: Arc<Self>, _: Slot, request: Request) -> Result<ChunkStream, CallError> {
        if let Some(refusal) = self.refusal().await {
            return Err(refusal);
        }
        self.note_session(&request);
        let chunks = Arc::clone(&self.link).stream(request);
        Ok(Box::pin(Explained::new(chunks, self)))
    }

    async fn call_many(
        self: Arc<Self>,
        _: Slot,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        if let Some(refusal) = self.refusal().await {
            return items.iter().map(|_| Err(refusal.clone())).collect();
        }
        self.note_session(&request);
        let mut results = Arc::clone(&self.link).call_many(request, items).await;
        for result in &mut results {
            if let Err(error @ CallError::Died { .. }) = result {
                *error = self.complete(error.clone()).await;
            }
        }
        results
    }

    async fn memory(&self) -> Option<u64> {
        self.process.memory().await
    }

    async fn cpu(&self) -> Option<Duration> {
        self.process.cpu().await
    }

    async fn pulse(&self, wait: Duration) -> Option<Pulse> {
        self.link.ping(wait).await
    }

    fn cancel(&self, call: CallId, grace: Duration) {
        self.link.cancel(call, grace);
    }

    fn set_telemetry(&self, control: &TelemetryControl) {
        self.telemetry.send_replace(control.clone());
    }

    async fn closed(&self) -> WorkerExit {
        self.process.gone().await
    }

    fn will_end(&self, why: &str) {
        self.process.will_end(why);
    }

    async fn stop(&self, grace: Duration) {
        self.process.expect_exit();
        if !grace.is_zero() && self.process.exit().is_none() {
            for call in self.link.running() {
                self.link.cancel(call, grace);
            }
        }
        let exit = self.process.stop(grace).await;
        self.link.lose(&exit.reason);
    }
}

impl Drop for CommandWorker {
    fn drop(&mut self) {
        // The watching tasks also hold the process, and are aborted only later.
        self.process.abandon();
    }
}

impl Explain for CommandWorker {
    async fn explain(self: Arc<Self>, error: CallError) -> CallError {
        self.complete(error).await
    }
}
