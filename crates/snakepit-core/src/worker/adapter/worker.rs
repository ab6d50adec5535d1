//! `AdaptedWorker`: a worker whose calls an adapter checks and converts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use futures_util::StreamExt as _;

use super::{Adapter, prepared, processed};
use crate::call::Request;
use crate::error::{ErrorCode, Stacks, ToolError};
use crate::id::{CallId, Slot};
use crate::value::Payload;
use crate::worker::profiling::{Profile, Profiling};
use crate::worker::{
    CallError, ChunkStream, ItemResult, Pulse, Stopped, TelemetryControl, Worker, WorkerExit,
    WorkerInfo,
};

/// A worker of which an adapter checks and converts the calls.
#[derive(Debug)]
pub(super) struct AdaptedWorker {
    pub(super) inner: Arc<dyn Worker>,
    pub(super) adapter: Arc<dyn Adapter>,
    /// The tools that may be called. `None` for all.
    pub(super) supported: Option<Arc<[String]>>,
    pub(super) info: WorkerInfo,
}

impl AdaptedWorker {
    /// Returns the arguments that the worker receives.
    fn prepare(&self, tool: &str, args: &Payload) -> Result<Payload, CallError> {
        if let Some(supported) = &self.supported
            && !supported.iter().any(|name| name == tool)
        {
            let message = format!("the adapter of this pool does not support `{tool}`");
            let mut error = ToolError::new(ErrorCode::UnknownTool, message);
            error.help = format!("call one of: {}", supported.join(", "));
            return Err(CallError::Tool(Box::new(error)));
        }
        prepared(&*self.adapter, tool, args.clone()).map_err(CallError::Tool)
    }

    fn process(&self, tool: &str, result: ItemResult) -> ItemResult {
        processed(&*self.adapter, tool, result?).map_err(CallError::Tool)
    }
}

#[async_trait]
impl Worker for AdaptedWorker {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    fn gil_reenabled_by(&self) -> Option<String> {
        self.inner.gil_reenabled_by()
    }

    fn unadapted(&self) -> Option<Arc<dyn Worker>> {
        let inner = self.inner.unadapted();
        Some(inner.unwrap_or_else(|| Arc::clone(&self.inner)))
    }

    async fn call(self: Arc<Self>, slot: Slot, mut request: Request) -> Result<Payload, CallError> {
        request.args = self.prepare(&request.tool, &request.args)?;
        let tool = Arc::clone(&request.tool);
        let result = Arc::clone(&self.inner).call(slot, request).await;
        self.process(&tool, result)
    }

    async fn stream(
        self: Arc<Self>,
        slot: Slot,
        mut request: Request,
    ) -> Result<ChunkStream, CallError> {
        request.args = self.prepare(&request.tool, &request.args)?;
        let tool = Arc::clone(&request.tool);
        let chunks = Arc::clone(&self.inner).stream(slot, request).await?;
        Ok(Box::pin(Processed {
            chunks,
            worker: self,
            tool,
            rejected: false,
        }))
    }

    async fn call_many(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        let tool = Arc::clone(&request.tool);
        let prepared = items.iter().map(|item| self.prepare(&tool, item));
        let (mut rejected, mut accepted) = (Vec::with_capacity(items.len()), Vec::new());
        for item in prepared {
            rejected.push(item.map(|item| accepted.push(item)).err());
        }
        let mut results = Vec::new().into_iter();
        if !accepted.is_empty() {
            let inner = Arc::clone(&self.inner);
            results = inner
                .call_many(slot, request, accepted.into())
                .await
                .into_iter();
        }
        let results = rejected.into_iter().map_while(|rejected| match rejected {
            Some(error) => Some(Err(error)),
            None => results.next().map(|result| self.process(&tool, result)),
        });
        results.collect()
    }

    fn takes_ahead(&self) -> bool {
        self.inner.takes_ahead()
    }

    async fn recall(&self, slot: Slot, call: CallId) -> bool {
        self.inner.recall(slot, call).await
    }

    async fn recall_all(&self) {
        self.inner.recall_all().await;
    }

    async fn memory(&self) -> Option<u64> {
        self.inner.memory().await
    }

    async fn cpu(&self) -> Option<Duration> {
        self.inner.cpu().await
    }

    async fn pulse(&self, wait: Duration) -> Option<Pulse> {
        self.inner.pulse(wait).await
    }

    async fn stacks(&self, wait: Duration) -> Option<Stacks> {
        self.inner.stacks(wait).await
    }

    async fn profile(&self, profile: &Profile) -> Result<Box<dyn Profiling>, String> {
        self.inner.profile(profile).await
    }

    fn cancel(&self, call: CallId, grace: Duration) {
        self.inner.cancel(call, grace);
    }

    async fn stopped(&self, call: CallId) -> Option<Stopped> {
        self.inner.stopped(call).await
    }

    fn wants_renewal(&self) -> bool {
        self.inner.wants_renewal()
    }

    fn set_telemetry(&self, control: &TelemetryControl) {
        self.inner.set_telemetry(control);
    }

    async fn closed(&self) -> WorkerExit {
        self.inner.closed().await
    }

    fn will_end(&self, why: &str) {
        self.inner.will_end(why);
    }

    async fn stop(&self, grace: Duration) {
        self.inner.stop(grace).await;
    }
}

/// Chunks that the adapter converts, up to the first that it rejects.
struct Processed {
    chunks: ChunkStream,
    worker: Arc<AdaptedWorker>,
    tool: Arc<str>,
    /// The adapter has rejected a chunk. The pool cancels the call and drops the rest.
    rejected: bool,
}

impl Stream for Processed {
    type Item = ItemResult;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.chunks.poll_next_unpin(cx));
        let Some(Ok(chunk)) = chunk else {
            return Poll::Ready(chunk);
        };
        if self.rejected {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let processed = processed(&*self.worker.adapter, &self.tool, chunk);
        self.rejected = processed.is_err();
        Poll::Ready(Some(processed.map_err(CallError::Rejected)))
    }
}
