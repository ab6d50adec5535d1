//! `PythonWorker`: a live worker process behind the trait `Worker`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all};
use snakepit_core::call::Request;
use snakepit_core::events::{Event, Events};
use snakepit_core::id::{CallId, PoolName, Slot, WorkerId};
use snakepit_core::value::Payload;
use snakepit_core::worker::profiling::{Profile, Profiling};
use snakepit_core::worker::{
    CallError, ChunkStream, ItemResult, Pulse, StartContext, Stopped, TelemetryControl, Worker,
    WorkerExit, WorkerInfo,
};
use snakepit_grpc::link::{ControlClient, LinkClient, LinkEnd};
use tokio::task::JoinSet;

use crate::child::Process;
use crate::explained::{Explain, Explained};
use crate::launch::Capabilities;
use crate::stacks::{masked, with_call_numbers, without_secrets};
use crate::telemetry::Reports;

/// Time that a failed call waits for the exit status; only a busy machine takes so long.
const EXIT_STATUS: Duration = Duration::from_secs(1);

/// Time that a worker whose connection has ended has to exit by itself.
const EXIT_AFTER_LINK: Duration = Duration::from_millis(200);

/// One worker process. Dropping it kills the process group, unless that may outlive its host.
#[derive(Debug)]
pub(crate) struct PythonWorker {
    id: WorkerId,
    pool: PoolName,
    events: Events,
    info: WorkerInfo,
    slots: Arc<[LinkClient]>,
    /// True if all slots use the first connection.
    shared: bool,
    can: Capabilities,
    control: Arc<ControlClient>,
    process: Arc<Process>,
    reports: Arc<Reports>,
    _watching: JoinSet<()>,
}

impl PythonWorker {
    pub(crate) fn new(
        info: WorkerInfo,
        slots: Vec<LinkClient>,
        shared: bool,
        can: Capabilities,
        control: ControlClient,
        (process, reports): (Process, Arc<Reports>),
        context: &StartContext,
    ) -> Self {
        let slots: Arc<[LinkClient]> = slots.into();
        let control = Arc::new(control);
        let process = Arc::new(process);
        reports.calls_are_on(&slots);
        let mut watching = JoinSet::new();
        watching.spawn({
            let (control, process) = (Arc::clone(&control), Arc::clone(&process));
            async move { end_with_link(control.ended().await, &process).await }
        });
        watching.spawn({
            let (control, context) = (Arc::clone(&control), context.clone());
            let reports = Arc::clone(&reports);
            async move { report_gil(&control, &context, &reports).await }
        });
        watching.spawn({
            let (slots, control) = (Arc::clone(&slots), Arc::clone(&control));
            let (process, reports) = (Arc::clone(&process), Arc::clone(&reports));
            async move {
                process.ended().await;
                // A child that outlives the worker may hold its connections; it must not answer.
                slots.iter().for_each(LinkClient::cut);
                control.cut();
                let exit = process.gone().await;
                join_all(slots.iter().map(LinkClient::ended)).await;
                slots.iter().for_each(|link| link.lose(&exit.reason));
                control.ended().await;
                reports.settle().await;
                reports.end();
            }
        });
        for index in 0..slots.len() {
            let (slots, process) = (Arc::clone(&slots), Arc::clone(&process));
            watching
                .spawn(async move { end_with_link(slots[index].ended().await, &process).await });
        }
        Self {
            id: context.worker.clone(),
            pool: context.pool.clone(),
            events: context.events.clone(),
            info,
            slots,
            shared,
            can,
            control,
            process,
            reports,
            _watching: watching,
        }
    }

    fn slot(&self, slot: Slot) -> Result<&LinkClient, CallError> {
        // A shared connection serves all slots.
        let index = if self.shared { 0 } else { usize::from(slot.0) };
        self.slots.get(index).ok_or_else(|| {
            let mut exit = WorkerExit::default();
            exit.reason = format!("it has no slot {}", slot.0);
            CallError::Died {
                exit: Box::new(exit),
                ambiguous: false,
            }
        })
    }

