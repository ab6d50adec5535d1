//! The scripted worker.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::ScriptedProfile;
use super::ahead::Ahead;
use super::handle::lock;
use crate::call::Request;
use crate::code::ErrorCode;
use crate::error::{Stacks, ToolError};
use crate::id::{CallId, Slot, WorkerId};
use crate::value::Payload;
use crate::worker::{
    CallError, ChunkStream, ItemResult, Pulse, TelemetryControl, Worker, WorkerExit, WorkerInfo,
};

/// A worker whose tools act by their names; see [`ScriptedProfile`].
#[derive(Debug)]
pub struct ScriptedWorker {
    id: WorkerId,
    info: WorkerInfo,
    profile: ScriptedProfile,
    exit: watch::Sender<Option<WorkerExit>>,
    /// The coming exit of the worker, whose calls are lost already.
    lost: watch::Sender<Option<WorkerExit>>,
    cancelled: watch::Sender<HashSet<CallId>>,
    running: AtomicUsize,
    /// The memory that it reports.
    memory: AtomicU64,
    /// The stacks that it reports. `None` if it never answers.
    stacks: Mutex<Option<Stacks>>,
    calls: AtomicUsize,
    /// The worker's sign of life. `None` if it gives none.
    pulse: Mutex<Option<Pulse>>,
    cpu: Mutex<Option<Duration>>,
    questions: AtomicUsize,
    unwell: AtomicBool,
    /// The worker requests its replacement.
    renewal: AtomicBool,
    /// A call `stuck` runs.
    stuck: AtomicBool,
    /// The pool has requested the calls that it has not begun.
    recalled_all: watch::Sender<bool>,
    /// The announced reason of its end.
    why: Mutex<Option<String>>,
    /// The latest settings of records.
    telemetry: Mutex<Option<TelemetryControl>>,
    /// Locks of the slots of a worker that takes calls ahead: each slot runs one call at a time, in
    /// order of arrival.
    pub(super) turns: Vec<tokio::sync::Mutex<()>>,
    pub(super) ahead: Mutex<Ahead>,
    /// Calls that were given to it and have come back.
    pub(super) ended: watch::Sender<HashSet<CallId>>,
    pub(super) tasks: TaskTracker,
}

impl ScriptedWorker {
    pub(super) fn new(id: WorkerId, info: WorkerInfo, profile: ScriptedProfile) -> Self {
        let turns = (0..profile.inner.slots.get()).map(|_| tokio::sync::Mutex::default());
        let turns = turns.collect();
        let (exit, cancelled) = (watch::Sender::new(None), watch::Sender::new(HashSet::new()));
        Self {
            id,
            info,
            profile,
            exit,
            lost: watch::Sender::new(None),
            cancelled,
            running: AtomicUsize::new(0),
            memory: AtomicU64::new(0),
            stacks: Mutex::new(Some(Stacks::default())),
            calls: AtomicUsize::new(0),
            pulse: Mutex::new(Some(Pulse::default())),
            cpu: Mutex::default(),
            questions: AtomicUsize::new(0),
            unwell: AtomicBool::new(false),
            renewal: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            recalled_all: watch::Sender::new(false),
            why: Mutex::default(),
            telemetry: Mutex::default(),
            turns,
            ahead: Mutex::default(),
            ended: watch::Sender::new(HashSet::new()),
            tasks: TaskTracker::new(),
        }
    }

    /// Name of the worker.
    pub const fn id(&self) -> &WorkerId {
        &self.id
    }

    /// The latest settings of records. `None` before the first.
    pub fn telemetry(&self) -> Option<TelemetryControl> {
        lock(&self.telemetry).clone()
    }