    /// Ends the spans of calls that its connections have lost.
    fn lose(&self, reason: &str) {
        self.slots.iter().for_each(|link| link.lose(reason));
    }

    async fn exits_within(&self, time: Duration) -> bool {
        let exited = tokio::time::timeout(time, self.process.exited());
        exited.await.is_ok()
    }

    /// Adds the exit of the process to the error of a lost connection.
    async fn explain(&self, error: CallError) -> CallError {
        let CallError::Died { exit, ambiguous } = error else {
            return error;
        };
        let known = tokio::time::timeout(EXIT_STATUS, self.process.exited()).await;
        if let Ok(known) = &known {
            self.lose(&known.reason);
        }
        CallError::Died {
            exit: known.map_or(exit, Box::new),
            ambiguous,
        }
    }
}

/// Emits an event if a module enables the GIL, so that slots no longer run in parallel.
async fn report_gil(control: &ControlClient, context: &StartContext, reports: &Reports) {
    let Some(module) = reports.secrets.masked(control.gil_enabled().await) else {
        return;
    };
    context.events.publish(Event::WorkerGilEnabled {
        pool: context.pool.clone(),
        worker: context.worker.clone(),
        module,
    });
}

/// Ends a worker that has lost a connection: kills it unless it exits by itself.
async fn end_with_link(end: LinkEnd, process: &Process) {
    if matches!(end, LinkEnd::Lost(_)) {
        let exited = tokio::time::timeout(EXIT_AFTER_LINK, process.exited()).await;
        if exited.is_ok() {
            return;
        }
    }
    // A worker whose end was requested has its own grace.
    if !process.is_stopping() {
        process.kill_for(end.reason());
    }
}

#[async_trait]
impl Worker for PythonWorker {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    fn gil_reenabled_by(&self) -> Option<String> {
        let later = self.reports.secrets.masked(self.control.gil_reenabled_by());
        later.or_else(|| self.info.gil_reenabled_by.clone())
    }