    /// Number of calls in it now.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// Number of calls so far, without `echo`.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Sets the bytes of memory that it reports.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::SeqCst);
    }

    /// Sets its next signs of life; with `None` it gives none.
    pub fn set_pulse(&self, pulse: Option<Pulse>) {
        *lock(&self.pulse) = pulse;
    }

    /// Sets the CPU time that it reports.
    pub fn set_cpu(&self, cpu: Duration) {
        *lock(&self.cpu) = Some(cpu);
    }

    /// Sets the stacks that it reports; with `None` it never answers. At first it has no threads.
    pub fn set_stacks(&self, stacks: Option<Stacks>) {
        *lock(&self.stacks) = stacks;
    }

    /// Sets the success of its tool `health`; it succeeds at first.
    pub fn set_well(&self, well: bool) {
        self.unwell.store(!well, Ordering::SeqCst);
    }

    /// Number of requests for signs of life so far.
    pub fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    /// Returns true if it has neither died nor been stopped.
    pub fn is_alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Ends its connections: its calls, and all later ones, are lost with it. Its process continues
    /// to end, even after `stop`, until [`end`](Self::end) is called.
    pub fn lose(&self, how: WorkerExit) {
        self.lost.send_replace(Some(how));
    }

    /// Ends it with a reason.
    pub fn die(&self, reason: &str, expected: bool) {
        self.end(WorkerExit {
            reason: reason.into(),
            expected,
            ..WorkerExit::default()
        });
    }

    /// Ends it with this exit, unless it has ended already.
    pub fn end(&self, how: WorkerExit) {
        self.exit.send_if_modified(|exit| {
            let alive = exit.is_none();
            if alive {
                *exit = Some(how);
            }
            alive
        });
    }

    pub(super) async fn gone(&self, ambiguous: bool) -> CallError {
        let mut lost = self.lost.subscribe();
        let exit = tokio::select! {
            biased;
            exit = self.closed() => exit,
            Ok(lost) = lost.wait_for(Option::is_some) => lost.clone().expect("it was waited for"),
        };
        CallError::Died {
            exit: Box::new(exit),
            ambiguous,
        }
    }

    pub(super) fn is_cancelled(&self, call: CallId) -> bool {
        self.cancelled.borrow().contains(&call)
    }

    pub(super) async fn cancellation(&self, call: CallId) {
        self.cancelled
            .subscribe()
            .wait_for(|calls| calls.contains(&call))
            .await
            .ok();
    }

    async fn tool(&self, request: Request) -> Result<Payload, CallError> {
        let cancelled = || {
            CallError::Tool(Box::new(ToolError::new(
                ErrorCode::Cancelled,
                "the call was cancelled",
            )))
        };
        match &*request.tool {
            "gate" => {
                tokio::select! {
                    permit = self.profile.inner.gate.acquire() => permit.expect("the gate is never closed").forget(),
                    () = self.cancellation(request.call) => return Err(cancelled()),
                }
                Ok(request.args)
            }
            "hang" => {
                self.cancellation(request.call).await;
                Err(cancelled())
            }
            "interrupted" => {
                self.cancellation(request.call).await;
                self.renewal.store(true, Ordering::SeqCst);
                Err(cancelled())
            }
            "nap" => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(request.args)
            }
            "stuck" => {
                self.stuck.store(true, Ordering::SeqCst);
                std::future::pending().await
            }
            "behind" if self.stuck.load(Ordering::SeqCst) => {
                let mut recalled_all = self.recalled_all.subscribe();
                // The sender lives in `self`, so waiting cannot fail.
                recalled_all.wait_for(|back| *back).await.ok();
                Err(CallError::NotBegun)
            }
            "die" => {
                self.die("died as scripted", false);
                std::future::pending().await
            }
            "health" if !self.unwell.load(Ordering::SeqCst) => Ok(request.args),
            "fail" | "health" => Err(CallError::Tool(Box::new(ToolError::new(
                ErrorCode::ToolRaised,
                "failed as scripted",
            )))),
            _ => Ok(request.args),
        }
    }

    pub(super) async fn guarded(&self, request: Request) -> Result<Payload, CallError> {
        if !self.is_alive() || self.lost.borrow().is_some() {
            return Err(self.gone(false).await);
        }
        // The commonest tool does not wait; benchmarks rely on its negligible cost.
        if &*request.tool == "echo" {
            return Ok(request.args);
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.running.fetch_add(1, Ordering::SeqCst);
        let result = tokio::select! {
            biased;
            result = self.tool(request) => result,
            error = self.gone(true) => Err(error),
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

#[async_trait]
impl Worker for ScriptedWorker {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    fn set_telemetry(&self, control: &TelemetryControl) {
        *lock(&self.telemetry) = Some(control.clone());
    }

    async fn call(self: Arc<Self>, slot: Slot, request: Request) -> Result<Payload, CallError> {
        if !self.takes_ahead() {
            return self.guarded(request).await;
        }
        self.ahead(slot, request).await
    }

    fn takes_ahead(&self) -> bool {
        self.profile.inner.ahead.load(Ordering::SeqCst)
    }

    async fn recall(&self, _: Slot, call: CallId) -> bool {
        lock(&self.ahead).recalls += 1;
        let (inner, open) = (&self.profile.inner, "it is never closed");
        inner.recalls.acquire().await.expect(open).forget();
        let back = self.withdraw(call);
        inner.answers.acquire().await.expect(open).forget();
        if back {
            self.end_recalled(call);
        }
        back
    }

    async fn stream(self: Arc<Self>, _: Slot, request: Request) -> Result<ChunkStream, CallError> {
        self.chunks(request).await
    }

    async fn call_many(
        self: Arc<Self>,
        _: Slot,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        let mut results = Vec::with_capacity(items.len());
        for args in items.iter().cloned() {
            results.push(
                self.guarded(Request {
                    args,
                    ..request.clone()
                })
                .await,
            );
        }
        results
    }

    async fn recall_all(&self) {
        self.recalled_all.send_replace(true);
    }

    async fn memory(&self) -> Option<u64> {
        Some(self.memory.load(Ordering::SeqCst)).filter(|bytes| *bytes > 0)
    }

    async fn cpu(&self) -> Option<Duration> {
        *lock(&self.cpu)
    }

    async fn pulse(&self, wait: Duration) -> Option<Pulse> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let pulse = *lock(&self.pulse);
        if pulse.is_none() {
            tokio::time::sleep(wait).await;
        }
        pulse
    }

    async fn stacks(&self, wait: Duration) -> Option<Stacks> {
        let stacks = lock(&self.stacks).clone();
        match stacks {
            Some(stacks) => (!stacks.threads.is_empty()).then_some(stacks),
            None => {
                tokio::time::sleep(wait).await;
                None
            }
        }
    }

    fn cancel(&self, call: CallId, _: Duration) {
        self.cancelled.send_if_modified(|calls| calls.insert(call));
    }

    fn wants_renewal(&self) -> bool {
        self.renewal.load(Ordering::SeqCst)
    }

    async fn closed(&self) -> WorkerExit {
        let mut exit = self.exit.subscribe();
        let exit = exit
            .wait_for(Option::is_some)
            .await
            .expect("the sender lives in `self`");
        exit.clone().expect("it was waited for")
    }

    fn will_end(&self, why: &str) {
        lock(&self.why).get_or_insert_with(|| why.to_owned());
    }

    async fn stop(&self, _: Duration) {
        if self.lost.borrow().is_some() {
            self.closed().await;
            return;
        }
        let why = lock(&self.why).clone();
        self.die(why.as_deref().unwrap_or("stopped"), true);
    }
}