    // Sends the request at once, so that the future that waits for the answer is small.
    fn call<'async_trait>(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
    ) -> BoxFuture<'async_trait, Result<Payload, CallError>>
    where
        Self: 'async_trait,
    {
        let sent = self.slot(slot).and_then(|link| link.begin(request));
        Box::pin(async move {
            match async { self.slot(slot)?.answer(sent?).await }.await {
                // Boxed: otherwise the future of every call would have room for it.
                Err(error @ CallError::Died { .. }) => Err(Box::pin(self.explain(error)).await),
                answer => answer,
            }
        })
    }

    // As above.
    fn stream<'async_trait>(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
    ) -> BoxFuture<'async_trait, Result<ChunkStream, CallError>>
    where
        Self: 'async_trait,
    {
        let chunks = self.slot(slot).and_then(|link| link.stream(&request));
        drop(request);
        Box::pin(async move {
            match chunks {
                Ok(chunks) => Ok(Box::pin(Explained::new(chunks, self)) as ChunkStream),
                Err(error) => Err(Box::pin(self.explain(error)).await),
            }
        })
    }

    async fn call_many(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        let link = match self.slot(slot) {
            Ok(link) => link,
            Err(error) => return items.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut results = link.call_many(&request, &items).await;
        if results
            .iter()
            .any(|result| matches!(result, Err(CallError::Died { .. })))
        {
            let known = tokio::time::timeout(EXIT_STATUS, self.process.exited()).await;
            if let Ok(known) = &known {
                self.lose(&known.reason);
            }
            for result in &mut results {
                if let (Err(CallError::Died { exit, .. }), Ok(known)) = (result, &known) {
                    (**exit).clone_from(known);
                }
            }
        }
        results
    }

    fn takes_ahead(&self) -> bool {
        // A shared connection has no order of calls.
        self.can.recall && !self.shared
    }

    async fn recall(&self, slot: Slot, call: CallId) -> bool {
        let back = self.control.recall(slot, call).await;
        if back && let Ok(link) = self.slot(slot) {
            link.end_recalled(call);
        }
        back
    }

    async fn recall_all(&self) {
        let slots = self.slots.iter().enumerate();
        let calls = slots.flat_map(|(index, link)| {
            let slot = Slot(u16::try_from(index).unwrap_or(u16::MAX));
            let calls = link.calls().into_iter();
            calls.map(move |call| async move {
                if self.control.recall(slot, call).await {
                    link.end_recalled(call);
                }
            })
        });
        join_all(calls).await;
    }

    async fn memory(&self) -> Option<u64> {
        self.process.memory().await
    }

    async fn cpu(&self) -> Option<Duration> {
        self.process.cpu().await
    }

    async fn pulse(&self, wait: Duration) -> Option<Pulse> {
        self.control.ping(wait).await
    }

    async fn stacks(&self, wait: Duration) -> Option<snakepit_core::error::Stacks> {
        let stacks = with_call_numbers(self.control.stacks(wait).await?, &self.slots);
        Some(without_secrets(stacks, &self.reports.secrets))
    }

    async fn profile(&self, profile: &Profile) -> Result<Box<dyn Profiling>, String> {
        if !self.can.profile {
            return Err("its runtime has no profiler".to_owned());
        }
        masked(self.control.profile(profile).await, &self.reports.secrets)
    }

    fn cancel(&self, call: CallId, grace: Duration) {
        // First: a request sent after the worker has processed the cancellation would run.
        for slot in &*self.slots {
            slot.cancel(call);
        }
        self.control.cancel(call, grace);
    }

    async fn stopped(&self, call: CallId) -> Option<Stopped> {
        Some(self.control.stopped(call).await)
    }

    fn wants_renewal(&self) -> bool {
        self.slots.iter().any(LinkClient::wants_renewal)
    }

    fn set_telemetry(&self, control: &TelemetryControl) {
        self.reports.enable(control.enabled);
        if self.can.telemetry {
            self.control.set_telemetry(control);
        }
    }

    async fn closed(&self) -> WorkerExit {
        self.process.gone().await
    }

    fn will_end(&self, why: &str) {
        self.process.will_end(why);
    }

    async fn stop(&self, grace: Duration) {
        self.process.expect_exit();
        self.process.note_stopping();
        self.end(grace).await;
        let exit = self.process.gone().await;
        // Its last frames may not have been read yet.
        let _ = tokio::time::timeout(EXIT_STATUS, self.control.ended()).await;
        self.lose(&exit.reason);
        self.reports.settle().await;
        if let Some(adapter) = self.reports.secrets.masked(self.control.cleaning()) {
            self.events.publish(Event::WorkerCleanupCut {
                pool: self.pool.clone(),
                worker: self.id.clone(),
                adapter,
                reason: exit.reason,
                grace_seconds: grace.as_secs_f64(),
            });
        }
    }
}

impl PythonWorker {
    /// Ends the process by increasingly strong means; returns once it has ended.
    async fn end(&self, grace: Duration) {
        if !grace.is_zero() && self.process.exit().is_none() {
            // An idle worker cleans up and exits; a busy one once its tool is cancelled.
            for link in self.slots.iter() {
                let calls = link.calls().into_iter();
                calls.for_each(|call| self.cancel(call, grace / 2));
                link.shutdown();
            }
            if self.exits_within(grace / 2).await {
                return;
            }
            // Only the leader, so that it can end its helpers in order.
            self.process.terminate();
            if self.exits_within(grace - grace / 2).await {
                return;
            }
        }
        self.process.kill();
        self.process.exited().await;
        if self.process.outlives() {
            // Its connections stay open as long as it lives.
            self.slots.iter().for_each(LinkClient::abandon);
        }
    }
}

impl Drop for PythonWorker {
    fn drop(&mut self) {
        // The watching tasks also hold the process, and are aborted only later.
        self.process.abandon();
        self.reports.end();
    }
}

impl Explain for PythonWorker {
    async fn explain(self: Arc<Self>, error: CallError) -> CallError {
        Self::explain(&self, error).await
    }
}
